//! A way to the server on which messages get lost, as where a switch between two networks dies: who
//! speaks hears no error for a while, and then the connection breaks.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// See the module's head.
pub struct Line {
    port: u16,
    loses: watch::Sender<bool>,
}

impl Line {
    /// Opens one to whoever listens at this port.
    pub async fn open(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (loses, is_lost) = watch::channel(false);
        tokio::spawn(accept(listener, to, is_lost));
        Self { port, loses }
    }

    /// Where it begins.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// From now on nothing arrives, in either direction.
    pub fn lose(&self) {
        self.loses.send_replace(true);
    }

    /// From now on everything arrives, over new connections.
    pub fn mend(&self) {
        self.loses.send_replace(false);
    }
}

async fn accept(listener: TcpListener, to: u16, loses: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        let (mut mended, loses) = (loses.clone(), loses.clone());
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
            // Short lines one after the other would each wait for the one before.
            let is_set = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
            is_set.expect("a socket option");
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = carry(from_client, to_server, &loses) => {}
                () = carry(from_server, to_client, &loses) => {}
                // What was lost cannot be said again on the same connection.
                () = lost_and_mended(&mut mended) => {}
            }
        });
    }
}

async fn lost_and_mended(loses: &mut watch::Receiver<bool>) {
    // An error is a test that has ended.
    drop(loses.wait_for(|loses| *loses).await);
    drop(loses.wait_for(|loses| !*loses).await);
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, loses: &watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        let is_lost = *loses.borrow();
        if !is_lost && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
