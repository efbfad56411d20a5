//! No sequence number is used twice: not by several threads, and not by a forked child, which holds a
//! copy of everything.
//!
//! In a program of its own, because a child needs every lock of its parent to be free.
#![allow(unsafe_code, reason = "runs code between fork and exec")]

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use gannet_roam::proto::{Key, Seal, Side};
use gannet_roam::{Blob, Bound, Client, Server, Session};
use gannet_runtime::{Builder, Runtime, time};

/// Somebody between client and server, who passes everything on and keeps what the client says.
struct Tap {
    client_side: UdpSocket,
    server_side: UdpSocket,
    server: SocketAddr,
    client: Option<SocketAddr>,
    kept: Vec<Vec<u8>>,
}

impl Tap {
    fn new(server: SocketAddr) -> Self {
        let bind = || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.set_nonblocking(true).expect("open");
            socket
        };
        Tap {
            client_side: bind(),
            server_side: bind(),
            server,
            client: None,
            kept: Vec::new(),
        }
    }

    fn addr(&self) -> SocketAddr {
        self.client_side.local_addr().expect("bound")
    }

    /// Passes on what there is, and says whether there was something of the client's.
    fn pass(&mut self) -> bool {
        let mut octets = [0; 2048];
        let before = self.kept.len();
        while let Ok((len, from)) = self.client_side.recv_from(&mut octets) {
            self.client = Some(from);
            self.kept.push(octets[..len].to_vec());
            self.server_side
                .send_to(&octets[..len], self.server)
                .expect("room");
        }
        while let (Ok((len, _)), Some(client)) =
            (self.server_side.recv_from(&mut octets), self.client)
        {
            self.client_side
                .send_to(&octets[..len], client)
                .expect("room");
        }
        self.kept.len() > before
    }

    /// Passes on until `future` is ready.
    async fn until<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        loop {
            self.pass();
            let soon = time::timeout(Duration::from_millis(1), future.as_mut()).await;
            if let Ok(output) = soon {
                return output;
            }
        }
    }

    /// All datagrams of the client are authentic, and no two have a number in common.
    fn check(&mut self, key: &Key) -> u64 {
        let (seal, mut numbers) = (Seal::new(key, Side::Server), HashSet::new());
        for datagram in &mut self.kept {
            let opened = seal.open(datagram).expect("it is authentic");
            assert!(numbers.insert(opened.seq), "{} was used twice", opened.seq);
        }
        numbers.len() as u64
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

async fn bound() -> Bound {
    let address = "127.0.0.1".parse().expect("an address");
    let server = Server::new().address(address).ports(0..=0);
    server.bind().await.expect("a port")
}

/// Uses its copy of the session in every way that sends something, and says whether it did.
fn use_in_child(session: &Session<Blob, Blob>) {
    session.update(|value| *value = Blob::from("from the child"));
    session.hop();
    runtime().block_on(async {
        let limit = Duration::from_secs(10);
        let recv = time::timeout(limit, session.recv()).await;
        assert_eq!(recv.expect("it does not wait"), None);
        let confirmed = time::timeout(limit, session.confirmed()).await;
        assert!(!confirmed.expect("it does not wait"));
        let ended = time::timeout(limit, session.shut_down()).await;
        assert!(!ended.expect("it does not wait"));
    });
}

/// Forks, has the child use `session`, and waits for its end.
fn fork(session: Arc<Session<Blob, Blob>>) {
    let mut command = Command::new("true");
    let run = move || {
        use_in_child(&session);
        Ok(())
    };
    // SAFETY: the child has one thread. What `run` does there beyond system calls is to allocate,
    // which the C library allows after fork, and to take locks that no thread of the parent holds:
    // the only one with a session is this one, which is in here.
    unsafe { command.pre_exec(run) };
    assert!(command.status().expect("it forks").success());
}

/// Runs a part of the test, which holds no lock of the runtime at its end.
fn run<T>(runtime: &Runtime, part: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    let limited = runtime.block_on(time::timeout(limit, part));
    limited.expect("the test hangs")
}

/// Four threads change the state, and have it sent, at the same time.
async fn change_from_threads(client: &Arc<Session<Blob, Blob>>, tap: &mut Tap) {
    let threads = [0u8; 4].map(|_| {
        let client = Arc::clone(client);
        std::thread::spawn(move || {
            for step in 0..2_000u32 {
                client.update(|value| *value = Blob::from(step.to_be_bytes().to_vec()));
                std::thread::yield_now();
            }
        })
    });
    while threads.iter().any(|thread| !thread.is_finished()) {
        tap.until(time::sleep(Duration::from_millis(1))).await;
    }
    assert!(tap.until(client.confirmed()).await);
}

#[test]
fn no_number_is_used_twice() {
    let runtime = runtime();
    let (key, mut tap, server, client) = run(&runtime, async {
        let bound = bound().await;
        let key = bound.key().clone();
        let tap = Tap::new(bound.local_addr());
        let server: Session<Blob, Blob> = bound.session(Blob::new(), Blob::new());
        let client = Client::new(key.clone(), tap.addr());
        let client = client.session(Blob::new(), Blob::new()).expect("a client");
        (key, tap, server, Arc::new(client))
    });
    run(&runtime, change_from_threads(&client, &mut tap));
    fork(Arc::clone(&client));
    run(&runtime, async {
        // The parent goes on, with the numbers that a child would have used.
        client.update(|value| *value = Blob::from("from the parent"));
        assert!(tap.until(client.confirmed()).await);
        assert_eq!(server.remote().1, Blob::from("from the parent"));
        assert!(tap.until(client.shut_down()).await);
        let made = client.stats().datagrams_sent;
        tap.pass();
        assert_eq!(tap.check(&key), made, "those of the parent, and no other");
    });
}
