use std::future::Future;
use std::ops::Range;
use std::sync::Barrier;
use std::task::Poll;

use gannet_runtime::{Builder, spawn, time};
use gannet_sys::fd::{self, PollDirection};

use super::*;
use crate::error;
use crate::{Dialer, ListenConfig, TcpListener, UnixStream};

fn block_on<R>(future: impl Future<Output = R>) -> R {
    let runtime = Builder::new_multi_thread().worker_threads(2).build();
    runtime.unwrap().block_on(future)
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let client = client.await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Lends whatever its length, and however often the kernel copies.
fn eager(stream: TcpStream) -> ZeroCopy {
    let mut zero_copy = ZeroCopy::new(stream);
    assert_eq!(zero_copy.stats().fallback, None, "the kernel does it");
    let parts = Arc::get_mut(&mut zero_copy.parts).unwrap();
    parts.len_min = 1;
    parts.loans().set_copied_max(u32::MAX);
    zero_copy
}

/// Bytes that repeat after so many, a period that no page or buffer has.
const PERIOD: usize = 65_521;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % PERIOD % 251) as u8).collect()
}

/// A buffer, and a stream that ends when it is dropped.
fn tracked(bytes: Vec<u8>) -> (Part, UnixStream) {
    let (held, watched) = UnixStream::pair().unwrap();
    let all = 0..bytes.len();
    (Part(Arc::new((bytes, Some(held))), all), watched)
}

/// A part of a buffer, and what goes with it.
#[derive(Clone)]
struct Part(Arc<(Vec<u8>, Option<UnixStream>)>, Range<usize>);

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.0.0[self.1.clone()]
    }
}

/// Waits until the buffer is dropped.
async fn dropped(watched: UnixStream) {
    assert_eq!(watched.read(&mut [0]).await.unwrap(), 0);
}

/// Sends more than a peer who reads nothing takes, and gives up halfway. Returns how much was sent,
/// and what ends when it is no longer lent.
async fn fill(sender: &ZeroCopy, peer: &TcpStream) -> (usize, UnixStream) {
    const PIECE: usize = 300_000;
    let (buf, watched) = tracked(pattern(PERIOD + PIECE));
    let mut sending = Box::pin(async move {
        for at in (0..).step_by(PIECE) {
            let phase = at % PERIOD;
            let piece = Part(buf.0.clone(), phase..phase + PIECE);
            sender.write_all(piece).await.unwrap();
        }
    });
    // The last MiB has never left: the peer's kernel takes no more than it has room for.
    let wanted = 2 * peer.recv_buffer_size().unwrap() + (1 << 20);
    while sender.stats().lent < wanted as u64 {
        let polled = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await;
        assert!(polled.is_pending(), "it is too much for any buffer");
        gannet_runtime::yield_now().await;
    }
    (sender.stats().lent as usize, watched)
}

async fn read_to_end(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let (mut received, mut buf) = (Vec::new(), vec![0; 100_000]);
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(received),
            len => received.extend_from_slice(&buf[..len]),
        }
    }
}

#[test]
fn write_all_sends_exactly_what_pieces_of_any_size_hold() {
    const TOTAL: usize = 100 << 20;
    const LONGEST: usize = 3 << 20;
    block_on(async {
        let (client, server) = pair().await;
        let content = Arc::new((pattern(PERIOD + LONGEST), None));
        let wanted = content.clone();
        let receiving = spawn(async move {
            let mut random = 88_172_645_463_325_252_u64;
            let (mut at, mut buf) = (0, vec![0; 300_000]);
            while at < TOTAL {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let most = 1 + random as usize % buf.len();
                let len = server.read(&mut buf[..most]).await.unwrap();
                let phase = at % PERIOD;
                assert!(buf[..len] == wanted.0[phase..phase + len], "at {at}");
                at += len;
            }
            assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        });
        let client = eager(client);
        let (mut at, mut step, mut pieces) = (0, 1, 0);
        while at < TOTAL {
            let (phase, len) = (at % PERIOD, step.min(TOTAL - at));
            let piece = Part(content.clone(), phase..phase + len);
            client.write_all(piece).await.unwrap();
            at += len;
            pieces += 1;
            step = step * 5 / 2 % LONGEST + 1;
        }
        client.all_released().await.unwrap();
        let stats = client.stats();
        assert_eq!((stats.lent, stats.plain), (TOTAL as u64, 0));
        assert_eq!((stats.pending, stats.fallback), (0, None));
        assert!(stats.copied + stats.uncopied >= pieces, "{stats:?}");
        client.close().await.unwrap();
        receiving.await.unwrap();
    });
}

#[test]
fn connection_of_one_machine_falls_back_and_gives_all_back() {
    const LEN: usize = 256 << 10;
    block_on(async {
        let (client, server) = pair().await;
        let client = ZeroCopy::new(client);
        let mut received = vec![0; LEN];
        for sends in 1.. {
            let (buf, watched) = tracked(vec![7; LEN]);
            let reading = async { server.read_exact(&mut received).await.unwrap() };
            let loan = both(client.write_all(buf), reading).await.unwrap();
            client.released(loan).await.unwrap();
            dropped(watched).await;
            if client.stats().fallback.is_some() {
                break;
            }
            assert!(sends < 4, "{:?}", client.stats());
        }
        let stats = client.stats();
        assert_eq!(stats.fallback, Some(ZeroCopyFallback::Copied));
        assert!(stats.copied >= 4 && stats.pending == 0, "{stats:?}");

        let (buf, watched) = tracked(vec![8; LEN]);
        let reading = async { server.read_exact(&mut received).await.unwrap() };
        let loan = both(client.write_all(buf), reading).await.unwrap();
        dropped(watched).await;
        client.released(loan).await.unwrap();
        let plain = client.stats().plain - stats.plain;
        assert_eq!((client.stats().lent, plain), (stats.lent, LEN as u64));
    });
}

/// Runs two futures in one task, and returns what the first has for an answer.
async fn both<T>(first: impl Future<Output = T>, second: impl Future<Output = ()>) -> T {
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    let (mut answer, mut is_over) = (None, false);
    poll_fn(|cx| {
        if answer.is_none()
            && let Poll::Ready(ready) = first.as_mut().poll(cx)
        {
            answer = Some(ready);
        }
        is_over = is_over || second.as_mut().poll(cx).is_ready();
        match is_over {
            true => answer.take().map_or(Poll::Pending, Poll::Ready),
            false => Poll::Pending,
        }
    })
    .await
}

#[test]
fn short_buffers_and_short_ends_are_copied() {
    block_on(async {
        let (client, server) = pair().await;
        let client = ZeroCopy::new(client);
        client.write_all(b"").await.unwrap();
        for len in [1, LEN_MIN - 1] {
            let (buf, watched) = tracked(vec![7; len]);
            client.write_all(buf).await.unwrap();
            dropped(watched).await;
        }
        let stats = client.stats();
        assert_eq!((stats.lent, stats.plain), (0, LEN_MIN as u64));
        client.write_all(vec![7; LEN_MIN]).await.unwrap();
        assert_eq!(client.stats().lent, LEN_MIN as u64);
        drop(client);
        assert_eq!(read_to_end(&server).await.unwrap().len(), 2 * LEN_MIN);
    });
}

#[test]
fn send_dropped_halfway_keeps_its_buffer_until_it_is_back() {
    block_on(async {
        let (client, server) = pair().await;
        let client = eager(client);
        let (sent, watched) = fill(&client, &server).await;
        assert!(client.stats().pending > 0, "the future is gone");
        assert!(watched.try_read(&mut [0]).is_err(), "the buffer is not");
        let receiving = spawn(async move { read_to_end(&server).await.unwrap() });
        client.all_released().await.unwrap();
        dropped(watched).await;
        client.write_all(b"and on".to_vec()).await.unwrap();
        client.close().await.unwrap();
        let received = receiving.await.unwrap();
        assert!(received[..sent] == pattern(sent) && &received[sent..] == b"and on");
    });
}

#[test]
fn connection_dropped_with_buffers_lent_delivers_all_and_gives_them_back() {
    for closes in [false, true] {
        block_on(async {
            let (client, server) = pair().await;
            let client = eager(client);
            client
                .parts
                .conn
                .set_write_deadline(Some(time::now()))
                .unwrap();
            client.parts.conn.set_write_deadline(None).unwrap();
            let (sent, watched) = fill(&client, &server).await;
            let closing = spawn(async move {
                // The deadline of an owner is none for the end.
                let past = Some(time::now());
                client.parts.conn.set_write_deadline(past).unwrap();
                match closes {
                    true => client.close().await.unwrap(),
                    false => drop(client),
                }
            });
            if !closes {
                closing.await.unwrap();
                assert!(watched.try_read(&mut [0]).is_err(), "it is still lent");
                assert!(read_to_end(&server).await.unwrap() == pattern(sent));
            } else {
                assert!(read_to_end(&server).await.unwrap() == pattern(sent));
                closing.await.unwrap();
            }
            dropped(watched).await;
        });
    }
}

#[test]
fn peer_that_takes_nothing_is_reset_and_the_buffers_come_back() {
    block_on(async {
        let (client, server) = pair().await;
        let mut client = eager(client);
        let parts = Arc::get_mut(&mut client.parts).unwrap();
        parts.patience = Duration::from_millis(20);
        let (sent, watched) = fill(&client, &server).await;
        client.close().await.unwrap();
        dropped(watched).await;
        let received = read_to_end(&server).await;
        let err = received.expect_err("not all of it has come");
        assert_eq!(error::raw_os_error(&err), Some(errno::ECONNRESET));
        assert!(sent > 0);
    });
}

/// What was never delivered was never copied, not even on one machine: the kernel had nothing but the
/// lent memory.
#[test]
fn connection_to_be_reset_on_close_gives_uncopied_buffers_back() {
    block_on(async {
        let (client, server) = pair().await;
        client.set_linger(Some(Duration::ZERO)).unwrap();
        // The peer's kernel has no room for more than this.
        let before = vec![7; 2 * server.recv_buffer_size().unwrap()];
        client.write_all(&before).await.unwrap();
        let client = eager(client);
        let (buf, watched) = tracked(vec![8; 1 << 20]);
        client.write_all(buf).await.unwrap();
        let parts = client.parts.clone();
        drop(client);
        dropped(watched).await;
        let stats = parts.loans().stats();
        assert!(stats.uncopied > 0 && stats.copied == 0, "{stats:?}");
        assert_eq!((stats.lent, stats.fallback), (1 << 20, None));
    });
}

#[test]
fn peer_that_resets_gives_all_buffers_back() {
    block_on(async {
        let (client, server) = pair().await;
        let client = eager(client);
        let (_, watched) = fill(&client, &server).await;
        server.set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        client.all_released().await.unwrap();
        dropped(watched).await;
        let (buf, watched) = tracked(vec![7; 100_000]);
        let err = loop {
            // The reset is an error once, and then the connection is gone.
            if let Err(err) = client.write_all(vec![7; 100_000]).await {
                break err;
            }
        };
        let errno = error::raw_os_error(&err);
        assert!(
            matches!(errno, Some(errno::ECONNRESET | errno::EPIPE)),
            "{err}"
        );
        assert_eq!(error::written(&err), Some(0));
        client.write_all(buf).await.unwrap_err();
        dropped(watched).await;
        client.close().await.unwrap();
    });
}

/// The kernel still needs what is lent: it is given up, unless the connection is to be reset anyway.
#[test]
fn runtime_that_ends_leaves_to_the_kernel_what_is_lent() {
    const LEN: usize = 16 << 20;
    let runtime = || Builder::new_multi_thread().worker_threads(2).build();
    let peer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = peer.local_addr().unwrap();
    for (outlives, resets) in [(false, false), (true, false), (false, true), (true, true)] {
        let content = Arc::new((vec![7; LEN], None));
        let all = Part(content.clone(), 0..LEN);
        let (mut server, lent, kept) = runtime().unwrap().block_on(async {
            let client = TcpStream::connect(addr).await.unwrap();
            client.set_linger(resets.then_some(Duration::ZERO)).unwrap();
            let client = eager(client);
            let (server, _) = peer.accept().unwrap();
            let mut sending = Box::pin(client.write_all(all));
            let polled = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
            drop(sending);
            let stats = client.stats();
            assert!(stats.pending > 0);
            // A task is winding it down when the runtime ends, or it is dropped after that.
            (server, stats.lent, outlives.then_some(client))
        });
        drop(kept);
        let is_kept = Arc::strong_count(&content) > 1;
        assert_eq!(is_kept, !resets, "outlives: {outlives}");
        match io::copy(&mut server, &mut io::sink()) {
            Ok(received) => assert_eq!((received, resets), (lent, false)),
            Err(err) => assert!(resets && err.kind() == io::ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn reader_is_not_disturbed_by_notifications() {
    block_on(async {
        let (client, server) = pair().await;
        let client = Arc::new(eager(client));
        let reading = spawn({
            let client = client.clone();
            async move {
                let (mut reader, _) = client.split();
                let mut buf = [0; 8];
                for _ in 0..100 {
                    reader.read_exact(&mut buf[..3]).await.unwrap();
                    assert_eq!(&buf[..3], b"ack");
                }
                reader.read(&mut buf).await.unwrap()
            }
        });
        let mut buf = vec![0; 40_000];
        for _ in 0..100 {
            client.write_all(vec![7; 40_000]).await.unwrap();
            server.read_exact(&mut buf).await.unwrap();
            server.write_all(b"ack").await.unwrap();
            client.all_released().await.unwrap();
        }
        drop(server);
        assert_eq!(reading.await.unwrap(), 0);
    });
}

#[test]
fn deadline_ends_waiting_and_loses_nothing() {
    block_on(async {
        let (client, server) = pair().await;
        let client = eager(client);
        let (sent, watched) = fill(&client, &server).await;
        let (_, writer) = client.split();
        writer.set_write_deadline(Some(time::now())).unwrap();
        let err = client.all_released().await.unwrap_err();
        assert!(error::is_deadline(&err), "{err}");
        let err = client.write_all(vec![7; 10]).await.unwrap_err();
        assert!(error::is_deadline(&err), "{err}");
        assert_eq!(error::written(&err), Some(0));
        writer.set_write_deadline(None).unwrap();
        let mut received = vec![0; sent];
        both(client.all_released(), async {
            server.read_exact(&mut received).await.unwrap();
        })
        .await
        .unwrap();
        dropped(watched).await;
        assert!(received == pattern(sent));
    });
}

#[test]
fn stream_given_back_sends_as_before() {
    block_on(async {
        let (client, server) = pair().await;
        let client = eager(client);
        client.write_all(b"lent ".to_vec()).await.unwrap();
        let client = client.into_stream().await.unwrap();
        client.write_all(b"plain").await.unwrap();
        // The kernel's numbers would go on where they were.
        let client = ZeroCopy::new(client);
        let refused = Some(ZeroCopyFallback::Refused);
        assert_eq!(client.stats().fallback, refused);
        client.write_all(vec![b'!'; LEN_MIN]).await.unwrap();
        assert_eq!((client.stats().lent, client.stats().pending), (0, 0));
        drop(client);
        let received = read_to_end(&server).await.unwrap();
        assert_eq!(&received[..11], b"lent plain!");
        assert_eq!(received.len(), 10 + LEN_MIN);
    });
}

#[test]
fn second_use_of_one_socket_is_refused() {
    block_on(async {
        let (client, _server) = pair().await;
        let twin = client.try_clone().unwrap();
        let (client, twin) = (ZeroCopy::new(client), ZeroCopy::new(twin));
        assert_eq!(client.stats().fallback, None);
        assert_eq!(twin.stats().fallback, Some(ZeroCopyFallback::Refused));
    });
}

#[test]
fn one_socket_taken_over_by_two_threads_is_lent_from_by_one() {
    block_on(async {
        let lends = |stream| ZeroCopy::new(stream).stats().fallback.is_none();
        for _ in 0..2000 {
            let (client, _server) = pair().await;
            // Or the ports run out.
            client.set_linger(Some(Duration::ZERO)).unwrap();
            let twin = client.try_clone().unwrap();
            let both = Barrier::new(2);
            let (first, second) = std::thread::scope(|scope| {
                let first = scope.spawn(|| {
                    both.wait();
                    lends(client)
                });
                both.wait();
                (lends(twin), first.join().unwrap())
            });
            assert!(first != second, "{first}");
        }
    });
}

/// Over multipath TCP the kernel takes the option or not, and would never say that it is done.
#[test]
fn multipath_connection_copies() {
    block_on(async {
        let listening = ListenConfig::new().multipath(true);
        let listener = listening.listen_stream("tcp", "127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let dialer = Dialer::new().multipath(true);
        let client = dialer.dial("tcp", addr).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let client = ZeroCopy::new(TcpStream::try_from(client).unwrap());
        // A kernel without it makes a connection as any other, and there it may be lent.
        let protocol = client.parts.conn.fd.with_fd(option::socket_protocol);
        let is_plain = protocol.unwrap().unwrap() == TCP;
        assert_eq!(client.stats().fallback.is_none(), is_plain);
        let loan = client.write_all(vec![7; LEN_MIN]).await.unwrap();
        server.read_exact(&mut vec![0; LEN_MIN]).await.unwrap();
        client.released(loan).await.unwrap();
        // One of a connection that has sent more.
        client.released(Loan { next: 1000 }).await.unwrap();
    });
}

#[test]
fn refusals_of_the_kernel_are_for_once_or_for_good() {
    block_on(async {
        use gannet_sys::errno::*;
        for (errno, wanted) in [
            (ENOBUFS, Ok(None)),
            (ENOMEM, Ok(None)),
            (EFAULT, Ok(None)),
            (EOPNOTSUPP, Ok(Some(ZeroCopyFallback::Refused))),
            (EINVAL, Ok(Some(ZeroCopyFallback::Refused))),
            (EPIPE, Err(EPIPE)),
            (EAGAIN, Err(EAGAIN)),
            (ECONNRESET, Err(ECONNRESET)),
        ] {
            let (client, _server) = pair().await;
            let client = ZeroCopy::new(client);
            let judged = client.parts.judge(io::Error::from_raw_os_error(errno));
            let judged = judged.map(|()| client.stats().fallback);
            let judged = judged.map_err(|err| err.raw_os_error().unwrap());
            assert_eq!(judged, wanted, "errno {errno}");
        }
    });
}

/// The task runs elsewhere, and can wait for nothing of a descriptor whose runtime has ended.
#[test]
fn end_of_the_runtime_that_connected_loses_nothing() {
    let runtime = || Builder::new_multi_thread().worker_threads(1).build();
    let (connects, closes) = (runtime().unwrap(), runtime().unwrap());
    let peer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = peer.local_addr().unwrap();
    let client = connects.block_on(async { TcpStream::connect(addr).await.unwrap() });
    let entered = closes.enter();
    let client = eager(client);
    drop(entered);
    let (mut server, _) = peer.accept().unwrap();
    let lent = connects.block_on(async {
        let mut sending = Box::pin(client.write_all(vec![7; 16 << 20]));
        let polled = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        client.stats().lent
    });
    drop(connects);
    closes.block_on(client.close()).unwrap();
    let received = io::copy(&mut server, &mut io::sink()).unwrap();
    assert_eq!(received, lent);
}

/// A buffer whose owner panics when it gets it back.
struct Panics(Vec<u8>);

impl AsRef<[u8]> for Panics {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("as the owner wants");
    }
}

#[test]
fn panic_of_one_buffer_gives_no_other_back_early() {
    block_on(async {
        let (client, server) = pair().await;
        let client = eager(client);
        client.write_all(Panics(vec![7; 10])).await.unwrap();
        server.read_exact(&mut [0; 10]).await.unwrap();
        // Nothing but a notification makes it readable.
        let is_back = |fd: BorrowedFd<'_>| fd::poll(fd, PollDirection::Read).unwrap();
        while !client.parts.conn.fd.with_fd(is_back).unwrap() {
            gannet_runtime::yield_now().await;
        }
        let (buf, watched) = tracked(vec![8; 1 << 20]);
        // As if sent: a send would meet the panic first.
        client.parts.loans().lend(Arc::new(buf), 1 << 20);
        let dropping = std::panic::AssertUnwindSafe(|| drop(client));
        assert!(std::panic::catch_unwind(dropping).is_err());
        assert!(watched.try_read(&mut [0]).is_err(), "it is still lent");
    });
}
