//! What the tests share: both flavours of runtime, a limit on every wait, descriptors to talk over.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::future::{Future, poll_fn};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use gannet_runtime::{AsyncFd, Builder, JoinError, Runtime, spawn, yield_now};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// How long a test may take before it counts as hung; many times what any needs.
const LIMIT: Duration = Duration::from_secs(40);

/// Runs `body` on a thread of its own, and fails the test if that hangs.
#[track_caller]
pub(crate) fn within<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = channel();
    let thread = std::thread::spawn(move || {
        let output = body();
        let _ = done.send(());
        output
    });
    match result.recv_timeout(LIMIT) {
        Err(RecvTimeoutError::Timeout) => panic!("hangs: no result after {LIMIT:?}"),
        // A closed channel is a panic of the body, which `join` hands over.
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        }
    }
}

pub(crate) fn current() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

pub(crate) fn multi(workers: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .build()
        .expect("a runtime")
}

/// Runs `body` as a task of a current-thread runtime, then of one with two workers.
#[track_caller]
pub(crate) fn on_both<F>(body: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    within(move || {
        for (flavor, runtime) in [("current-thread", current()), ("multi-thread", multi(2))] {
            eprintln!("flavour: {flavor}");
            runtime.block_on(async { joined(spawn(body()).await) });
        }
    });
}

/// Passes a task's panic on.
#[track_caller]
pub(crate) fn joined<T>(result: Result<T, JoinError>) -> T {
    result.unwrap_or_else(|err| panic!("{}", err.resume_panic()))
}

pub(crate) fn adopt(fd: impl Into<std::os::fd::OwnedFd>) -> AsyncFd {
    AsyncFd::new(fd).expect("a descriptor that can be polled")
}

/// The reading and the writing end of a pipe.
pub(crate) fn pipe() -> (AsyncFd, AsyncFd) {
    let (reader, writer) = gannet_sys::fd::pipe().expect("a pipe");
    (adopt(reader), adopt(writer))
}

/// Two connected Unix stream sockets.
pub(crate) fn pair() -> (AsyncFd, AsyncFd) {
    let (a, b) = UnixStream::pair().expect("a socketpair");
    (adopt(a), adopt(b))
}

/// One end adopted, the other left to the test.
pub(crate) fn half_pair() -> (AsyncFd, UnixStream) {
    let (a, b) = UnixStream::pair().expect("a socketpair");
    (adopt(a), b)
}

/// Two connected TCP sockets: one adopted, the other left to the test.
pub(crate) fn tcp_pair() -> (AsyncFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let (accepted, _) = listener.accept().expect("a connection is there");
    (adopt(accepted), peer)
}

pub(crate) async fn read(fd: &AsyncFd, len: usize) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; len];
    let n = fd
        .read_with(|fd| gannet_sys::fd::read(fd, &mut buf))
        .await?;
    buf.truncate(n);
    Ok(buf)
}

pub(crate) async fn read_stream(fd: &AsyncFd, len: usize) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; len];
    let n = fd
        .read_stream_with(len, |fd| gannet_sys::fd::read(fd, &mut buf))
        .await?;
    buf.truncate(n);
    Ok(buf)
}

/// Writes once, and returns how much was taken.
pub(crate) async fn write(fd: &AsyncFd, buf: &[u8]) -> io::Result<usize> {
    fd.write_with(|fd| gannet_sys::fd::write(fd, buf)).await
}

pub(crate) async fn write_all(fd: &AsyncFd, mut buf: &[u8]) -> io::Result<()> {
    while !buf.is_empty() {
        let n = write(fd, buf).await?;
        buf = &buf[n..];
    }
    Ok(())
}

/// Fills the descriptor's send queue, and returns how much that took.
pub(crate) fn fill(fd: &AsyncFd) -> usize {
    let chunk = [b'.'; 64 * 1024];
    let mut total = 0;
    loop {
        match fd.try_write_with(|fd| gannet_sys::fd::write(fd, &chunk)) {
            Ok(n) => total += n,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => return total,
            Err(err) => panic!("fill: {err}"),
        }
    }
}

/// Empties the receive queue, and returns how much was there.
pub(crate) fn drain(fd: impl AsFd) -> usize {
    let mut buf = [0; 64 * 1024];
    let mut total = 0;
    loop {
        match gannet_sys::fd::read(fd.as_fd(), &mut buf) {
            Ok(0) => return total,
            Ok(n) => total += n,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => return total,
            Err(err) => panic!("drain: {err}"),
        }
    }
}

/// Polls a future once, as part of this task.
pub(crate) async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Polls a future once, and makes sure that it has to wait: it is registered wherever it waits.
pub(crate) async fn blocked<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    let polled = poll_once(future.as_mut()).await;
    assert!(polled.is_pending(), "a future should have to wait");
    future
}

/// Lets others run until `condition` holds. A hang is the watchdog's business.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// As [`until`], for a thread that may block.
pub(crate) fn until_blocking(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

/// An event that happens once, for tasks and threads to wait for.
#[derive(Default, Clone)]
pub(crate) struct Gate(Arc<(Mutex<Opened>, Condvar)>);

#[derive(Default)]
struct Opened {
    is_open: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    pub(crate) fn open(&self) {
        let wakers = {
            let mut state = self.0.0.lock().expect("not poisoned");
            state.is_open = true;
            std::mem::take(&mut state.waiting)
        };
        self.0.1.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.0.lock().expect("not poisoned").is_open
    }

    pub(crate) async fn wait(&self) {
        poll_fn(|cx| {
            let mut state = self.0.0.lock().expect("not poisoned");
            if state.is_open {
                return Poll::Ready(());
            }
            state.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn wait_blocking(&self) {
        let state = self.0.0.lock().expect("not poisoned");
        let waited = self.0.1.wait_while(state, |state| !state.is_open);
        drop(waited.expect("not poisoned"));
    }

    /// As `wait_blocking`, but gives up. Returns whether the gate is open.
    pub(crate) fn wait_at_most(&self, limit: Duration) -> bool {
        let state = self.0.0.lock().expect("not poisoned");
        let waited = self
            .0
            .1
            .wait_timeout_while(state, limit, |state| !state.is_open);
        waited.expect("not poisoned").0.is_open
    }
}

/// Counts its drops.
pub(crate) struct Counted(pub(crate) Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn counter() -> Arc<AtomicUsize> {
    Arc::new(AtomicUsize::new(0))
}

/// A xorshift generator: tests are random, and the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
