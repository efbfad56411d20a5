//! Terminals: copied from into a connection, and closed under their reader.

mod support;

use std::io::Write;
use std::net::Shutdown;

use gannet::net::error;
use gannet::{AsyncFd, spawn};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use support::net::{STREAMS, on_both, spawn_blocked, stream_pair};

/// What shows a terminal and types on it, and what a program has of it.
fn terminal() -> (std::fs::File, AsyncFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let user = openpt(flags).expect("a terminal");
    grantpt(&user)
        .and_then(|()| unlockpt(&user))
        .expect("our terminal");
    let program = ioctl_tiocgptpeer(&user, flags).expect("its other end");
    (
        user.into(),
        AsyncFd::new(program).expect("it can be polled"),
    )
}

/// Go: TestCopyFromTTY.
#[test]
fn terminal_is_copied_from_until_its_user_ends_it() {
    on_both(|| async {
        for network in STREAMS {
            let (mut user, program) = terminal();
            let (client, server) = stream_pair(network).await;
            let copying = spawn(async move {
                let copied = client.read_from(&program).await;
                client.shutdown(Shutdown::Write).unwrap();
                copied
            });
            // Ctrl-D hands on what was typed, and on an empty line it is the end.
            user.write_all(b"hello\x04").unwrap();
            let mut buf = [0; 5];
            server.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"hello");
            user.write_all(b"\x04").unwrap();
            assert_eq!(copying.await.unwrap().unwrap(), 5, "{network}");
            assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        }
    });
}

/// Go: TestTTYClose.
#[test]
fn terminal_is_closed_under_its_reader() {
    on_both(|| async {
        let (_user, program) = terminal();
        let program = std::sync::Arc::new(program);
        let reader = program.clone();
        let read = spawn_blocked(async move {
            let mut byte = [0];
            let read = reader.read_with(|fd| Ok(rustix::io::read(fd, &mut byte)?));
            read.await
        });
        let read = read.await;
        program.close().await.unwrap();
        assert!(error::is_closed(&read.await.unwrap().unwrap_err()));
    });
}
