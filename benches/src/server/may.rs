//! may: a coroutine with a stack of its own for each connection, written as blocking code. Its
//! timeout belongs to the socket and starts anew with each operation, so it is set once.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddrV4;

use may::net::{TcpListener, TcpStream, UdpSocket};

use super::{ACCEPT_PAUSE, BUFFER_SIZE, DEADLINE, Options, announce, announce_all};

/// Serves for ever.
pub(super) fn run(options: &Options) -> io::Result<()> {
    may::config().set_workers(options.workers);
    let addr = options.addr;
    let deadline = options.deadline;
    let datagrams = options.datagrams;
    let serving = may::go!(move || match datagrams {
        Some(sockets) => serve_datagrams(addr, sockets),
        None => accept_all(TcpListener::bind(addr)?, deadline),
    });
    serving.join().unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> io::Error {
    io::Error::other("a coroutine panicked")
}

fn serve_datagrams(addr: SocketAddrV4, count: usize) -> io::Result<()> {
    let (mut addrs, mut coroutines) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let socket = UdpSocket::bind(addr)?;
        addrs.push(socket.local_addr()?);
        coroutines.push(may::go!(move || echo_datagrams(&socket)));
    }
    announce_all(&addrs)?;
    for coroutine in coroutines {
        coroutine.join().unwrap_or_else(|_| Err(panicked()))?;
    }
    Ok(())
}

fn echo_datagrams(socket: &UdpSocket) -> io::Result<()> {
    let mut buf = vec![0; BUFFER_SIZE];
    loop {
        let (n, from) = socket.recv_from(&mut buf)?;
        socket.send_to(&buf[..n], from)?;
    }
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
