//! Forms with a file in them.

/// One part of a form.
pub(crate) struct Part {
    pub(crate) name: String,
    /// What the file is called, if it is one.
    pub(crate) file: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// The parts, in their order; none if it is no such form.
pub(crate) fn parts(kind: &str, body: &[u8]) -> Vec<Part> {
    let Some((_, boundary)) = kind.split_once("boundary=") else { return Vec::new() };
    let mark = format!("--{}", boundary.trim_matches('"'));
    let mut parts = Vec::new();
    let mut rest = body;
    while let Some(at) = find(rest, mark.as_bytes()) {
        rest = &rest[at + mark.len()..];
        let end = find(rest, mark.as_bytes()).unwrap_or(rest.len());
        let one = &rest[..end];
        parts.extend(part(one.strip_prefix(b"\r\n").unwrap_or(one)));
    }
    parts
}

fn part(text: &[u8]) -> Option<Part> {
    let head = find(text, b"\r\n\r\n")?;
    let said = String::from_utf8_lossy(&text[..head]).into_owned();
    let body = &text[head + 4..];
    let body = body.strip_suffix(b"\r\n").unwrap_or(body).to_vec();
    Some(Part { name: value(&said, "; name=")?, file: value(&said, "; filename="), body })
}

/// `name="content"`.
fn value(head: &str, key: &str) -> Option<String> {
    let (_, rest) = head.split_once(key)?;
    Some(rest.strip_prefix('"')?.split('"').next()?.to_owned())
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
