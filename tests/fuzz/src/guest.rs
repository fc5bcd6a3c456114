//! What guests ask for and say over HTTP: a line with a run and a token, and then the body of an
//! event or of a report.

use stead_workers::guest::read::{event, place, report};

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (path, body) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if let Some((run, token)) = str::from_utf8(path).ok().and_then(|path| path.split_once('/'))
        && let Some((read, signature)) = place(run, token)
    {
        let spelt: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((read.as_str(), &*spelt), (run, token));
    }
    let event = event(body);
    for words in event.progress().iter().chain([&event.name, &event.kind, &event.result]) {
        assert!(words.chars().count() < 500 && !words.contains(char::is_control), "{words}");
    }
    if let Some(report) = report(body) {
        let home = report.of_home();
        assert!(
            home.boot_id.len() <= 64 && home.boot_id.bytes().all(|byte| byte.is_ascii_graphic())
        );
        assert!(home.address.is_none_or(|address| address.parse::<std::net::IpAddr>().is_ok()));
    }
}
