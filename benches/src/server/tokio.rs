//! tokio, in both its flavours. A deadline is a `tokio::time::timeout` around each operation.

use std::future::Future;
use std::io;
use std::net::SocketAddrV4;
use std::thread;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::{
    ACCEPT_PAUSE, BLOCK, BLOCK_PAUSE, BUFFER_SIZE, DEADLINE, Options, announce, announce_all, quinn,
};
use crate::bulk;

/// Which of tokio's runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavor {
    /// Workers that steal from each other.
    MultiThread,
    /// Everything on the thread that blocks.
    CurrentThread,
}

/// Serves for ever.
pub(super) fn run(options: &Options, flavor: Flavor) -> io::Result<()> {
    let mut builder = match flavor {
        Flavor::MultiThread => Builder::new_multi_thread(),
        Flavor::CurrentThread => Builder::new_current_thread(),
    };
    let runtime = builder
        .worker_threads(options.workers)
        .enable_all()
        .build()?;
    let options = options.clone();
    // A task of its own, so that accepts run on a worker and not on the blocked thread.
    runtime.block_on(async {
        match options.datagrams {
            _ if options.bulk => tokio::spawn(bulk::tokio::run(options.joined)).await,
            Some(sockets) => tokio::spawn(serve_datagrams(options, sockets)).await,
            None => tokio::spawn(accept_all(options)).await,
        }
    })?
}

async fn serve_datagrams(options: Options, count: usize) -> io::Result<()> {
    let (mut addrs, mut tasks) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let socket = UdpSocket::bind(options.addr).await?;
        addrs.push(socket.local_addr()?);
        tasks.push(if options.joined {
            tokio::spawn(quinn::echo_joined(socket))
        } else {
            tokio::spawn(echo_datagrams(socket))
        });
    }
    announce_all(&addrs)?;
    for task in tasks {
        task.await??;
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

async fn accept_all(options: Options) -> io::Result<()> {
    if options.blocker {
        tokio::spawn(block());
    }
    let listener = TcpListener::bind(options.addr).await?;
    announce(listener.local_addr()?)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        stream.set_nodelay(true)?;
        // A task's result is dropped: a peer that resets its connection ends it, and that is all.
        if let Some(upstream) = options.relay {
            tokio::spawn(relay(stream, upstream));
        } else if options.lazy {
            tokio::spawn(echo_lazily(stream));
        } else if options.deadline {
            tokio::spawn(echo_with_deadlines(stream));
        } else {
            tokio::spawn(echo(stream));
        }
    }
}

/// Does what a task must not do.
async fn block() {
    loop {
        thread::sleep(BLOCK);
        tokio::time::sleep(BLOCK_PAUSE).await;
    }
}

async fn relay(mut stream: TcpStream, upstream: SocketAddrV4) -> io::Result<()> {
    let mut sink = TcpStream::connect(upstream).await?;
    sink.set_nodelay(true)?;
    copy_bidirectional(&mut stream, &mut sink).await.map(drop)
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
    timeout(DEADLINE, operation)
        .await
        .map_err(io::Error::from)?
}

async fn echo_lazily(mut stream: TcpStream) -> io::Result<()> {
    loop {
        stream.readable().await?;
        let mut buf = vec![0; BUFFER_SIZE];
        match stream.try_read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => stream.write_all(&buf[..n]).await?,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
            Err(err) => return Err(err),
        }
    }
}
