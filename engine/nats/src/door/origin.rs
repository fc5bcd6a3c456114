//! Who gave a command, read off a message.
//!
//! A server that gives a request from one account to another says who sent it, and throws away
//! what the sender has put in that place. Only where the configuration says that all callers come
//! that way is this believed; within one account anybody could write it.

use async_nats::{HeaderMap, HeaderName};
use serde::Deserialize;
use stead_schemas::dispatch::Caller;
use stead_schemas::origin::{CLIENT_HEADER, Origin, claim};

/// Where the server says it.
const REQUEST_INFO: &str = "Nats-Request-Info";

/// As much of that as is kept.
#[derive(Default, Deserialize)]
struct RequestInfo {
    user: Option<String>,
    host: Option<String>,
}

/// Who asked through the service interface.
pub(super) fn caller(headers: Option<&HeaderMap>, callers_are_proved: bool) -> Caller {
    let info = headers.and_then(|headers| headers.get_last(REQUEST_INFO));
    let info = info.filter(|_| callers_are_proved);
    who(info.map(|info| info.as_str()), claimed(headers))
}

/// Who asks, by what the server says and by what the client says that it is.
#[must_use]
pub fn who(info: Option<&str>, client: Option<String>) -> Caller {
    let info = info.and_then(|info| serde_json::from_str::<RequestInfo>(info).ok());
    let info = info.unwrap_or_default();
    let origin = Origin { user: info.user, host: info.host, client };
    if origin == Origin::default() { Caller::Api } else { Caller::User(origin) }
}

/// What a client says that it is.
pub(super) fn claimed(headers: Option<&HeaderMap>) -> Option<String> {
    // Some clients write every header in their own way.
    let is_ours = |name: &HeaderName| name.to_string().eq_ignore_ascii_case(CLIENT_HEADER);
    let mut ours = headers?.iter().filter(|(name, _)| is_ours(name));
    let (_, values) = ours.next()?;
    claim(values.first()?.as_str())
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;
    use stead_schemas::dispatch::Caller;
    use stead_schemas::origin::Origin;

    use super::caller;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        pairs.iter().for_each(|(name, value)| map.append(*name, *value));
        map
    }

    #[test]
    fn what_the_server_says_is_believed_only_where_no_client_can_say_it() {
        let said = headers(&[("Nats-Request-Info", r#"{"user":"UABC","host":"10.0.0.7"}"#)]);
        let (user, host) = (Some("UABC".to_owned()), Some("10.0.0.7".to_owned()));
        let proved = Caller::User(Origin { user, host, client: None });
        assert_eq!(caller(Some(&said), true), proved);
        assert_eq!(caller(Some(&said), false), Caller::Api);
        assert_eq!(caller(None, true), Caller::Api);
    }

    #[test]
    fn what_a_client_says_is_kept_as_what_it_says() {
        let said = headers(&[("stead-client", "portal"), ("Nats-Request-Info", "{")]);
        let origin = Origin { client: Some("portal".to_owned()), ..Origin::default() };
        assert_eq!(caller(Some(&said), true), Caller::User(origin));
    }
}
