//! A collector of traces that is strict: it takes OTLP in JSON, to the letter of its specification,
//! and remembers what was not so.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A span as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub service: String,
    pub trace: String,
    pub id: String,
    pub parent: Option<String>,
    pub name: String,
    pub kind: u64,
    pub begun_ns: u64,
    pub ended_ns: u64,
    pub about: BTreeMap<String, String>,
    /// Trace and span of what it is linked to.
    pub links: Vec<(String, String)>,
    pub error: Option<String>,
}

/// What a collector does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It takes what it is sent.
    Well,
    /// It is not in service.
    Away,
    /// It never answers.
    Silent,
}

#[derive(Default)]
struct Board {
    spans: Vec<Received>,
    faults: Vec<String>,
    asked: usize,
    mood: Option<Mood>,
}

/// See the module's head.
pub struct Collector {
    pub address: SocketAddr,
    board: Arc<Mutex<Board>>,
}

impl Collector {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let board = Arc::new(Mutex::new(Board { mood: Some(mood), ..Board::default() }));
        let shared = Arc::clone(&board);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&shared)));
            }
        });
        Self { address, board }
    }

    pub fn is(&self, mood: Mood) {
        lock(&self.board).mood = Some(mood);
    }

    /// How many requests have come.
    pub fn asked(&self) -> usize {
        lock(&self.board).asked
    }

    /// Every span that was taken; none if one of them was not as it should be.
    pub fn spans(&self) -> Vec<Received> {
        let board = lock(&self.board);
        assert!(board.faults.is_empty(), "{:#?}", board.faults);
        board.spans.clone()
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().expect("nobody panics here")
}

/// Serves a connection until its other end is closed, or says something that is not HTTP.
async fn serve(socket: TcpStream, board: Arc<Mutex<Board>>) -> Option<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if socket.read_line(&mut head).await.ok()? == 0 {
                return None;
            }
        }
        let head = head.to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = field("content-length: ")?.parse().ok()?;
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await.ok()?;
        let mood = take(&mut lock(&board), &head, field("content-type: "), &body)?;
        let answer = match mood {
            Mood::Well => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            Mood::Away => "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            Mood::Silent => std::future::pending().await,
        };
        socket.write_all(answer.as_bytes()).await.ok()?;
    }
}

fn take(board: &mut Board, head: &str, kind: Option<&str>, body: &[u8]) -> Option<Mood> {
    board.asked += 1;
    let mood = board.mood?;
    if mood != Mood::Well {
        return Some(mood);
    }
    let read = match (head.starts_with("post /v1/traces http/1.1\r\n"), kind) {
        (true, Some("application/json")) => {
            serde_json::from_slice(body).map_err(|error| error.to_string())
        }
        _ => Err(format!("no request of OTLP: {head}")),
    };
    match read.and_then(|body: Value| request(&body)) {
        Ok(spans) => board.spans.extend(spans),
        Err(words) => board.faults.push(words),
    }
    Some(mood)
}

/// An object with these fields and no others, the first `needed` of which must be there.
fn fields<'a, const N: usize>(
    value: &'a Value,
    known: [&str; N],
    needed: usize,
) -> Result<[&'a Value; N], String> {
    let object = value.as_object().ok_or_else(|| format!("no object: {value}"))?;
    let stranger = object.keys().find(|key| !known.contains(&key.as_str()));
    let missing = known[..needed].iter().find(|key| !object.contains_key(**key));
    if stranger.is_some() || missing.is_some() {
        return Err(format!("unknown: {stranger:?}, missing: {missing:?}, in {value}"));
    }
    Ok(known.map(|key| &value[key]))
}

fn list(value: &Value) -> Result<&[Value], String> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(items) => Ok(items),
        _ => Err(format!("no list: {value}")),
    }
}

fn text(value: &Value) -> Result<String, String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| format!("no text: {value}"))
}

/// An id of so many lower-case hexadecimal digits, which are not all noughts.
fn id(value: &Value, digits: usize) -> Result<String, String> {
    let id = text(value)?;
    let is_hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match is_hex && id.len() == digits && id.bytes().any(|byte| byte != b'0') {
        true => Ok(id),
        false => Err(format!("no id of {digits} digits: {value}")),
    }
}

/// 64 bits are a text in JSON.
fn number(value: &Value) -> Result<u64, String> {
    text(value)?.parse().map_err(|_| format!("no number as a text: {value}"))
}

fn attributes(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let mut all = BTreeMap::new();
    for attribute in list(value)? {
        let [key, value] = fields(attribute, ["key", "value"], 2)?;
        let [of_text, of_number] = fields(value, ["stringValue", "intValue"], 0)?;
        let said = match (of_text.is_null(), of_number.is_null()) {
            (false, true) => text(of_text)?,
            (true, false) => number(of_number)?.to_string(),
            _ => return Err(format!("not one value: {attribute}")),
        };
        if all.insert(text(key)?, said).is_some() {
            return Err(format!("said twice: {attribute}"));
        }
    }
    Ok(all)
}

fn request(body: &Value) -> Result<Vec<Received>, String> {
    let mut spans = Vec::new();
    let [resources] = fields(body, ["resourceSpans"], 1)?;
    for one in list(resources)? {
        let [resource, scopes] = fields(one, ["resource", "scopeSpans"], 2)?;
        let [about] = fields(resource, ["attributes"], 1)?;
        let about = attributes(about)?;
        for key in ["service.name", "service.version", "service.instance.id"] {
            about.get(key).ok_or_else(|| format!("no {key}"))?;
        }
        for scope in list(scopes)? {
            let [scope, of_scope] = fields(scope, ["scope", "spans"], 2)?;
            let [name] = fields(scope, ["name"], 1)?;
            text(name)?;
            for one in list(of_scope)? {
                spans.push(span(one, &about["service.name"])?);
            }
        }
    }
    if spans.is_empty() { Err("a request without spans".to_owned()) } else { Ok(spans) }
}

fn span(value: &Value, service: &str) -> Result<Received, String> {
    let known = [
        "traceId",
        "spanId",
        "name",
        "kind",
        "startTimeUnixNano",
        "endTimeUnixNano",
        "attributes",
        "parentSpanId",
        "links",
        "status",
    ];
    let [trace, own, name, kind, begun, ended, about, parent, links, status] =
        fields(value, known, 7)?;
    let linked = list(links)?.iter().map(|link| {
        let [trace, span] = fields(link, ["traceId", "spanId"], 2)?;
        Ok::<_, String>((id(trace, 32)?, id(span, 16)?))
    });
    let error = match status {
        Value::Null => None,
        status => {
            let [code, message] = fields(status, ["code", "message"], 2)?;
            (code == 2).then(|| text(message)).transpose()?
        }
    };
    let (begun_ns, ended_ns) = (number(begun)?, number(ended)?);
    let kind = kind.as_u64().filter(|kind| (1..=5).contains(kind));
    if begun_ns == 0 || begun_ns > ended_ns {
        return Err(format!("it ends before it begins: {value}"));
    }
    Ok(Received {
        service: service.to_owned(),
        trace: id(trace, 32)?,
        id: id(own, 16)?,
        parent: if parent.is_null() { None } else { Some(id(parent, 16)?) },
        name: text(name)?,
        kind: kind.ok_or_else(|| format!("no kind: {value}"))?,
        begun_ns,
        ended_ns,
        about: attributes(about)?,
        links: linked.collect::<Result<_, _>>()?,
        error,
    })
}
