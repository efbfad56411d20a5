//! may: a coroutine with a stack of its own for each connection, written as blocking code. Its
//! timeout belongs to the socket and starts anew with each operation, so it is set once.

use std::io::{self, Read as _, Write as _};

use may::net::{TcpListener, TcpStream};

use super::{ACCEPT_PAUSE, BUFFER_SIZE, DEADLINE, Options, announce};

/// Serves for ever.
pub(super) fn run(options: &Options) -> io::Result<()> {
    may::config().set_workers(options.workers);
    let addr = options.addr;
    let deadline = options.deadline;
    let accepting = may::go!(move || accept_all(TcpListener::bind(addr)?, deadline));
    accepting
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the accepting coroutine panicked")))
}

fn accept_all(listener: TcpListener, deadline: bool) -> io::Result<()> {
    announce(listener.local_addr()?)?;
    loop {
        let Ok((stream, _)) = listener.accept() else {
            may::coroutine::sleep(ACCEPT_PAUSE);
            continue;
        };
        stream.set_nodelay(true)?;
        if deadline {
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.set_write_timeout(Some(DEADLINE))?;
        }
        // A peer that resets its connection ends it, and that is all.
        may::go!(move || drop(echo(stream)));
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = vec![0; BUFFER_SIZE];
    loop {
        let n = stream.read(&mut buf)?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..n])?;
    }
}
