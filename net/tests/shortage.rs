//! What happens when descriptors run out, and that none are lost. One test: the limit and the count
//! are the process's.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{fresh_path, listen, run_threads};
use gannet_net::error::{is_closed, is_deadline, raw_os_error};
use gannet_net::{Conn, Dialer, ListenConfig, PacketConn, UnixStream, dial};
use gannet_runtime::{spawn, time};
use gannet_sys::errno;

fn open_fds() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .expect("a list of descriptors")
        .count()
}

/// Takes all the descriptors that the process may still have, and gives them back when dropped.
struct Hoard {
    fds: Vec<std::fs::File>,
    limit: u64,
}

impl Hoard {
    fn take() -> Self {
        let (limit, _) = gannet_sys::fd::fd_limit().unwrap();
        gannet_sys::fd::set_fd_limit(open_fds() as u64 + 20).unwrap();
        let mut fds = Vec::new();
        while let Ok(fd) = std::fs::File::open("/dev/null") {
            fds.push(fd);
        }
        assert!(!fds.is_empty());
        Hoard { fds, limit }
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        self.fds.clear();
        gannet_sys::fd::set_fd_limit(self.limit).unwrap();
    }
}

#[test]
fn shortage_pauses_accept_and_loses_nothing() {
    run_threads(async {
        accept_resumes_when_descriptors_are_free().await;
        paused_accept_obeys_deadline_and_close().await;
        dial_without_descriptors_is_an_error().await;
        nothing_leaks().await;
    });
}

async fn accept_resumes_when_descriptors_are_free() {
    for network in ["tcp", "unix"] {
        let listener = Arc::new(listen(network).await);
        let addr = listener.local_addr().unwrap();
        let clients: Vec<Conn> = {
            let mut clients = Vec::new();
            for _ in 0..3 {
                clients.push(dial(network, &addr).await.unwrap());
            }
            clients
        };
        let hoard = Hoard::take();
        let acceptors: Vec<_> = (0..3)
            .map(|_| {
                let listener = listener.clone();
                spawn(async move { listener.accept().await })
            })
            .collect();
        while listener.accept_pauses() < 4 {
            time::sleep(Duration::from_millis(1)).await;
        }
        let started = Instant::now();
        let before = listener.accept_pauses();
        time::sleep(Duration::from_millis(200)).await;
        let pauses = listener.accept_pauses() - before;
        assert!(
            pauses as u128 <= started.elapsed().as_millis() / 20,
            "{pauses} pauses: it spins"
        );
        drop(hoard);
        for acceptor in acceptors {
            let (server, _) = acceptor.await.unwrap().expect("service resumes");
            server.write_all(b"x").await.unwrap();
        }
        for client in clients {
            client.read_exact(&mut [0]).await.unwrap();
        }
    }
}

async fn paused_accept_obeys_deadline_and_close() {
    let listener = Arc::new(listen("tcp").await);
    let _client = dial("tcp", listener.local_addr().unwrap()).await.unwrap();
    let hoard = Hoard::take();
    let accept = || {
        let listener = listener.clone();
        spawn(async move { listener.accept().await.map(drop).unwrap_err() })
    };
    // Until the longest pause of one second has begun: 5 + 10 + ... + 640 ms have gone by. Whoever waits for
    // its end is told from whoever doesn't also on a busy machine.
    let wait_for_pauses = async |more: u64| {
        let until = listener.accept_pauses() + more;
        while listener.accept_pauses() < until {
            time::sleep(Duration::from_millis(1)).await;
        }
    };
    let task = accept();
    wait_for_pauses(9).await;
    let started = Instant::now();
    listener.set_deadline(Some(started)).unwrap();
    assert!(is_deadline(&task.await.unwrap()));
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );

    listener.set_deadline(None).unwrap();
    let task = accept();
    wait_for_pauses(9).await;
    let started = Instant::now();
    listener.close().await.unwrap();
    assert!(is_closed(&task.await.unwrap()));
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
    drop(hoard);
}

async fn dial_without_descriptors_is_an_error() {
    let listener = listen("tcp").await;
    let addr = listener.local_addr().unwrap();
    let hoard = Hoard::take();
    let err = dial("tcp", &addr).await.unwrap_err();
    assert_eq!(
        err.to_string(),
        format!("dial tcp {addr}: socket: too many open files")
    );
    assert!(gannet_net::error::is_temporary(&err));
    let err = ListenConfig::new()
        .listen_stream("unix", fresh_path().display())
        .await
        .unwrap_err();
    assert_eq!(raw_os_error(&err), Some(errno::EMFILE));
    assert!(UnixStream::pair().is_err());
    drop(hoard);
}

async fn nothing_leaks() {
    const ROUNDS: usize = 1_000;
    let listener = listen("tcp").await;
    let addr = listener.local_addr().unwrap();
    let refuse = Dialer::new().control(|_, _| Err(std::io::Error::other("no")));
    let late = Dialer::new().timeout(Duration::ZERO);
    let before = open_fds();
    for round in 0..ROUNDS {
        let conn = dial("tcp", &addr).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        if round % 2 == 0 {
            conn.close().await.unwrap();
        }
        drop((conn, server));
        refuse.dial("tcp", &addr).await.unwrap_err();
        late.dial("tcp", &addr).await.unwrap_err();
        dial("tcp", "127.0.0.1:1").await.unwrap_err();
        dial("unix", "/nonexistent/x").await.unwrap_err();
        ListenConfig::new()
            .listen_stream("tcp", &addr)
            .await
            .unwrap_err();
        ListenConfig::new()
            .listen_stream("unix", "/nonexistent/x")
            .await
            .unwrap_err();
        drop::<PacketConn>(
            ListenConfig::new()
                .listen_packet("udp", "127.0.0.1:0")
                .await
                .unwrap(),
        );
        drop(
            ListenConfig::new()
                .listen_packet("unixgram", "")
                .await
                .unwrap(),
        );
        drop(UnixStream::pair().unwrap());
        drop_while_connecting(&addr);
    }
    assert_eq!(open_fds(), before);
}

/// Drops a dial that was polled at most once.
fn drop_while_connecting(addr: &gannet_net::Addr) {
    let dialler = Dialer::new();
    let mut dialling = Box::pin(dialler.dial("tcp", addr));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = dialling.as_mut().poll(&mut cx);
}
