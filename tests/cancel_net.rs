//! Every public future of the sockets, dropped after each number of polls: no byte, connection,
//! datagram, descriptor, timer or task is lost.
//!
//! One test at a time, because descriptors are counted for the whole process.

mod support;

use std::fs;
use std::io::IoSliceMut;
use std::net::Shutdown;
use std::path::Path;
use std::pin::pin;
use std::sync::Mutex;
use std::task::Poll;
use std::time::{Duration, Instant};

use gannet::net::{
    Conn, Dialer, PacketConn, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener,
    UnixStream, dial, listen_packet, listen_stream,
};
use gannet::{Builder, time};

use support::net::{
    PACKETS, STREAMS, any_address, connected_packets, fill, packet_pair, poll_once, stream_pair,
};
use support::watchdog::Watchdog;

/// More polls than any of these futures needs.
const POLLS_MAX: usize = 5;

const DATA: &[u8] = b"nothing of this is lost";

/// Polls `future` at most `polls` times, and drops it then. The peer gets its turn before each poll
/// and is told its number; between polls the poller delivers what it has.
async fn polled<F: Future>(
    polls: usize,
    future: F,
    peer: impl AsyncFn(usize),
) -> Option<F::Output> {
    let mut future = pin!(future);
    for poll in 0..polls {
        peer(poll).await;
        time::sleep(Duration::from_micros(200)).await;
        if let Poll::Ready(output) = poll_once(&mut future).await {
            return Some(output);
        }
    }
    None
}

/// Runs a test for each number of polls on both kinds of runtime, which are empty afterwards.
#[track_caller]
fn sweep(test: impl AsyncFn(usize)) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(|poison| poison.into_inner());
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let open_fds = || fs::read_dir("/proc/self/fd").expect("Linux").count();
    let before = open_fds();
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        builder = builder.thread_name("cancel");
        let runtime = builder.build().expect("a runtime");
        for polls in 0..=POLLS_MAX {
            runtime.block_on(test(polls));
            let metrics = runtime.metrics();
            assert_eq!(metrics.descriptors, 0, "descriptors after {polls} polls");
            assert_eq!(metrics.tasks_alive, 0, "tasks after {polls} polls");
            // Deadlines of descriptors that are gone leave the wheel when they are due.
            support::until("timers to be gone", || {
                runtime.block_on(time::sleep(Duration::from_millis(1)));
                (runtime.metrics().timers == 0).then_some(())
            });
        }
        drop(runtime);
        assert_eq!(open_fds(), before, "descriptors of the process");
    }
}

/// Reads what is left of `DATA` after the bytes that a dropped future has given, and compares all.
async fn read_rest(conn: &Conn, mut got: Vec<u8>, what: &str) {
    let mut buf = [0; 64];
    while got.len() < DATA.len() {
        let len = conn.read(&mut buf).await.expect("the connection is open");
        assert_ne!(len, 0, "{what}: an end after {} bytes", got.len());
        got.extend_from_slice(&buf[..len]);
    }
    assert_eq!(got, DATA, "{what}");
}

/// Sends `DATA` before poll number `when`, or at the latest after the last.
async fn reads(
    polls: usize,
    what: &str,
    read: impl AsyncFn(&Conn, usize, &Conn, usize) -> Vec<u8>,
) {
    for network in STREAMS {
        for when in 0..=polls {
            let (client, server) = stream_pair(network).await;
            let got = read(&client, polls, &server, when).await;
            if when == polls {
                server.write_all(DATA).await.unwrap();
            }
            read_rest(
                &client,
                got,
                &format!("{what} over {network}, data before poll {when}"),
            )
            .await;
        }
    }
}

async fn send_at(server: &Conn, when: usize, poll: usize) {
    if poll == when {
        server.write_all(DATA).await.unwrap();
    }
}

#[test]
fn read_dropped_at_each_poll_loses_no_byte() {
    sweep(async |polls| {
        reads(polls, "read", async |client, polls, server, when| {
            let mut buf = [0; 8];
            let read = client.read(&mut buf);
            let read = polled(polls, read, async |poll| send_at(server, when, poll).await).await;
            read.map_or(Vec::new(), |len| buf[..len.unwrap()].to_vec())
        })
        .await;
    });
}

#[test]
fn read_vectored_dropped_at_each_poll_loses_no_byte() {
    sweep(async |polls| {
        reads(
            polls,
            "read_vectored",
            async |client, polls, server, when| {
                let (mut left, mut right) = ([0; 3], [0; 4]);
                let mut bufs = [IoSliceMut::new(&mut left), IoSliceMut::new(&mut right)];
                let read = client.read_vectored(&mut bufs);
                let read =
                    polled(polls, read, async |poll| send_at(server, when, poll).await).await;
                let len = read.map_or(0, |len| len.unwrap());
                [&left[..], &right[..]].concat()[..len].to_vec()
            },
        )
        .await;
    });
}

#[test]
fn peek_and_readable_dropped_at_each_poll_take_nothing() {
    sweep(async |polls| {
        reads(polls, "peek", async |client, polls, server, when| {
            let mut buf = [0; 8];
            let peek = client.peek(&mut buf);
            polled(polls, peek, async |poll| send_at(server, when, poll).await).await;
            Vec::new()
        })
        .await;
        reads(polls, "readable", async |client, polls, server, when| {
            let readable = client.readable();
            polled(polls, readable, async |poll| {
                send_at(server, when, poll).await
            })
            .await;
            Vec::new()
        })
        .await;
    });
}

/// Not cancel safe as to its own bytes; the connection goes on.
#[test]
fn read_exact_dropped_at_each_poll_leaves_a_working_connection() {
    sweep(async |polls| {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            let mut buf = [0; 12];
            polled(polls, client.read_exact(&mut buf), async |_| {
                server.write_all(b"....").await.unwrap();
            })
            .await;
            server.write_all(b"!").await.unwrap();
            let mut byte = [0];
            while byte != *b"!" {
                client.read_exact(&mut byte).await.unwrap();
            }
        }
    });
}

/// Reads everything until the end, and counts.
async fn count_to_end(conn: &Conn) -> usize {
    let mut buf = vec![0; 65_536];
    let mut count = 0;
    loop {
        match conn.read(&mut buf).await.unwrap() {
            0 => return count,
            len => count += len,
        }
    }
}

/// Reads until nothing is there.
async fn drain(conn: &Conn) -> usize {
    let mut buf = vec![0; 65_536];
    let mut count = 0;
    while let Ok(len) = conn.try_read(&mut buf) {
        count += len;
    }
    count
}

#[test]
fn write_dropped_at_each_poll_sends_all_or_nothing() {
    sweep(async |polls| {
        for network in STREAMS {
            for when in 0..=polls {
                let (client, server) = stream_pair(network).await;
                let mut sent = fill(&client).await;
                let received = std::cell::Cell::new(0);
                let read = async |poll| {
                    if poll == when {
                        received.set(received.get() + drain(&server).await);
                    }
                };
                let block = [b'y'; 1000];
                sent += polled(polls, client.write(&block), read)
                    .await
                    .map_or(0, Result::unwrap);
                let slices = [std::io::IoSlice::new(&block), std::io::IoSlice::new(DATA)];
                let vectored = client.write_vectored(&slices);
                sent += polled(polls, vectored, read)
                    .await
                    .map_or(0, Result::unwrap);
                polled(polls, client.writable(), read).await;
                client.shutdown(Shutdown::Write).unwrap();
                let received = received.get() + count_to_end(&server).await;
                assert_eq!(received, sent, "{network}, room before poll {when}");
            }
        }
    });
}

/// Not cancel safe as to how much was sent: but that is a beginning, and the connection goes on.
#[test]
fn write_all_dropped_at_each_poll_sends_a_beginning() {
    sweep(async |polls| {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            let full = fill(&client).await;
            let data: Vec<u8> = (0..1 << 20).map(|i| (i % 251) as u8).collect();
            let received = Mutex::new(Vec::new());
            let read = async |_| {
                let mut buf = vec![0; 65_536];
                while let Ok(len) = server.try_read(&mut buf) {
                    received.lock().unwrap().extend_from_slice(&buf[..len]);
                }
            };
            let done = polled(polls, client.write_all(&data), read).await.is_some();
            client.shutdown(Shutdown::Write).unwrap();
            let mut received = received.into_inner().unwrap();
            let mut buf = vec![0; 65_536];
            while let len @ 1.. = server.read(&mut buf).await.unwrap() {
                received.extend_from_slice(&buf[..len]);
            }
            let ours = &received[full..];
            assert!(
                data.starts_with(ours),
                "{network}: bytes that were not given"
            );
            assert!(!done || ours.len() == data.len());

            let (client, server) = stream_pair(network).await;
            fill(&client).await;
            let mut slices = [std::io::IoSlice::new(&data), std::io::IoSlice::new(DATA)];
            polled(polls, client.write_all_vectored(&mut slices), async |_| {}).await;
            drain(&server).await;
            client
                .write_all(b"x")
                .await
                .expect("the lock was given back");
        }
    });
}

#[test]
fn accept_dropped_at_each_poll_loses_no_connection() {
    sweep(async |polls| {
        for network in STREAMS {
            for when in 0..=polls {
                let listener = listen_stream(network, any_address(network)).await.unwrap();
                let addr = listener.local_addr().unwrap();
                let client = Mutex::new(None);
                let connect = async |poll| {
                    if poll == when {
                        *client.lock().unwrap() = Some(dial(network, &addr).await.unwrap());
                    }
                };
                polled(polls, listener.readable(), async |_| {}).await;
                let accepted = polled(polls, listener.accept(), connect).await;
                connect(if when == polls { when } else { usize::MAX }).await;
                let (server, _) = match accepted {
                    Some(accepted) => accepted.unwrap(),
                    None => listener.accept().await.unwrap(),
                };
                let client = client.into_inner().unwrap().expect("dialled");
                client.write_all(DATA).await.unwrap();
                read_rest(&server, Vec::new(), network).await;
            }
        }
        let typed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        polled(polls, typed.accept(), async |_| {}).await;
        let typed = UnixListener::bind("").await.unwrap();
        polled(polls, typed.accept(), async |_| {}).await;
    });
}

#[test]
fn dial_dropped_at_each_poll_closes_its_socket() {
    sweep(async |polls| {
        for network in STREAMS {
            let listener = listen_stream(network, any_address(network)).await.unwrap();
            let addr = listener.local_addr().unwrap();
            drop(polled(polls, dial(network, &addr), async |_| {}).await);
            let limited = Dialer::new().timeout(Duration::from_millis(20));
            drop(polled(polls, limited.dial(network, &addr), async |_| {}).await);
            // Those that came through are at their end.
            listener
                .set_read_deadline(Some(Instant::now() + Duration::from_millis(1)))
                .unwrap();
            while let Ok((server, _)) = listener.accept().await {
                assert_eq!(count_to_end(&server).await, 0);
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        drop(polled(polls, TcpStream::connect(addr), async |_| {}).await);
        drop(polled(polls, UdpSocket::connect(addr), async |_| {}).await);
        drop(polled(polls, UnixStream::connect("@nobody"), async |_| {}).await);
        drop(polled(polls, UnixDatagram::connect("@nobody"), async |_| {}).await);
        // Names wait for a lookup, which goes on unheard.
        let named = format!("localhost:{}", addr.port());
        drop(polled(polls, dial("tcp", &named), async |_| {}).await);
        drop(polled(polls, dial("udp", &named), async |_| {}).await);
    });
}

#[test]
fn listen_dropped_at_each_poll_leaves_no_socket_and_no_file() {
    sweep(async |polls| {
        let dir = support::TempDir::new();
        let path = dir.file("s");
        for address in ["127.0.0.1:0", "localhost:0"] {
            drop(polled(polls, listen_stream("tcp", address), async |_| {}).await);
            drop(polled(polls, listen_packet("udp", address), async |_| {}).await);
            drop(polled(polls, TcpListener::bind(address), async |_| {}).await);
            drop(polled(polls, UdpSocket::bind(address), async |_| {}).await);
        }
        drop(polled(polls, listen_stream("unix", &path), async |_| {}).await);
        drop(polled(polls, UnixListener::bind(&path), async |_| {}).await);
        assert!(!Path::new(&path).exists());
        drop(polled(polls, UnixDatagram::bind(""), async |_| {}).await);
    });
}

#[test]
fn close_dropped_at_each_poll_has_closed() {
    sweep(async |polls| {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            polled(polls, client.close(), async |_| {}).await;
            assert!(client.is_closed());
            assert_eq!(count_to_end(&server).await, 0);
            let listener = listen_stream(network, any_address(network)).await.unwrap();
            let addr = listener.local_addr().unwrap();
            polled(polls, listener.close(), async |_| {}).await;
            dial(network, &addr).await.expect_err("nobody listens");
        }
    });
}

/// One datagram is sent before poll number `when`; the future that was dropped or what follows it
/// must get it, and only once.
async fn receives(
    polls: usize,
    receive: impl AsyncFn(&PacketConn, usize, &PacketConn, usize) -> usize,
) {
    for network in PACKETS {
        for when in 0..=polls {
            let (receiver, sender) = packet_pair(network).await;
            let mut count = receive(&receiver, polls, &sender, when).await;
            if when == polls {
                sender
                    .send_to(DATA, &receiver.local_addr().unwrap())
                    .await
                    .unwrap();
            }
            if count == 0 {
                let (len, _) = receiver.recv_from(&mut [0; 64]).await.unwrap();
                assert_eq!(len, DATA.len());
                count += 1;
            }
            assert!(
                receiver.try_recv_from(&mut [0; 64]).is_err(),
                "{network}: twice"
            );
            assert_eq!(count, 1);
        }
    }
}

#[test]
fn receiving_dropped_at_each_poll_loses_no_datagram() {
    sweep(async |polls| {
        let send = async |receiver: &PacketConn, sender: &PacketConn, when, poll| {
            if poll == when {
                sender
                    .send_to(DATA, &receiver.local_addr().unwrap())
                    .await
                    .unwrap();
            }
        };
        receives(polls, async |receiver, polls, sender, when| {
            let mut buf = [0; 64];
            let peer = async |poll| send(receiver, sender, when, poll).await;
            polled(polls, receiver.recv_from(&mut buf), peer)
                .await
                .map_or(0, |_| 1)
        })
        .await;
        receives(polls, async |receiver, polls, sender, when| {
            let mut buf = [0; 64];
            let peer = async |poll| send(receiver, sender, when, poll).await;
            polled(polls, receiver.recv(&mut buf), peer)
                .await
                .map_or(0, |_| 1)
        })
        .await;
        receives(polls, async |receiver, polls, sender, when| {
            let mut buf = [0; 64];
            let peer = async |poll| send(receiver, sender, when, poll).await;
            polled(polls, receiver.peek_from(&mut buf), peer).await;
            polled(polls, receiver.readable(), async |_| {}).await;
            0
        })
        .await;
    });
}

#[test]
fn sending_dropped_at_each_poll_sends_one_datagram_or_none() {
    sweep(async |polls| {
        for network in PACKETS {
            let (sender, receiver) = packet_pair(network).await;
            let to = receiver.local_addr().unwrap();
            let mut sent = 0;
            // A Unix receiver's queue fills after some; UDP never makes one wait.
            for _ in 0..20 {
                let send = polled(polls, sender.send_to(DATA, &to), async |_| {}).await;
                sent += usize::from(send.is_some_and(|result| result.is_ok()));
                polled(polls, sender.writable(), async |_| {}).await;
            }
            let mut received = 0;
            while receiver.try_recv_from(&mut [0; 64]).is_ok() {
                received += 1;
            }
            assert_eq!(received, sent, "{network}");

            let (client, server) = connected_packets(network).await;
            let client = PacketConn::try_from(client).unwrap();
            let send = polled(polls, client.send(DATA), async |_| {}).await;
            let received = server.try_recv_from(&mut [0; 64]).is_ok();
            assert_eq!(received, send.is_some(), "{network}");
        }
    });
}

/// The halves have the same futures; one of each stands for them.
#[test]
fn halves_dropped_at_each_poll_lose_no_byte() {
    sweep(async |polls| {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            let (mut reading, mut writing) = client.into_split();
            let mut buf = [0; 4];
            let read = polled(polls, reading.read(&mut buf), async |poll| {
                send_at(&server, 1, poll).await;
            });
            let len = read.await.map_or(0, Result::unwrap);
            if polls < 2 {
                server.write_all(DATA).await.unwrap();
            }
            let sent = polled(polls, writing.write(DATA), async |_| {}).await;
            let client = reading.reunite(writing).unwrap();
            read_rest(&client, buf[..len].to_vec(), network).await;
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(count_to_end(&server).await, sent.map_or(0, Result::unwrap));
        }
    });
}
