//! Receivers of shared sockets: many in one future, several on one socket.

mod common;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use common::{run, run_threads};
use gannet_net::{RecvBatch, Transmit, UdpReceiver, UdpSocket};
use gannet_runtime::{spawn, yield_now};

async fn open() -> Arc<UdpSocket> {
    Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"))
}

fn addr(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("bound")
}

async fn poll_once(receiver: &mut UdpReceiver, batch: &mut RecvBatch) -> Poll<io::Result<usize>> {
    poll_fn(|cx| Poll::Ready(receiver.poll_recv(cx, batch))).await
}

/// Waits until a datagram that was sent can be received: loopback delivers before `send` returns, the
/// edge comes later.
async fn receive(receiver: &mut UdpReceiver, batch: &mut RecvBatch) -> Vec<u8> {
    let filled = receiver.recv(batch).await.expect("received");
    assert_eq!(filled, batch.len());
    let datagram = batch.datagrams().next().expect("at least one");
    datagram.data.to_vec()
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// The driver of a session: waits for whichever of its sockets has something, echoes it, and has no
/// buffers of its own.
async fn echo(sockets: Vec<Arc<UdpSocket>>, datagrams: usize) {
    let mut paths: Vec<_> = sockets.into_iter().map(UdpReceiver::new).collect();
    let mut echoed = 0;
    while echoed < datagrams {
        let ready = poll_fn(|cx| {
            for (index, path) in paths.iter_mut().enumerate() {
                if let Poll::Ready(ready) = path.poll_readable(cx) {
                    return Poll::Ready(ready.map(|()| index));
                }
            }
            Poll::Pending
        });
        let index = ready.await.expect("open");
        let path = &mut paths[index];
        let mut batch = RecvBatch::new(8, 64);
        match path.try_recv(&mut batch) {
            Ok(_) => {}
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => continue,
            Err(err) => panic!("{err}"),
        }
        for datagram in batch.datagrams() {
            let transmit = Transmit::new(datagram.data, datagram.from);
            path.socket().send_batch(&[transmit]).await.expect("sent");
            echoed += 1;
        }
    }
}

#[test]
fn one_future_serves_ten_sockets() {
    run_threads(async {
        let mut sockets = Vec::new();
        for _ in 0..10 {
            sockets.push(open().await);
        }
        let addrs: Vec<_> = sockets.iter().map(|socket| addr(socket)).collect();
        let driver = spawn(echo(sockets, 300));
        let client = open().await;
        let mut batch = RecvBatch::new(8, 64);
        for round in 0..30_u8 {
            for &to in &addrs {
                client.send_to(&[round], to).await.expect("sent");
                client.recv_batch(&mut batch).await.expect("echoed");
                let echo = batch.datagrams().next().expect("one came");
                assert_eq!((&*echo.data, echo.from), (&[round][..], to));
            }
        }
        driver.await.expect("no panic");
    });
}

#[test]
fn last_waker_is_woken_and_earlier_ones_are_forgotten() {
    run(async {
        let socket = open().await;
        let mut receiver = UdpReceiver::new(socket.clone());
        let mut batch = RecvBatch::new(1, 16);
        let counts = [(); 3].map(|()| Arc::new(Count::default()));
        for count in &counts {
            let waker = Waker::from(count.clone());
            let polled = receiver.poll_recv(&mut Context::from_waker(&waker), &mut batch);
            assert!(polled.is_pending());
        }
        socket.send_to(b"x", addr(&socket)).await.expect("sent");
        while counts[2].get() == 0 {
            yield_now().await;
        }
        assert_eq!(counts.each_ref().map(|count| count.get()), [0, 0, 1]);
        assert_eq!(receive(&mut receiver, &mut batch).await, b"x");
    });
}

#[test]
fn two_receivers_take_turns_in_order() {
    run(async {
        let socket = open().await;
        let mut batch = RecvBatch::new(1, 16);
        let [mut first, mut second] = [(); 2].map(|()| UdpReceiver::new(socket.clone()));
        assert!(poll_once(&mut first, &mut batch).await.is_pending());
        assert!(poll_once(&mut second, &mut batch).await.is_pending());
        let err = second.try_recv(&mut batch).expect_err("it queues");
        assert_eq!(err.kind(), io::ErrorKind::WouldBlock);
        let err = socket.try_recv_batch(&mut batch).expect_err("locked");
        assert_eq!(err.kind(), io::ErrorKind::WouldBlock);
        for data in [b"1", b"2", b"3"] {
            socket.send_to(data, addr(&socket)).await.expect("sent");
        }
        assert!(
            poll_once(&mut second, &mut batch).await.is_pending(),
            "its turn comes"
        );
        assert_eq!(receive(&mut first, &mut batch).await, b"1");
        assert_eq!(receive(&mut second, &mut batch).await, b"2");
        assert_eq!(receive(&mut first, &mut batch).await, b"3");
    });
}

#[test]
fn number_is_that_of_the_buffers_filled() {
    run(async {
        let socket = open().await;
        let mut receiver = UdpReceiver::new(socket.clone());
        let mut batch = RecvBatch::new(8, 16);
        for count in [1, 3, 8] {
            for _ in 0..count {
                socket.send_to(b"x", addr(&socket)).await.expect("sent");
            }
            assert_eq!(receiver.recv(&mut batch).await.expect("received"), count);
            assert_eq!(batch.datagrams().count(), count);
        }
    });
}

#[test]
fn dropped_and_released_receivers_let_others_in() {
    run(async {
        let socket = open().await;
        let mut batch = RecvBatch::new(1, 16);
        let [mut first, mut second, mut third] = [(); 3].map(|()| UdpReceiver::new(socket.clone()));
        for receiver in [&mut first, &mut second, &mut third] {
            assert!(poll_once(receiver, &mut batch).await.is_pending());
        }
        socket.send_to(b"x", addr(&socket)).await.expect("sent");
        drop(second);
        first.release();
        assert_eq!(receive(&mut third, &mut batch).await, b"x");
        socket.send_to(b"y", addr(&socket)).await.expect("sent");
        assert_eq!(receive(&mut first, &mut batch).await, b"y");
    });
}

#[test]
fn readable_lasts_until_nothing_is_left_and_misses_nothing() {
    run(async {
        let socket = open().await;
        let mut receiver = UdpReceiver::new(socket.clone());
        let mut batch = RecvBatch::new(1, 16);
        for round in 0..3 {
            for data in [b"1", b"2"] {
                socket.send_to(data, addr(&socket)).await.expect("sent");
            }
            for data in [b"1", b"2"] {
                for _ in 0..2 {
                    poll_fn(|cx| receiver.poll_readable(cx))
                        .await
                        .expect("open");
                }
                assert_eq!(receiver.try_recv(&mut batch).expect("there"), 1);
                assert_eq!(batch.datagrams().next().expect("one").data, data, "{round}");
            }
            let err = receiver.try_recv(&mut batch).expect_err("empty");
            assert_eq!(err.kind(), io::ErrorKind::WouldBlock);
            let polled = poll_fn(|cx| Poll::Ready(receiver.poll_readable(cx))).await;
            assert!(polled.is_pending(), "{round}");
            // An attempt in between leaves the waiting as it was.
            assert!(receiver.try_recv(&mut batch).is_err());
        }
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        assert!(
            receiver
                .poll_readable(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert!(receiver.try_recv(&mut batch).is_err());
        socket.send_to(b"3", addr(&socket)).await.expect("sent");
        while count.get() == 0 {
            yield_now().await;
        }
        assert_eq!(receive(&mut receiver, &mut batch).await, b"3");
    });
}

#[test]
fn receiver_is_small_and_can_move() {
    fn is_send<T: Send + 'static>(_: &T) {}
    run(async {
        let receiver = UdpReceiver::new(open().await);
        is_send(&receiver);
        let words = size_of_val(&receiver) / size_of::<usize>();
        assert!(words <= 6, "{words} words for each socket that waits");
    });
}
