//! gannet, in both its flavours. `TCP_NODELAY` is on by default, accept itself waits for
//! descriptors when there are none, and a deadline belongs to the stream and is moved before each
//! operation.

use std::future::Future;
use std::io;
use std::thread;
use std::time::Instant;

use gannet::net::{RecvBatch, RecvDatagram, TcpListener, TcpStream, Transmit, UdpSocket};
use gannet::runtime::Builder;

use super::{
    BATCH, BLOCK, BLOCK_PAUSE, BUFFER_SIZE, DEADLINE, JOINED_SIZE, Options, announce, announce_all,
};
use crate::bulk;

/// Which of gannet's runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavor {
    /// Workers that steal from each other.
    MultiThread,
    /// Everything on the thread that blocks.
    CurrentThread,
}

/// Serves for ever.
pub(super) fn run(options: &Options, flavor: Flavor) -> io::Result<()> {
    let runtime = match flavor {
        Flavor::MultiThread => Builder::new_multi_thread()
            .worker_threads(options.workers)
            .build()?,
        Flavor::CurrentThread => Builder::new_current_thread().build()?,
    };
    let options = options.clone();
    // A task of its own, so that accepts run on a worker and not on the blocked thread.
    let serving = runtime.block_on(async {
        match options.datagrams {
            _ if options.bulk => gannet::spawn(bulk::gannet::run(options.joined)).await,
            Some(sockets) => gannet::spawn(serve_datagrams(options, sockets)).await,
            None => gannet::spawn(accept_all(options)).await,
        }
    });
    serving.map_err(io::Error::other)?
}

async fn serve_datagrams(options: Options, count: usize) -> io::Result<()> {
    let (mut addrs, mut tasks) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let socket = UdpSocket::bind(options.addr).await?;
        addrs.push(socket.local_addr()?);
        tasks.push(if options.joined {
            socket.set_gro(true)?;
            gannet::spawn(echo_joined(socket))
        } else if options.batches {
            gannet::spawn(echo_batches(socket))
        } else {
            gannet::spawn(echo_datagrams(socket))
        });
    }
    announce_all(&addrs)?;
    for task in tasks {
        task.await.map_err(io::Error::other)??;
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

async fn echo_batches(socket: UdpSocket) -> io::Result<()> {
    let mut batch = RecvBatch::new(BATCH, BUFFER_SIZE);
    loop {
        socket.recv_batch(&mut batch).await?;
        let echoes = batch.datagrams();
        let echoes: Vec<Transmit<'_>> = echoes.map(|it| Transmit::new(it.data, it.from)).collect();
        send_all(&socket, &echoes).await?;
    }
}

async fn echo_joined(socket: UdpSocket) -> io::Result<()> {
    let mut batch = RecvBatch::new(BATCH, JOINED_SIZE);
    loop {
        socket.recv_batch(&mut batch).await?;
        let echoes: Vec<Transmit<'_>> = batch.messages().map(echo_of).collect();
        send_all(&socket, &echoes).await?;
    }
}

fn echo_of(message: RecvDatagram<'_>) -> Transmit<'_> {
    let mut echo = Transmit::new(message.data, message.from);
    echo.segment_size = message.segment_size;
    echo
}

async fn send_all(socket: &UdpSocket, mut transmits: &[Transmit<'_>]) -> io::Result<()> {
    while !transmits.is_empty() {
        let sent = socket.send_batch(transmits).await?;
        transmits = &transmits[sent..];
    }
    Ok(())
}

async fn accept_all(options: Options) -> io::Result<()> {
    if options.blocker {
        gannet::spawn(block());
    }
    let listener = TcpListener::bind(options.addr).await?;
    announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        // A task's result is dropped: a peer that resets its connection ends it, and that is all.
        if options.lazy {
            gannet::spawn(echo_lazily(stream));
        } else if options.deadline {
            gannet::spawn(echo_with_deadlines(stream));
        } else {
            gannet::spawn(echo(stream));
        }
    }
}

/// Does what a task must not do.
async fn block() {
    loop {
        thread::sleep(BLOCK);
        gannet::time::sleep(BLOCK_PAUSE).await;
    }
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut buf = vec![0; BUFFER_SIZE];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..n]).await?;
    }
}

async fn echo_with_deadlines(stream: TcpStream) -> io::Result<()> {
    let mut buf = vec![0; BUFFER_SIZE];
    loop {
        stream.set_read_deadline(Some(Instant::now() + DEADLINE))?;
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.set_write_deadline(Some(Instant::now() + DEADLINE))?;
        stream.write_all(&buf[..n]).await?;
    }
}

#[allow(
    clippy::manual_async_fn,
    reason = "an `async fn` keeps its argument twice in the future"
)]
fn echo_lazily(stream: TcpStream) -> impl Future<Output = io::Result<()>> {
    async move {
        loop {
            stream.readable().await?;
            let mut buf = vec![0; BUFFER_SIZE];
            let n = stream.read(&mut buf).await?;
            if n == 0 {
                return Ok(());
            }
            stream.write_all(&buf[..n]).await?;
        }
    }
}
