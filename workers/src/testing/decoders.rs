//! What comes in over HTTP is read or refused, whatever it is, and nothing of it goes further than it
//! may.
//!
//! A small dose of what `ops/fuzz` does at length, beginning from the same seeds.

use std::fs;
use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::{Index, select};

use crate::forgejo::webhook::read as webhook;
use crate::guest::read as guest;

/// Requests that are right, and others that are nearly so.
fn nearly(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let folder = format!("{}/../tests/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(folder).unwrap().flatten();
    let seeds: Vec<_> = files.map(|file| fs::read(file.path()).unwrap()).collect();
    let changes = vec((any::<Index>(), any::<u8>(), 0..3u8), 0..4);
    (select(seeds), changes).prop_map(|(mut bytes, changes)| {
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

/// What stands before the first of these, and what behind it.
fn halves<'a>(bytes: &'a [u8], between: &[u8]) -> (&'a [u8], &'a [u8]) {
    match bytes.windows(between.len()).position(|found| found == between) {
        Some(at) => (&bytes[..at], &bytes[at + between.len()..]),
        None => (bytes, b""),
    }
}

fn headers(head: &[u8]) -> HeaderMap {
    let header = |line: &[u8]| {
        let (name, value) = halves(line, b": ");
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    head.split(|byte| *byte == b'\n').filter_map(header).collect()
}

fn spelt(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn an_address_is_the_one_spelling_of_a_run_and_its_signature(
        bytes in prop_oneof![nearly("guest"), anything()],
    ) {
        let (path, _) = halves(&bytes, b"\n");
        let path = String::from_utf8_lossy(path);
        let (run, token) = path.split_once('/').unwrap_or_default();
        if let Some((read, signature)) = guest::place(run, token) {
            assert_eq!((read.as_str(), &*spelt(&signature)), (run, token));
        }
    }

    #[test]
    fn what_a_guest_says_is_short_and_can_be_shown(
        bytes in prop_oneof![nearly("guest"), anything()],
    ) {
        let (_, body) = halves(&bytes, b"\n");
        let event = guest::event(body);
        for words in event.progress().iter().chain([&event.name, &event.kind, &event.result]) {
            assert!(words.chars().count() < 500 && !words.contains(char::is_control), "{words:?}");
        }
        if let Some(home) = guest::report(body).map(|report| report.of_home()) {
            assert!(home.boot_id.len() <= 64 && home.boot_id.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(home.address.is_none_or(|address| address.parse::<IpAddr>().is_ok()));
        }
    }

    #[test]
    fn a_signature_is_one_that_was_given(bytes in prop_oneof![nearly("webhook"), anything()]) {
        let (head, body) = halves(&bytes, b"\n\n");
        let headers = headers(head);
        if let Some(signature) = webhook::signature(&headers) {
            let is_it = |text: &str| text.to_ascii_lowercase().ends_with(&spelt(&signature));
            assert!(headers.values().any(|value| value.to_str().is_ok_and(is_it)));
        }
        assert!(!webhook::is_push(&headers) || headers.values().any(|value| value == "push"));
        let Some(push) = webhook::push(body) else { return Ok(()) };
        assert_eq!(webhook::push(body), Some(push));
    }
}

#[test]
fn what_the_seeds_say_is_read() {
    let seed = |name: &str| {
        fs::read(format!("{}/../tests/fuzz/seeds/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let said = |name: &str| halves(&seed(name), b"\n").1.to_vec();
    let progress = |name: &str| guest::event(&said(name)).progress().unwrap();
    assert_eq!(progress("guest/start"), "cloud-init: modules-final");
    assert_eq!(progress("guest/event"), "cloud-init: init-network/activate-datasource failed");
    let report = guest::report(&said("guest/report")).unwrap();
    assert_eq!(report.of_home().address.as_deref(), Some("10.10.20.7"));
    let path = String::from_utf8(halves(&seed("guest/report"), b"\n").0.to_vec()).unwrap();
    let (run, token) = path.split_once('/').unwrap();
    assert!(guest::place(run, token).is_some());
    for name in ["webhook/push", "webhook/github"] {
        let seed = seed(name);
        let (head, body) = halves(&seed, b"\n\n");
        let headers = headers(head);
        assert_eq!(webhook::signature(&headers), Some([0xab; 32]), "{name}");
        assert!(webhook::is_push(&headers) && webhook::push(body).is_some(), "{name}");
    }
}

#[test]
fn what_cannot_be_seen_is_not_shown() {
    let event =
        guest::event(br#"{"event_type":"start","name":"\u001b[2J\u0007init\u009b \u0000local"}"#);
    assert_eq!(event.progress().as_deref(), Some("cloud-init: [2J init local"));
}
