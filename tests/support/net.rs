//! Running tests of sockets inside of runtimes, and making pairs of sockets.

use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use gannet::net::error;
use gannet::net::{Conn, ListenConfig, Listener, PacketConn, UnixDatagram, UnixStream};
use gannet::net::{dial, listen_packet, listen_stream};
use gannet::{Builder, JoinHandle, spawn, yield_now};

use super::watchdog::Watchdog;

/// How long one test of sockets may run.
const TEST_LIMIT: Duration = Duration::from_secs(120);

/// Runs a test on a current-thread runtime and on one with two workers, each under a watchdog.
pub(crate) fn on_both<F>(test: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let _watchdog = Watchdog::start(TEST_LIMIT);
    Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(test());
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    // As a task, so that it runs on a worker.
    if let Err(err) = runtime.block_on(runtime.spawn(test())) {
        panic!("{}", err.resume_panic());
    }
}

/// The stream networks that a test goes through.
pub(crate) const STREAMS: [&str; 3] = ["tcp4", "tcp6", "unix"];

/// The packet networks that a test goes through.
pub(crate) const PACKETS: [&str; 3] = ["udp4", "udp6", "unixgram"];

/// An address to listen on: any port of loopback, or a Unix name that the kernel chooses.
pub(crate) fn any_address(network: &str) -> &'static str {
    match network {
        "tcp6" | "udp6" => "[::1]:0",
        "unix" | "unixgram" => "",
        _ => "127.0.0.1:0",
    }
}

/// Two ends of a connection on `network`: the one that was dialled, and the one that was accepted.
pub(crate) async fn stream_pair(network: &str) -> (Conn, Conn) {
    if network == "unix" {
        let (left, right) = UnixStream::pair().expect("a pair of Unix sockets");
        return (left.into(), right.into());
    }
    let listener = listen_stream(network, any_address(network))
        .await
        .expect("a listener");
    let client = dial(network, listener.local_addr().expect("its address"))
        .await
        .expect("a dial");
    let (server, _) = listener.accept().await.expect("an accept");
    (client, server)
}

/// A listener that answers nobody, because its queue is full, and the one connection that fills it.
pub(crate) async fn black_hole() -> (Listener, Conn) {
    let config = ListenConfig::new().backlog(0);
    let listener = config
        .listen_stream("tcp4", "127.0.0.1:0")
        .await
        .expect("a listener");
    // The kernel's rule: it is full when more wait than the backlog says.
    let queued = dial("tcp4", listener.local_addr().expect("its address")).await;
    (listener, queued.expect("the first of them"))
}

/// Two packet sockets that are not connected.
pub(crate) async fn packet_pair(network: &str) -> (PacketConn, PacketConn) {
    let open = || async {
        listen_packet(network, any_address(network))
            .await
            .expect("a socket")
    };
    (open().await, open().await)
}

/// Two packet sockets, each the other's one peer.
pub(crate) async fn connected_packets(network: &str) -> (Conn, PacketConn) {
    if network == "unixgram" {
        let (left, right) = UnixDatagram::pair().expect("a pair of Unix sockets");
        return (left.into(), right.into());
    }
    let server = listen_packet(network, any_address(network))
        .await
        .expect("a socket");
    let client = dial(network, server.local_addr().expect("its address"))
        .await
        .expect("a dial");
    (client, server)
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Spawns a future in a task of its own, and returns once it waits: only its own waker can bring it
/// to its end then.
pub(crate) async fn spawn_blocked<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let waits = Arc::new(AtomicBool::new(false));
    let told = waits.clone();
    let task = spawn(async move {
        let mut future = pin!(future);
        assert!(
            poll_once(&mut future).await.is_pending(),
            "it does not wait"
        );
        told.store(true, Ordering::Release);
        future.await
    });
    while !waits.load(Ordering::Acquire) && !task.is_finished() {
        yield_now().await;
    }
    task
}

/// An instant that is over.
pub(crate) fn past() -> Option<Instant> {
    let now = Instant::now();
    Some(now.checked_sub(Duration::from_secs(5)).unwrap_or(now))
}

/// An instant to come.
pub(crate) fn after(timeout: Duration) -> Option<Instant> {
    Some(Instant::now() + timeout)
}

/// The error of a result that must have one.
#[track_caller]
pub(crate) fn error_of<T: Debug>(result: io::Result<T>) -> io::Error {
    result.expect_err("an error")
}

/// Fails unless `err` says what was done and on which network: nothing else may reach a caller.
#[track_caller]
pub(crate) fn assert_well_formed(err: &io::Error) {
    let op = error::op_error(err).unwrap_or_else(|| panic!("a bare error: {err:?}"));
    assert!(!op.network.is_empty(), "{err:?}");
    assert!(err.to_string().starts_with(op.op.as_str()), "{err}");
}

/// Fails unless `err` is that of a deadline.
#[track_caller]
pub(crate) fn assert_deadline(err: &io::Error) {
    assert_well_formed(err);
    assert!(
        error::is_deadline(err) && error::is_timeout(err),
        "not a deadline: {err}"
    );
    assert!(!error::is_closed(err), "{err}");
    assert_eq!(err.kind(), io::ErrorKind::TimedOut);
    assert!(err.to_string().ends_with(": i/o timeout"), "{err}");
}

/// Fails unless `err` is that of a closed socket.
#[track_caller]
pub(crate) fn assert_closed(err: &io::Error) {
    assert_well_formed(err);
    assert!(error::is_closed(err), "not closed: {err}");
    assert!(
        !error::is_timeout(err) && !error::is_temporary(err),
        "{err}"
    );
    assert!(
        err.to_string()
            .ends_with(": use of closed network connection"),
        "{err}"
    );
}

/// Writes until the kernel takes no more, so that the next write has to wait; returns how much it
/// took.
pub(crate) async fn fill(conn: &Conn) -> usize {
    let block = [b'x'; 16 * 1024];
    let mut taken = 0;
    loop {
        let mut write = pin!(conn.write(&block));
        match poll_once(&mut write).await {
            Poll::Ready(written) => taken += written.expect("the connection is open"),
            Poll::Pending => return taken,
        }
    }
}
