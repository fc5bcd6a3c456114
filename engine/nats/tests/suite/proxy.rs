//! A TCP proxy between client and server that can swallow what the server says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use async_trait::async_trait;
use stead_nats::testing::NatsServer;
use stead_runtime::conformance::LosesAcknowledgements;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What marks an acknowledgement or an error of a publish to the log, as the server sends it.
const ACK: &[u8] = b"\"STEAD_LOG_";
/// What only the acknowledgement of a batch says.
const OF_BATCH: &[u8] = b"\"batch\":";
const ERROR: &[u8] = b"wrong last sequence";

/// A proxy in front of a server.
#[derive(Clone)]
pub struct Proxy {
    port: u16,
    losses: Arc<Losses>,
}

#[derive(Default)]
struct Losses {
    swallow_next: AtomicBool,
    swallow_next_batch: AtomicBool,
    /// Hang up when so many bytes have passed; 0 for never.
    cut_after: AtomicU64,
    swallowed: AtomicU32,
}

impl Losses {
    /// Whether this is to be swallowed.
    fn swallow(&self, bytes: &[u8]) -> bool {
        let is_answer = contains(bytes, ACK) || contains(bytes, ERROR);
        let is_batch = is_answer && contains(bytes, OF_BATCH);
        let swallow = is_answer && self.swallow_next.swap(false, Ordering::SeqCst)
            || is_batch && self.swallow_next_batch.swap(false, Ordering::SeqCst);
        self.swallowed.fetch_add(u32::from(swallow), Ordering::SeqCst);
        swallow
    }

    /// Whether the connection is to be cut now that these have passed.
    fn cut(&self, bytes: &[u8]) -> bool {
        let left = self.cut_after.load(Ordering::SeqCst);
        let passed = bytes.len() as u64;
        self.cut_after.store(left.saturating_sub(passed), Ordering::SeqCst);
        left > 0 && left <= passed
    }
}

impl Proxy {
    /// Listens on a free port and forwards to `server`.
    pub async fn start(server: &NatsServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let losses = Arc::new(Losses::default());
        tokio::spawn(accept(listener, server.port(), Arc::clone(&losses)));
        Self { port, losses }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Hangs up on one connection when the server has said this many bytes.
    pub fn cut_after(&self, bytes: u64) {
        self.losses.cut_after.store(bytes, Ordering::SeqCst);
    }

    /// Whether it has hung up.
    pub fn has_cut(&self) -> bool {
        self.losses.cut_after.load(Ordering::SeqCst) == 0
    }

    /// The next batch that the log keeps is acknowledged to nobody.
    pub fn lose_next_batch(&self) {
        self.losses.swallow_next_batch.store(true, Ordering::SeqCst);
    }

    /// How many answers were swallowed.
    pub fn lost(&self) -> u32 {
        self.losses.swallowed.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl LosesAcknowledgements for Proxy {
    async fn lose_next(&self) {
        self.losses.swallow_next.store(true, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, to: u16, losses: Arc<Losses>) {
    while let Ok((client, _)) = listener.accept().await {
        let losses = Arc::clone(&losses);
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = copy(from_client, to_server) => {}
                () = copy_with_losses(from_server, to_client, &losses) => {}
            }
        });
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // Either end may hang up.
    let _hung_up = tokio::io::copy(&mut from, &mut to).await;
}

/// Forwards what the server says; when armed, swallows the first answer to a publish and hangs
/// up.
async fn copy_with_losses(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, losses: &Losses) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        let bytes = &buffer[..read];
        if losses.swallow(bytes) || losses.cut(bytes) || to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
