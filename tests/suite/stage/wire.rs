//! A NATS client of a few lines, which knows nothing but the protocol: what it can do, any
//! language can do.

use std::collections::VecDeque;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::wait::within;

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Letter {
    pub subject: String,
    pub headers: String,
    pub body: Vec<u8>,
}

/// One connection.
pub struct Wire {
    stream: BufReader<TcpStream>,
    subscriptions: u32,
    waiting: VecDeque<Letter>,
}

impl Wire {
    pub async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("nats-server listens");
        // Short lines one after the other would each wait for the one before.
        stream.set_nodelay(true).expect("a socket option");
        let mut wire =
            Self { stream: BufReader::new(stream), subscriptions: 0, waiting: VecDeque::new() };
        let info = wire.line().await;
        assert!(info.starts_with("INFO "), "{info}");
        wire.say(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n").await;
        wire.flush().await;
        wire
    }

    pub async fn publish(&mut self, subject: &str, body: &[u8]) {
        self.publish_with(subject, "", &[], body).await;
    }

    pub async fn subscribe(&mut self, subject: &str) {
        self.subscriptions += 1;
        let line = format!("SUB {subject} {}\r\n", self.subscriptions);
        self.say(line.as_bytes()).await;
    }

    /// Waits until the server has read everything that was said.
    pub async fn flush(&mut self) {
        self.say(b"PING\r\n").await;
        while let Some(letter) = self.read_one().await {
            self.waiting.push_back(letter);
        }
    }

    /// The next message of any subscription.
    pub async fn next(&mut self) -> Letter {
        if let Some(letter) = self.waiting.pop_front() {
            return letter;
        }
        within("a message arrives", async {
            loop {
                if let Some(letter) = self.read_one().await {
                    return letter;
                }
            }
        })
        .await
    }

    /// Asks and waits for the one answer.
    pub async fn request(&mut self, subject: &str, body: &[u8]) -> Letter {
        self.request_with(subject, &[], body).await
    }

    /// The same, with headers.
    pub async fn request_with(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Letter {
        let inbox = format!("_INBOX.wire.{}.{}", std::process::id(), self.subscriptions);
        let inbox = format!("{inbox}.{}", self.port());
        self.subscribe(&inbox).await;
        self.publish_with(subject, &inbox, headers, body).await;
        let answer = within("a request is answered", async {
            loop {
                match self.read_one().await {
                    Some(letter) if letter.subject == inbox => return letter,
                    letter => self.waiting.extend(letter),
                }
            }
        });
        let answer = answer.await;
        let line = format!("UNSUB {}\r\n", self.subscriptions);
        self.say(line.as_bytes()).await;
        answer
    }

    fn port(&self) -> u16 {
        self.stream.get_ref().local_addr().map_or(0, |address| address.port())
    }

    async fn publish_with(
        &mut self,
        subject: &str,
        reply: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let head = format!("NATS/1.0\r\n{}\r\n", lines.collect::<String>());
        let mut said = match headers {
            [] => format!("PUB {subject} {reply} {}\r\n", body.len()),
            _ => {
                let whole = head.len() + body.len();
                format!("HPUB {subject} {reply} {} {whole}\r\n{head}", head.len())
            }
        }
        .into_bytes();
        said.extend_from_slice(body);
        said.extend_from_slice(b"\r\n");
        self.say(&said).await;
    }

    /// A message; nothing if the server answered our ping.
    async fn read_one(&mut self) -> Option<Letter> {
        loop {
            let line = self.line().await;
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let sizes = words.iter().skip(3).filter_map(|word| word.parse::<usize>().ok());
            let sizes: Vec<usize> = sizes.collect();
            match (words[0], sizes[..].last_chunk()) {
                ("PING", _) => self.say(b"PONG\r\n").await,
                ("PONG", _) => return None,
                ("MSG", Some([size])) => return Some(self.letter(words[1], 0, *size).await),
                ("HMSG", _) => {
                    let [.., head, size] = sizes[..] else { panic!("{line}") };
                    return Some(self.letter(words[1], head, size).await);
                }
                ("INFO", _) => {}
                _ => panic!("nats-server says {line}"),
            }
        }
    }

    async fn letter(&mut self, subject: &str, head: usize, size: usize) -> Letter {
        let mut bytes = vec![0; size + 2];
        self.stream.read_exact(&mut bytes).await.expect("a whole message");
        bytes.truncate(size);
        let body = bytes.split_off(head);
        let headers = String::from_utf8_lossy(&bytes).into_owned();
        Letter { subject: subject.to_owned(), headers, body }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).await.expect("nats-server speaks");
        assert!(read > 0, "nats-server hung up");
        line
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.expect("nats-server listens");
    }
}
