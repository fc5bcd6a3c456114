//! The worker of notices against a mail server and a webhook of the tests' own, which answer as
//! they are told to. Both note what they were sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::json;
use stead_schemas::failure::Class;
use stead_schemas::step::notify::{PostWebhook, SendMail};
use stead_schemas::trace::{TraceId, TraceParent};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::webhook::signature;
use crate::testing::{Stage, config, run};
use crate::{Workers, notify};

/// Where the lab keeps a key.
const SECRET: &str = "vault:secret/data/stead/seed";

/// What a server of the tests was sent, and the answers that it gives next; then all goes well.
#[derive(Clone, Default)]
struct Sink {
    taken: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
}

impl Sink {
    /// Serves each connection with `serve`; the port.
    async fn open<F, S>(&self, serve: S) -> u16
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
        S: Fn(Sink, TcpStream) -> F + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sink = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever breaks off has what he wanted.
                tokio::spawn(serve(sink.clone(), stream));
            }
        });
        port
    }

    fn answer_next(&self, answer: &'static str) {
        self.answers.lock().unwrap().push_back(answer);
    }

    fn next(&self) -> Option<&'static str> {
        self.answers.lock().unwrap().pop_front()
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

/// One conversation with a mail server. An answer that it was told is the one to the message.
async fn smtp(sink: Sink, stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.lan\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let verb = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        line.clear();
        match verb.as_str() {
            "EHLO" => stream.write_all(b"250 mail.lan\r\n").await?,
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut message = String::new();
                while !message.ends_with("\r\n.\r\n") && stream.read_line(&mut message).await? > 0 {
                }
                sink.taken.lock().unwrap().push(message);
                match sink.next() {
                    Some("") => return Ok(()),
                    Some(answer) => stream.write_all(format!("{answer}\r\n").as_bytes()).await?,
                    None => stream.write_all(b"250 taken\r\n").await?,
                }
            }
            "QUIT" => return stream.write_all(b"221 bye\r\n").await,
            _ => stream.write_all(b"250 ok\r\n").await?,
        }
    }
    Ok(())
}

/// One call of a webhook.
async fn http(sink: Sink, mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut some = [0; 4096];
        match stream.read(&mut some).await? {
            0 => return Ok(()),
            read => request.extend_from_slice(&some[..read]),
        }
    }
    sink.taken.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    match sink.next() {
        Some("") => Ok(()),
        status => {
            let status = status.unwrap_or("204 No Content");
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

fn workers(stage: &Stage, address: &str) -> Workers {
    let address = Some(address.parse().unwrap());
    Workers::new(crate::WorkersConfig { notify: notify::Config { address }, ..config(&stage.lab) })
        .unwrap()
}

fn mail() -> SendMail {
    SendMail {
        login: None,
        from: "Stead <stead@example.org>".to_owned(),
        to: vec!["ops@example.org".to_owned(), "Jane <jane@example.org>".to_owned()],
        id: "notice-27ytv97dprxd6njw-1-7".to_owned(),
        subject: "[Stead] proxmox: antwortet nicht, schön".to_owned(),
        text: "proxmox: does not answer\n.\nüber alles".to_owned(),
    }
}

#[tokio::test]
async fn a_mail_is_handed_over_and_has_the_same_id_each_time() {
    let (stage, sink) = (Stage::open().await, Sink::default());
    let port = sink.open(smtp).await;
    let workers = workers(&stage, &format!("smtp://127.0.0.1:{port}"));
    stage.ask_of(&workers, mail()).await.unwrap();
    stage.ask_of(&workers, mail()).await.unwrap();
    let taken = sink.taken();
    assert_eq!(taken.len(), 2);
    for message in taken {
        assert!(message.contains("Message-ID: <notice-27ytv97dprxd6njw-1-7@stead>"), "{message}");
        assert!(message.contains("jane@example.org") && message.contains("Date: "), "{message}");
        assert!(message.is_ascii(), "{message}");
    }
}

#[tokio::test]
async fn each_answer_of_a_mail_server_has_one_meaning() {
    let (stage, sink) = (Stage::open().await, Sink::default());
    let port = sink.open(smtp).await;
    let at = workers(&stage, &format!("smtp://127.0.0.1:{port}"));
    for (answer, class) in [
        ("550 no such user", Class::Permanent),
        ("451 come back later", Class::Wait),
        ("535 who are you", Class::Auth),
        ("", Class::VendorDown),
    ] {
        sink.answer_next(answer);
        let failure = stage.ask_of(&at, mail()).await.unwrap_err();
        assert_eq!(failure.class, class, "{answer}: {failure}");
    }
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
    let nobody = workers(&stage, &format!("smtp://127.0.0.1:{closed}"));
    assert_eq!(stage.ask_of(&nobody, mail()).await.unwrap_err().class, Class::VendorDown);
    let bad = SendMail { to: vec!["nobody".to_owned()], ..mail() };
    assert_eq!(stage.ask_of(&at, bad).await.unwrap_err().class, Class::Permanent);
    let none = stage.ask(mail()).await.unwrap_err();
    assert_eq!((none.class, none.words.contains("[mail]")), (Class::Permanent, true));
}

#[tokio::test]
async fn a_password_is_not_sent_in_the_clear() {
    let stage = Stage::open().await;
    let workers = workers(&stage, "smtp://mail.invalid");
    let login = Some("vault:secret/data/coder/api".to_owned());
    let failure = stage.ask_of(&workers, SendMail { login, ..mail() }).await.unwrap_err();
    assert!(failure.words.contains("in the clear"), "{failure}");
}

fn hook(port: u16) -> PostWebhook {
    PostWebhook {
        url: format!("http://127.0.0.1:{port}/hooks/stead?to=ops,chat"),
        secret: SECRET.to_owned(),
        id: "notice-27ytv97dprxd6njw-1-8".to_owned(),
        body: json!({ "text": "über alles" }),
    }
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let prefix = format!("{name}: ");
    request.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default()
}

#[tokio::test]
async fn a_webhook_is_signed_so_that_whoever_has_the_secret_can_tell() {
    let (stage, sink) = (Stage::open().await, Sink::default());
    let port = sink.open(http).await;
    stage.ask(hook(port)).await.unwrap();
    let request = sink.taken().remove(0);
    assert!(request.starts_with("POST /hooks/stead?to=ops,chat "), "{request}");
    let (id, at) = (header(&request, "webhook-id"), header(&request, "webhook-timestamp"));
    assert_eq!(id, "notice-27ytv97dprxd6njw-1-8");
    let secret = stage.secret(SECRET, "key").await;
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let signed = signature(&secret, id, at.parse().unwrap(), body).unwrap();
    assert_eq!(header(&request, "webhook-signature"), signed);
    let span: TraceParent = header(&request, "traceparent").parse().unwrap();
    assert_eq!(span.trace, TraceId::of(&run()));
    assert_ne!(signature("another", id, at.parse().unwrap(), body).unwrap(), signed);
}

/// The address of many a chat is all that it takes to write there.
#[tokio::test]
async fn an_address_that_is_a_secret_is_read_where_the_order_says_that_it_lies() {
    let (stage, sink) = (Stage::open().await, Sink::default());
    let port = sink.open(http).await;
    let place = "vault:secret/data/stead/chat";
    stage.keep(place, json!({ "url": hook(port).url, "key": "k" })).await;
    let ask = PostWebhook { url: place.to_owned(), secret: place.to_owned(), ..hook(port) };
    stage.ask(ask.clone()).await.unwrap();
    assert!(sink.taken().remove(0).starts_with("POST /hooks/stead?to=ops,chat "));
    let nowhere = PostWebhook { url: "vault:secret/data/coder/api".to_owned(), ..ask };
    let failure = stage.ask(nowhere).await.unwrap_err();
    assert!(failure.words.contains("url"), "{failure}");
}

#[test]
fn a_signature_is_that_of_standard_webhooks() {
    // The example of the specification.
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
    let signed = signature(secret, id, at, r#"{"test": 2432232314}"#).unwrap();
    assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(signature("whsec_?", id, at, "").unwrap_err().class, Class::Auth);
}

#[tokio::test]
async fn each_answer_of_a_webhook_has_one_meaning() {
    let (stage, sink) = (Stage::open().await, Sink::default());
    let port = sink.open(http).await;
    for (answer, class) in [
        ("401 Unauthorized", Class::Auth),
        ("404 Not Found", Class::Permanent),
        ("429 Too Many Requests", Class::Wait),
        ("503 Service Unavailable", Class::Retry),
        ("302 Found", Class::Permanent),
        ("", Class::Ambiguous),
    ] {
        sink.answer_next(answer);
        let failure = stage.ask(hook(port)).await.unwrap_err();
        assert_eq!(failure.class, class, "{answer}: {failure}");
        assert!(!failure.to_string().contains("hooks/stead"), "the address may be a secret");
    }
    stage.ask(hook(port)).await.unwrap();
    let ids: Vec<String> =
        sink.taken().iter().map(|request| header(request, "webhook-id").to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}
