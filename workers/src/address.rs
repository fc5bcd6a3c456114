//! Addresses of vendors, checked when they are read, so that no client meets a broken one.
//! Nothing is looked up or connected here.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;
use serde::Deserialize;

/// Why a text is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No URL, no host, or another scheme.
    #[error("`{text}` is no address; one looks like `{example}`")]
    Malformed {
        /// The text as it came.
        text: String,
        /// What would have been one.
        example: &'static str,
    },
    /// TrueNAS revokes an API key that reaches it in the clear from another machine.
    #[error("`{text}` is not encrypted, and TrueNAS revokes keys sent so; use wss://")]
    Unencrypted {
        /// The text as it came.
        text: String,
    },
    /// A password in an address ends up in logs.
    #[error("an address may hold no user or password")]
    Credentials,
}

/// The base of an HTTP API, without a slash at its end.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HttpAddress(String);

impl HttpAddress {
    /// Whether the address needs TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HttpAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse(text, ["http", "https"], "https://vendor.lan:8006")?;
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl TryFrom<String> for HttpAddress {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for HttpAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A mail server: `smtps://mail.lan`, `smtp://mail.lan?tls=required`, or `smtp://mail.lan` in the
/// clear.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MailAddress(String);

impl MailAddress {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nobody on the way can read a password.
    #[must_use]
    pub fn keeps_secrets(&self) -> bool {
        let is_here = Url::parse(&self.0).is_ok_and(|url| is_this_machine(&url));
        self.0.starts_with("smtps:") || self.0.ends_with(REQUIRED) || is_here
    }
}

/// What a server has to agree to where a connection begins in the clear. That it may, but need not,
/// is no protection.
const REQUIRED: &str = "?tls=required";

impl FromStr for MailAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        const EXAMPLE: &str = "smtps://mail.lan";
        parse(text.strip_suffix(REQUIRED).unwrap_or(text), ["smtp", "smtps"], EXAMPLE)?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for MailAddress {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl fmt::Debug for MailAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The WebSocket of a TrueNAS: `wss://nas.lan/api/current`. Plain `ws://` to this machine only.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SocketAddress(String);

impl SocketAddress {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SocketAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = parse(text, ["ws", "wss"], "wss://nas.lan/api/current")?;
        if url.scheme() == "ws" && !is_this_machine(&url) {
            return Err(AddressError::Unencrypted { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for SocketAddress {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl fmt::Debug for SocketAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

fn parse(text: &str, schemes: [&str; 2], example: &'static str) -> Result<Url, AddressError> {
    let malformed = || AddressError::Malformed { text: text.to_owned(), example };
    // An address also becomes part of settings that are split at these.
    if text.contains([';', ',', '\'', '"', ' ', '?', '#']) {
        return Err(malformed());
    }
    let url = Url::parse(text).map_err(|_| malformed())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    if schemes.contains(&url.scheme()) && url.has_host() { Ok(url) } else { Err(malformed()) }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{HttpAddress, MailAddress, SocketAddress};

    fn check_socket(text: &str, refused: &str) {
        let refusal = text.parse::<SocketAddress>().err().map(|error| error.to_string());
        assert!(refusal.unwrap_or_default().contains(refused), "{text}");
    }

    #[test]
    fn a_key_never_goes_out_in_the_clear() {
        check_socket("ws://nas.lan/api/current", "revokes keys");
        check_socket("ws://10.0.0.1/api/current", "revokes keys");
        check_socket("http://nas.lan", "is no address");
        for text in ["wss://nas.lan/api/current", "ws://127.0.0.1:1/x", "ws://[::1]:1/x"] {
            assert!(text.parse::<SocketAddress>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_password_goes_to_a_mail_server_only_where_nobody_reads_it() {
        let keeps = |text: &str| text.parse::<MailAddress>().unwrap().keeps_secrets();
        assert!(keeps("smtps://mail.lan") && keeps("smtp://mail.lan:587?tls=required"));
        assert!(keeps("smtp://127.0.0.1:2525") && !keeps("smtp://mail.lan"));
        for text in ["smtp://mail.lan?tls=opportunistic", "smtps://u:p@mail.lan", "mail.lan"] {
            assert!(text.parse::<MailAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_a_base() {
        let address: HttpAddress = "https://pve.lan:8006/".parse().unwrap();
        assert_eq!(address.as_str(), "https://pve.lan:8006");
        for text in ["pve.lan", "ftp://pve.lan", "https://u:p@pve.lan", "https://pve.lan;s=x"] {
            assert!(text.parse::<HttpAddress>().is_err(), "{text}");
        }
    }
}
