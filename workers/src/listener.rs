//! A listener that nobody can hold up: each connection has its time, and there are only so many, of
//! all and of each address. A client that opens one and says nothing, or a letter now and then, is cut,
//! and so is one that does not take what it asked for.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
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
    taken: Taken,
    of_one_max: usize,
}

/// How many connections are open at once; more are not taken in until one of these is closed.
#[derive(Clone, Copy)]
pub(crate) struct Most {
    /// Of everybody: more wait.
    pub all: usize,
    /// Of one address: more are closed at once. Behind a proxy it is everybody's.
    pub of_one: usize,
}

/// How many connections each peer has open.
type Taken = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The place of one connection among those of its peer, until it is dropped.
struct Seat {
    taken: Taken,
    peer: IpAddr,
}

/// A connection that is read from until its time is over, and written to for half as long again: what
/// was asked in time is answered.
pub(crate) struct Timed {
    stream: TcpStream,
    asked_until: Pin<Box<Sleep>>,
    answered_until: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
    _seat: Seat,
}

impl Bounded {
    /// Connections are asked by for `time_max`, and there are at most `most` at once.
    pub(crate) fn new(listener: TcpListener, time_max: Duration, most: Most) -> Self {
        let places = Arc::new(Semaphore::new(most.all));
        Self { listener, time_max, places, taken: Taken::default(), of_one_max: most.of_one }
    }
}

impl Seat {
    /// A place for one more connection of this peer; nothing if it has as many as it may.
    fn take(taken: &Taken, peer: IpAddr, most: usize) -> Option<Self> {
        let mut seats = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let open = seats.get(&peer).copied().unwrap_or_default();
        if open >= most {
            return None;
        }
        seats.insert(peer, open + 1);
        Some(Self { taken: Arc::clone(taken), peer })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match seats.get_mut(&self.peer) {
            Some(open) if *open > 1 => *open -= 1,
            _ => drop(seats.remove(&self.peer)),
        }
    }
}

/// Who an address belongs to: a machine has as many of the sixth version as it likes in its network.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

impl Listener for Bounded {
    type Io = Timed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Timed, SocketAddr) {
        // It is never closed; if it were, nothing would be bounded.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, from, seat) = loop {
            let (stream, from) = Listener::accept(&mut self.listener).await;
            if let Some(seat) = Seat::take(&self.taken, peer(from.ip()), self.of_one_max) {
                break (stream, from, seat);
            }
        };
        let asked_until = Box::pin(sleep(self.time_max));
        let answered_until = Box::pin(sleep(self.time_max + self.time_max / 2));
        (Timed { stream, asked_until, answered_until, _place: place, _seat: seat }, from)
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
    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio::time::timeout;

    use super::{Bounded, Most, peer};

    /// More than the buffers between two sockets take.
    const MUCH: usize = 64 << 20;

    async fn serve(time_max: Duration, all: usize) -> std::net::SocketAddr {
        serve_most(time_max, Most { all, of_one: all }).await
    }

    async fn serve_most(time_max: Duration, most: Most) -> std::net::SocketAddr {
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

    async fn asks(mut stream: TcpStream) -> String {
        // Whoever has too many may be cut before he has said anything.
        let _cut = stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await;
        said(&mut stream).await
    }

    #[tokio::test]
    async fn nobody_takes_the_places_of_the_others() {
        let most = Most { all: 8, of_one: 2 };
        let address = serve_most(Duration::from_secs(600), most).await;
        let first = TcpStream::connect(address).await.unwrap();
        let _second = TcpStream::connect(address).await.unwrap();
        let third = TcpStream::connect(address).await.unwrap();
        assert_eq!(asks(third).await, "", "it has two already");
        let other = TcpSocket::new_v4().unwrap();
        other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let answer = asks(other.connect(address).await.unwrap()).await;
        assert!(answer.ends_with("here"), "{answer}");
        // What is closed is free again, as soon as the server has noticed.
        drop(first);
        while !asks(TcpStream::connect(address).await.unwrap()).await.ends_with("here") {}
    }

    #[test]
    fn a_machine_is_one_peer_by_whichever_of_its_addresses_it_comes() {
        let same =
            |one: &str, other: &str| peer(one.parse().unwrap()) == peer(other.parse().unwrap());
        assert!(same("10.0.0.7", "::ffff:10.0.0.7"));
        assert!(!same("10.0.0.7", "10.0.0.8"));
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
    }
}
