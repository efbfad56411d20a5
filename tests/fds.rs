//! No descriptor is lost: each kind of socket is made, refused and dropped a thousand times.
//!
//! Alone in its process, because it counts the descriptors of all threads.

mod support;

use std::fs;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::process::Command;
use std::time::Duration;

use gannet::net::{
    self, Conn, Dialer, ListenConfig, Listener, PacketConn, TcpListener, TcpStream, UdpSocket,
    UnixDatagram, UnixListener, UnixStream, dial, listen_packet, listen_stream,
};
use gannet::{Builder, Runtime};

use support::TempDir;
use support::net::{any_address, poll_once};
use support::watchdog::Watchdog;

const ROUNDS: usize = 1000;
const STREAMS: [&str; 3] = ["tcp4", "tcp6", "unix"];
const PACKETS: [&str; 3] = ["udp4", "udp6", "unixgram"];

/// How many descriptors this process has open, that of the folder included.
fn open_fds() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// Runs `round` once for what is opened only once, and then a thousand times; afterwards there are
/// as many descriptors as before, and as many in the poller.
#[track_caller]
fn check<F: Future<Output = ()>>(runtime: &Runtime, what: &str, round: impl Fn() -> F) {
    let rounds = |count| {
        runtime.block_on(async {
            for _ in 0..count {
                round().await;
            }
        });
    };
    rounds(1);
    let (fds, registered) = (open_fds(), runtime.metrics().descriptors);
    rounds(ROUNDS);
    assert_eq!(open_fds(), fds, "descriptors after {ROUNDS} times {what}");
    assert_eq!(
        runtime.metrics().descriptors,
        registered,
        "registered after {what}"
    );
}

/// The descriptors that a program started now finds open.
fn inherited() -> Vec<u8> {
    let list = Command::new("sh")
        .args(["-c", "echo /proc/self/fd/*"])
        .output();
    list.expect("sh runs").stdout
}

#[test]
fn sockets_made_refused_and_dropped_leave_no_descriptor() {
    let _watchdog = Watchdog::start(Duration::from_secs(240));
    let runtimes = [
        Builder::new_current_thread().build().expect("a runtime"),
        Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .expect("a runtime"),
    ];
    for runtime in &runtimes {
        made_and_dropped(runtime);
        connected_and_dropped(runtime);
        refused(runtime);
        given_up(runtime);
        converted(runtime);
        kept_from_children(runtime);
    }
}

fn made_and_dropped(runtime: &Runtime) {
    for network in STREAMS {
        check(runtime, &format!("listening on {network}"), || async {
            drop(listen_stream(network, any_address(network)).await.unwrap());
            listen_stream(network, any_address(network))
                .await
                .unwrap()
                .close()
                .await
                .unwrap();
        });
    }
    for network in PACKETS {
        check(runtime, &format!("opening {network}"), || async {
            drop(listen_packet(network, any_address(network)).await.unwrap());
            listen_packet(network, any_address(network))
                .await
                .unwrap()
                .close()
                .await
                .unwrap();
        });
    }
    let dir = TempDir::new();
    check(runtime, "listening on a path", || async {
        UnixListener::bind(dir.file("s"))
            .await
            .unwrap()
            .close()
            .await
            .unwrap();
        drop(UnixListener::bind(dir.file("s")).await.unwrap());
    });
    check(runtime, "making Unix pairs", || async {
        drop(UnixStream::pair().unwrap());
        drop(UnixDatagram::pair().unwrap());
    });
}

fn connected_and_dropped(runtime: &Runtime) {
    for network in STREAMS {
        let listener = runtime
            .block_on(listen_stream(network, any_address(network)))
            .unwrap();
        let addr = listener.local_addr().unwrap();
        check(runtime, &format!("connecting over {network}"), || async {
            let client = dial(network, &addr).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.write_all(b"x").await.unwrap();
            server.shutdown(Shutdown::Write).unwrap();
            // Halves, a clone of the owner, in either order; unread data, so that TCP resets.
            let (reading, writing) = client.into_split();
            drop(writing);
            drop(server);
            drop(reading);
        });
    }
    for network in ["udp4", "udp6"] {
        let socket = runtime
            .block_on(listen_packet(network, any_address(network)))
            .unwrap();
        let addr = socket.local_addr().unwrap();
        check(runtime, &format!("connecting over {network}"), || async {
            dial(network, &addr).await.unwrap().close().await.unwrap();
            drop(UdpSocket::connect(&addr).await.unwrap());
        });
    }
}

fn refused(runtime: &Runtime) {
    let taken = runtime
        .block_on(listen_stream("tcp4", "127.0.0.1:0"))
        .unwrap();
    let taken_packet = runtime
        .block_on(listen_packet("udp4", "127.0.0.1:0"))
        .unwrap();
    let (tcp, udp) = (
        taken.local_addr().unwrap(),
        taken_packet.local_addr().unwrap(),
    );
    check(runtime, "binding what is taken", || async {
        listen_stream("tcp4", &tcp).await.unwrap_err();
        listen_packet("udp4", &udp).await.unwrap_err();
        Dialer::new()
            .local_addr(tcp.clone())
            .dial("tcp4", &tcp)
            .await
            .unwrap_err();
    });
    // Nobody listens on a UDP socket's number over TCP: it was free when the kernel chose it.
    let nobody = net::Addr::Tcp(udp.socket_addr().unwrap());
    check(runtime, "dialling nobody", || async {
        let dialled = dial("tcp4", &nobody).await;
        // Unless the number is one of a port that this very dial was given: then it is itself.
        drop(dialled);
        dial("unix", "/nowhere/at/all").await.unwrap_err();
        dial("unixgram", "@nobody at all").await.unwrap_err();
    });
    check(runtime, "hooks that refuse", || async {
        let refuse = || Err(io::Error::other("refused"));
        let config = ListenConfig::new().control(move |_, _| refuse());
        for network in STREAMS {
            config
                .listen_stream(network, any_address(network))
                .await
                .unwrap_err();
        }
        for network in PACKETS {
            config
                .listen_packet(network, any_address(network))
                .await
                .unwrap_err();
        }
        let dialer = Dialer::new().control(move |_, _| refuse());
        dialer.dial("tcp4", &tcp).await.unwrap_err();
        dialer.dial("udp4", &udp).await.unwrap_err();
    });
    check(runtime, "bad addresses", || async {
        for (network, address) in [
            ("tcp", "127.0.0.1"),
            ("tcp4", "127.0.0.1:65536"),
            ("tcp6", "127.0.0.1:1"),
            ("x", ""),
        ] {
            dial(network, address).await.unwrap_err();
            listen_stream(network, address).await.unwrap_err();
            listen_packet(network, address).await.unwrap_err();
        }
        let long = "x".repeat(108);
        dial("unix", &long).await.unwrap_err();
        listen_stream("unix", &long).await.unwrap_err();
        listen_packet("unixgram", &long).await.unwrap_err();
    });
}

/// Futures that are dropped half way.
fn given_up(runtime: &Runtime) {
    for network in STREAMS {
        let listener = runtime
            .block_on(listen_stream(network, any_address(network)))
            .unwrap();
        let addr = listener.local_addr().unwrap();
        check(runtime, &format!("giving up on {network}"), || async {
            assert!(poll_once(&mut pin!(listener.accept())).await.is_pending());
            let _ = poll_once(&mut pin!(dial(network, &addr))).await;
            let timed = Dialer::new().timeout(Duration::from_nanos(1));
            drop(timed.dial(network, &addr).await);
            let conn = dial(network, &addr).await.unwrap();
            assert!(
                poll_once(&mut pin!(conn.read(&mut [0; 8])))
                    .await
                    .is_pending()
            );
            drop(conn.close());
            // Those that were given up may wait to be accepted.
            listener
                .set_read_deadline(Some(std::time::Instant::now()))
                .unwrap();
            listener.accept().await.unwrap_err();
            listener.set_read_deadline(None).unwrap();
            while let std::task::Poll::Ready(accepted) =
                poll_once(&mut pin!(listener.accept())).await
            {
                drop(accepted.unwrap());
            }
        });
    }
}

/// Descriptors that come from elsewhere or go there.
fn converted(runtime: &Runtime) {
    check(runtime, "adopting and giving away", || async {
        let listener = TcpListener::try_from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let listener = listener.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        drop(client.into_std().unwrap());
        drop(OwnedFd::try_from(Conn::from(server)).unwrap());
        drop(OwnedFd::try_from(Listener::from(listener)).unwrap());
        let socket =
            UdpSocket::try_from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        drop(OwnedFd::try_from(PacketConn::from(socket)).unwrap());
    });
    check(runtime, "adopting the wrong kind", || async {
        let file = || OwnedFd::from(fs::File::open("/proc/self/status").unwrap());
        Conn::try_from(file()).unwrap_err();
        Listener::try_from(file()).unwrap_err();
        PacketConn::try_from(file()).unwrap_err();
        let udp = || OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        TcpStream::try_from(udp()).unwrap_err();
        UnixListener::try_from(udp()).unwrap_err();
    });
}

/// Catalogue, row 63: a descriptor without close-on-exec goes to every child.
fn kept_from_children(runtime: &Runtime) {
    let before = inherited();
    runtime.block_on(async {
        let mut streams = Vec::new();
        let mut listeners = Vec::new();
        for network in STREAMS {
            let listener = listen_stream(network, any_address(network)).await.unwrap();
            streams.push(dial(network, listener.local_addr().unwrap()).await.unwrap());
            streams.push(listener.accept().await.unwrap().0);
            listeners.push(listener);
        }
        let mut packets = Vec::new();
        for network in PACKETS {
            packets.push(listen_packet(network, any_address(network)).await.unwrap());
        }
        let pairs = (UnixStream::pair().unwrap(), UnixDatagram::pair().unwrap());
        // One that was closed leaves its number behind, which must not be inherited either.
        streams[0].close().await.unwrap();
        assert_eq!(String::from_utf8(inherited()), String::from_utf8(before));
        drop((streams, listeners, packets, pairs));
    });
}
