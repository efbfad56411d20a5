//! Linger times: however a connection comes by one, closing it holds up no worker.

mod common;

use std::future::{Future, poll_fn};
use std::io;
use std::net::TcpStream as StdStream;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use common::{pair, run, run_threads};
use gannet_net::error::{is_closed, raw_os_error};
use gannet_net::{
    Conn, ControlInfo, Dialer, ListenConfig, Listener, RawSocket, TcpListener, TcpStream,
};
use gannet_sys::errno;

const WAIT: Option<Duration> = Some(Duration::from_secs(20));

/// What gives a connection its linger time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Given {
    ByMethod,
    ByControl,
    ByDialHook,
    ByListenHook,
    ByListenerControl,
    BeforeAdoption,
    BeforeAdoptionOfListener,
    ByOriginal,
}

fn hook(_: &ControlInfo, socket: &RawSocket<'_>) -> io::Result<()> {
    socket.set_linger(WAIT)
}

/// Makes a connection that lingers, and its peer.
async fn lingering(given: Given) -> (Conn, Conn) {
    match given {
        Given::ByMethod => {
            let (client, server) = pair("tcp").await;
            let client = TcpStream::try_from(client).unwrap();
            client.set_linger(WAIT).unwrap();
            (client.into(), server)
        }
        Given::ByControl | Given::BeforeAdoption | Given::ByOriginal => {
            let (client, server) = pair("tcp").await;
            client.control(|raw| raw.set_linger(WAIT)).unwrap();
            match given {
                Given::ByControl => (client, server),
                Given::ByOriginal => (client.try_clone().unwrap(), server),
                _ => {
                    let fd = OwnedFd::try_from(client).unwrap();
                    (Conn::try_from(fd).unwrap(), server)
                }
            }
        }
        Given::ByDialHook => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let dialer = Dialer::new().control(hook);
            let addr = listener.local_addr().unwrap();
            let client = dialer.dial("tcp", addr).await.unwrap();
            (client, listener.accept().await.unwrap().0.into())
        }
        Given::ByListenerControl => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.control(|raw| raw.set_linger(WAIT)).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap());
            let client = client.await.unwrap();
            (listener.accept().await.unwrap().0.into(), client.into())
        }
        Given::ByListenHook | Given::BeforeAdoptionOfListener => {
            let config = ListenConfig::new().control(hook);
            let mut listener = config.listen_stream("tcp", "127.0.0.1:0").await.unwrap();
            if given == Given::BeforeAdoptionOfListener {
                let fd = OwnedFd::try_from(listener).unwrap();
                listener = Listener::try_from(fd).unwrap();
            }
            let addr = listener.local_addr().unwrap();
            let client = gannet_net::dial("tcp", addr).await.unwrap();
            (listener.accept().await.unwrap().0, client)
        }
    }
}

/// Closes `conn` while its peer, on the same thread, reads what was sent; returns how much came, and
/// whether closing waited for that.
async fn close_while_reading(conn: &Conn, peer: &Conn) -> (usize, bool) {
    let mut close = pin!(conn.close());
    let waited = poll_fn(|cx| Poll::Ready(close.as_mut().poll(cx).is_pending())).await;
    let (mut got, mut buf) = (0, vec![0; 65_536]);
    loop {
        match peer.read(&mut buf).await.unwrap() {
            0 => break,
            len => got += len,
        }
    }
    if waited {
        close.await.unwrap();
    }
    (got, waited)
}

#[test]
fn lingering_close_holds_up_nobody_and_loses_nothing() {
    for given in [
        Given::ByMethod,
        Given::ByControl,
        Given::ByDialHook,
        Given::ByListenHook,
        Given::ByListenerControl,
        Given::BeforeAdoption,
        Given::BeforeAdoptionOfListener,
        Given::ByOriginal,
    ] {
        run(async {
            let (conn, peer) = lingering(given).await;
            // Not asked for by `control`, after which the time would be seen in any case.
            let mut sent = 0;
            while let Ok(len) = conn.try_write(&[1; 65_536]) {
                sent += len;
            }
            // Nobody reads while it is polled for the first time, so the kernel cannot be done. Were
            // it this thread that waits, it would return only when the time is over, as ready.
            let closed = close_while_reading(&conn, &peer).await;
            assert_eq!(closed, (sent, true), "{given:?}");
        });
    }
}

#[test]
fn sockets_of_other_kinds_do_not_wait_to_be_closed() {
    run(async {
        let (left, _right) = pair("unix").await;
        left.control(|raw| raw.set_linger(WAIT)).unwrap();
        left.close().await.unwrap();
        let config = ListenConfig::new().control(hook);
        let listener = config.listen_stream("tcp", "127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        listener.control(|raw| raw.set_linger(WAIT)).unwrap();
        listener.close().await.unwrap();
        let err = gannet_net::dial("tcp", addr).await.unwrap_err();
        let text = "a second descriptor would go on listening";
        assert_eq!(raw_os_error(&err), Some(errno::ECONNREFUSED), "{text}");

        let (client, _server) = pair("tcp").await;
        let client = TcpStream::try_from(client).unwrap();
        client.close().await.unwrap();
        assert!(is_closed(&client.set_linger(None).unwrap_err()));
        assert!(is_closed(&client.control(|_| Ok(())).unwrap_err()));
    });
}

#[test]
fn lingering_can_be_undone_dropped_and_given_away() {
    run_threads(async {
        let (client, server) = pair("tcp").await;
        let client = TcpStream::try_from(client).unwrap();
        let wait = WAIT;
        client.set_linger(wait).unwrap();
        assert_eq!(client.linger().unwrap(), wait);
        client.set_linger(wait).unwrap();
        client.set_linger(None).unwrap();
        assert_eq!(client.linger().unwrap(), None);
        client.set_linger(wait).unwrap();
        let std: StdStream = client.into_std().unwrap();
        let client = TcpStream::try_from(std).unwrap();
        client.set_linger(wait).unwrap();
        client.write_all(b"last").await.unwrap();
        drop(client);
        let mut buf = [0; 8];
        assert_eq!(server.read(&mut buf).await.unwrap(), 4);
        assert_eq!(server.read(&mut buf).await.unwrap(), 0, "closed");

        let (client, server) = pair("tcp").await;
        let client = TcpStream::try_from(client).unwrap();
        client.set_linger(Some(Duration::ZERO)).unwrap();
        client.close().await.unwrap();
        let err = server.read(&mut buf).await.unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::ECONNRESET));
    });
}
