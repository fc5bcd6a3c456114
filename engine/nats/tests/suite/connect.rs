//! Connections that are refused say why.

use std::time::Duration;

use stead_nats::testing::NatsServer;
use stead_nats::{ConnectSettings, Login, connect};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

async fn check(settings: ConnectSettings, words: &str) {
    let settings = ConnectSettings { patience: Duration::from_millis(300), ..settings };
    match connect(&settings).await {
        Ok(_) => panic!("connected"),
        Err(error) => assert_eq!(error.to_string(), words),
    }
}

fn login(user: &str, password: &str) -> Login {
    Login::Password { user: user.into(), password: password.into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_not_tried_for_ever() {
    let server =
        NatsServer::start_with("authorization { user: john, password: canary-secret }").await;
    let url = server.url();
    let right = ConnectSettings {
        login: login("john", "canary-secret"),
        ..ConnectSettings::new(&url, "test")
    };
    assert!(!format!("{right:?}").contains("canary"));
    connect(&right).await.expect("a connection");
    let wrong = ConnectSettings { login: login("john", "x"), ..ConnectSettings::new(&url, "test") };
    check(wrong, &format!("the NATS server at {url} refuses this login")).await;
    let in_url = url.replace("//", "//john:wrong-secret@");
    let settings = ConnectSettings::new(in_url, "test");
    check(settings, &format!("the NATS server at {url} refuses this login")).await;
}

#[tokio::test]
async fn an_old_server_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let info = r#"{"server_id":"a","version":"2.14.5","max_payload":1048576}"#;
                let hello = format!("INFO {info}\r\nPONG\r\n");
                let _gone = client.write_all(hello.as_bytes()).await;
                std::future::pending::<()>().await;
            });
        }
    });
    let words = format!(
        "the NATS server at {url} is version 2.14.5; stead needs 2.15.1 or newer, because older \
         ones can lose acknowledged events"
    );
    check(ConnectSettings::new(url, "test"), &words).await;
}

#[tokio::test]
async fn nobody_there_and_nonsense_are_told_apart() {
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr();
    let url = format!("nats://{}", port.expect("an address"));
    let words = format!("no NATS server answers at {url}");
    check(ConnectSettings::new(url, "test"), &words).await;
    let words =
        "`http://x y` is not the address of a NATS server; one looks like nats://127.0.0.1:4222";
    check(ConnectSettings::new("http://x y", "test"), words).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_late_is_waited_for() {
    let mut server = NatsServer::start().await;
    server.kill9();
    let settings = ConnectSettings {
        patience: Duration::from_secs(20),
        ..ConnectSettings::new(server.url(), "test")
    };
    let connecting = tokio::spawn(async move { connect(&settings).await.map(|_| ()) });
    server.restart().await;
    connecting.await.expect("no panic").expect("a connection");
}
