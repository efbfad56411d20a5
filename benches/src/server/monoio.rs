//! monoio on either driver: a runtime of its own in each worker, which share the port by
//! `SO_REUSEPORT`, as nothing moves between its threads. A deadline is a `monoio::time::timeout`.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::thread;

use monoio::buf::IoBuf as _;
use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};
use monoio::net::udp::UdpSocket;
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use super::{ACCEPT_PAUSE, BUFFER_SIZE, DEADLINE, Options, announce, announce_all};

/// Which of monoio's drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driver {
    /// epoll, through mio.
    Epoll,
    /// io_uring.
    Uring,
}

/// Tells whether the kernel offers what the io_uring driver needs.
pub(super) fn has_uring() -> bool {
    monoio::utils::detect_uring()
}

/// Serves for ever.
pub(super) fn run(options: &Options, driver: Driver) -> io::Result<()> {
    if let Some(sockets) = options.datagrams {
        return serve_datagrams(options, sockets, driver);
    }
    let deadline = options.deadline;
    // Port 0 would give each worker a port of its own, so the first one's bind decides for all.
    let (bound, rest) = std::sync::mpsc::channel();
    let first = Worker {
        addr: options.addr,
        deadline,
        bound: Some(bound),
    };
    let first = thread::Builder::new().spawn(move || first.run(driver))?;
    if let Ok(addr) = rest.recv() {
        for _ in 1..options.workers {
            let worker = Worker {
                addr,
                deadline,
                bound: None,
            };
            thread::Builder::new().spawn(move || worker.run(driver))?;
        }
        announce(SocketAddr::V4(addr))?;
    }
    first
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the first worker panicked")))
}

struct Worker {
    addr: SocketAddrV4,
    deadline: bool,
    /// Where the first worker tells the address it got.
    bound: Option<std::sync::mpsc::Sender<SocketAddrV4>>,
}

impl Worker {
    fn run(self, driver: Driver) -> io::Result<()> {
        block_on(driver, self.accept_all())
    }

    async fn accept_all(self) -> io::Result<()> {
        let listener = TcpListener::bind(self.addr)?;
        if let (Some(bound), SocketAddr::V4(addr)) = (&self.bound, listener.local_addr()?) {
            bound.send(addr).map_err(io::Error::other)?;
        }
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                monoio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            stream.set_nodelay(true)?;
            // A task's result is dropped: a peer that resets its connection ends it.
            if self.deadline {
                monoio::spawn(echo_with_deadlines(stream));
            } else {
                monoio::spawn(echo(stream));
            }
        }
    }
}

/// Runs `future` on a runtime of this thread's own.
fn block_on(driver: Driver, future: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    match driver {
        Driver::Epoll => {
            let builder = RuntimeBuilder::<LegacyDriver>::new();
            builder.enable_timer().build()?.block_on(future)
        }
        Driver::Uring => {
            let builder = RuntimeBuilder::<IoUringDriver>::new();
            builder.enable_timer().build()?.block_on(future)
        }
    }
}

/// Deals `count` sockets out to the workers, where each stays.
fn serve_datagrams(options: &Options, count: usize, driver: Driver) -> io::Result<()> {
    let (addr, workers) = (options.addr, options.workers);
    let (bound, addrs) = std::sync::mpsc::channel();
    let mut threads = Vec::new();
    for worker in 0..workers {
        let bound = bound.clone();
        let sockets = count / workers + usize::from(worker < count % workers);
        let serve = move || block_on(driver, echo_on_sockets(addr, sockets, bound));
        threads.push(thread::Builder::new().spawn(serve)?);
    }
    drop(bound);
    announce_all(&addrs.iter().take(count).collect::<Vec<_>>())?;
    for thread in threads {
        let ended = thread.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("a worker panicked")))?;
    }
    Ok(())
}

async fn echo_on_sockets(
    addr: SocketAddrV4,
    count: usize,
    bound: std::sync::mpsc::Sender<SocketAddr>,
) -> io::Result<()> {
    let mut tasks = Vec::new();
    for _ in 0..count {
        let socket = UdpSocket::bind(addr)?;
        bound.send(socket.local_addr()?).map_err(io::Error::other)?;
        tasks.push(monoio::spawn(echo_datagrams(socket)));
    }
    drop(bound);
    for task in tasks {
        task.await?;
    }
    Ok(())
}

async fn echo_datagrams(socket: UdpSocket) -> io::Result<()> {
    let mut buf = vec![0; BUFFER_SIZE];
    loop {
        let (received, filled) = socket.recv_from(buf).await;
        let (n, from) = received?;
        let (sent, slice) = socket.send_to(filled.slice(..n), from).await;
        sent?;
        buf = slice.into_inner();
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = vec![0; BUFFER_SIZE];
    loop {
        let (read, filled) = stream.read(buf).await;
        let n = read?;
        if n == 0 {
            return Ok(());
        }
        let (written, slice) = stream.write_all(filled.slice(..n)).await;
        written?;
        buf = slice.into_inner();
    }
}

async fn echo_with_deadlines(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = vec![0; BUFFER_SIZE];
    loop {
        let (read, filled) = in_time(stream.read(buf)).await?;
        let n = read?;
        if n == 0 {
            return Ok(());
        }
        let (written, slice) = in_time(stream.write_all(filled.slice(..n))).await?;
        written?;
        buf = slice.into_inner();
    }
}

async fn in_time<T>(operation: impl Future<Output = T>) -> io::Result<T> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    monoio::time::timeout(DEADLINE, operation)
        .await
        .map_err(late)
}
