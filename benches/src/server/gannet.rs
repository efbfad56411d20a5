//! gannet, in both its flavours. `TCP_NODELAY` is on by default, accept itself waits for
//! descriptors when there are none, and a deadline belongs to the stream and is moved before each
//! operation.

use std::future::Future;
use std::io;
use std::time::Instant;

use gannet::net::{TcpListener, TcpStream};
use gannet::runtime::Builder;

use super::{BUFFER_SIZE, DEADLINE, Options, announce};

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
    let accepting = runtime.block_on(async { gannet::spawn(accept_all(options)).await });
    accepting.map_err(io::Error::other)?
}

async fn accept_all(options: Options) -> io::Result<()> {
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
