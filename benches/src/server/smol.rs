//! smol: one async-executor that `workers` threads run, as its documentation shows. A deadline is a
//! race against a `Timer`, since smol has no timeout of its own.

use std::future::Future;
use std::io::{self, Read as _};
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::thread;

use smol::future::FutureExt as _;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::{TcpListener, TcpStream, UdpSocket};
use smol::{Async, Executor, Timer};

use super::{
    ACCEPT_PAUSE, BLOCK, BLOCK_PAUSE, BUFFER_SIZE, DEADLINE, Options, announce, announce_all,
};

/// Serves for ever.
pub(super) fn run(options: &Options) -> io::Result<()> {
    let executor = Arc::new(Executor::new());
    for _ in 1..options.workers {
        let executor = Arc::clone(&executor);
        thread::Builder::new()
            .spawn(move || smol::block_on(executor.run(smol::future::pending::<()>())))?;
    }
    let (shared, options) = (Arc::clone(&executor), options.clone());
    let serving = match options.datagrams {
        Some(sockets) => executor.spawn(serve_datagrams(shared, options, sockets)),
        None => executor.spawn(accept_all(shared, options)),
    };
    smol::block_on(executor.run(serving))
}

async fn serve_datagrams(
    executor: Arc<Executor<'static>>,
    options: Options,
    count: usize,
) -> io::Result<()> {
    let (mut addrs, mut tasks) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let socket = UdpSocket::bind(options.addr).await?;
        addrs.push(socket.local_addr()?);
        tasks.push(executor.spawn(echo_datagrams(socket)));
    }
    announce_all(&addrs)?;
    for task in tasks {
        task.await?;
    }
    Ok(())
}

async fn echo_datagrams(socket: UdpSocket) -> io::Result<()> {
    let mut buf = vec![0; BUFFER_SIZE];
    loop {
        let (n, from) = socket.recv_from(&mut buf).await?;
        socket.send_to(&buf[..n], from).await?;
    }
}

async fn accept_all(executor: Arc<Executor<'static>>, options: Options) -> io::Result<()> {
    if options.blocker {
        executor.spawn(block()).detach();
    }
    let listener = TcpListener::bind(options.addr).await?;
    announce(listener.local_addr()?)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            Timer::after(ACCEPT_PAUSE).await;
            continue;
        };
        stream.set_nodelay(true)?;
        // A task's result is dropped: a peer that resets its connection ends it, and that is all.
        if options.lazy {
            executor.spawn(echo_lazily(stream.into())).detach();
        } else if options.deadline {
            executor.spawn(echo_with_deadlines(stream)).detach();
        } else {
            executor.spawn(echo(stream)).detach();
        }
    }
}

/// Does what a task must not do.
async fn block() {
    loop {
        thread::sleep(BLOCK);
        Timer::after(BLOCK_PAUSE).await;
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = vec![0; BUFFER_SIZE];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..n]).await?;
    }
}

async fn echo_with_deadlines(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = vec![0; BUFFER_SIZE];
    loop {
        let n = in_time(stream.read(&mut buf)).await?;
        if n == 0 {
            return Ok(());
        }
        in_time(stream.write_all(&buf[..n])).await?;
    }
}

async fn in_time<T>(operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        Timer::after(DEADLINE).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    operation.or(late).await
}

async fn echo_lazily(stream: Arc<Async<StdStream>>) -> io::Result<()> {
    loop {
        stream.readable().await?;
        let mut buf = vec![0; BUFFER_SIZE];
        match stream.get_ref().read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => (&*stream).write_all(&buf[..n]).await?,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
            Err(err) => return Err(err),
        }
    }
}
