//! A listener that nobody can hold up: each connection has its time, and there are only so many.
//! A client that opens one and says nothing, or a letter now and then, is cut, and so is one that does
//! not take what it asked for.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// See the module's head.
pub(crate) struct Bounded {
    listener: TcpListener,
    time_max: Duration,
    places: Arc<Semaphore>,
}

/// A connection that is read from until its time is over, and written to for half as long again: what
/// was asked in time is answered.
pub(crate) struct Timed {
    stream: TcpStream,
    asked_until: Pin<Box<Sleep>>,
    answered_until: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Bounded {
    /// Connections are asked by for `time_max`, and there are at most `most` at once.
    pub(crate) fn new(listener: TcpListener, time_max: Duration, most: usize) -> Self {
        Self { listener, time_max, places: Arc::new(Semaphore::new(most)) }
    }
}

impl Listener for Bounded {
    type Io = Timed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Timed, SocketAddr) {
        // It is never closed; if it were, nothing would be bounded.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, from) = Listener::accept(&mut self.listener).await;
        let asked_until = Box::pin(sleep(self.time_max));
        let answered_until = Box::pin(sleep(self.time_max + self.time_max / 2));
        (Timed { stream, asked_until, answered_until, _place: place }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Timed {
    fn may_be_answered(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.answered_until.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.asked_until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.may_be_answered(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.may_be_answered(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.may_be_answered(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::Bounded;

    /// More than the buffers between two sockets take.
    const MUCH: usize = 64 << 20;

    async fn serve(time_max: Duration, most: usize) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let much = get(async || vec![0_u8; MUCH]);
        let router = Router::new().route("/", get(async || "here")).route("/much", much);
        let listener = Bounded::new(listener, time_max, most);
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn said(stream: &mut TcpStream) -> String {
        let mut all = Vec::new();
        // A connection that is cut ends with or without an error.
        let _cut = stream.read_to_end(&mut all).await;
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn a_client_that_does_not_ask_is_cut() {
        let address = serve(Duration::from_millis(50), 8).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
        assert_eq!(said(&mut silent).await, "");
        assert!(!said(&mut slow).await.contains("here"));
    }

    #[tokio::test]
    async fn those_who_are_too_many_wait_for_a_place() {
        let address = serve(Duration::from_millis(200), 1).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let (first, second) = tokio::join!(said(&mut first), said(&mut second));
        assert_eq!(first, "");
        assert!(second.ends_with("here"), "{second}");
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_gives_its_place_back() {
        let address = serve(Duration::from_millis(200), 1).await;
        let mut asks = TcpStream::connect(address).await.unwrap();
        asks.write_all(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let served = timeout(Duration::from_secs(60), said(&mut second)).await;
        assert!(served.expect("its place comes free").ends_with("here"));
        drop(asks);
    }
}
