//! Unix datagram sockets whose receiver is slow.

mod support;

use std::os::unix::net::UnixDatagram as Std;
use std::pin::pin;
use std::time::Duration;

use gannet::net::{Addr, listen_packet};
use gannet::time;

use support::net::{on_both, poll_once};

/// A sender that is not connected hears from the kernel only of its own datagrams, so no edge of
/// the receiver's tells it that a queue which others filled has room again.
#[test]
fn send_to_a_queue_that_others_filled_goes_on_when_it_is_read() {
    on_both(|| async {
        let dir = support::TempDir::new();
        let path = dir.file("receiver");
        let receiver = Std::bind(&path).unwrap();
        let filler = Std::unbound().unwrap();
        filler.set_nonblocking(true).unwrap();
        let mut queued = 0;
        while filler.send_to(b"filler", &path).is_ok() {
            queued += 1;
        }
        let sender = listen_packet("unixgram", "").await.unwrap();
        let to = Addr::unixgram(&path);
        let mut send = pin!(sender.send_to(b"ours", &to));
        assert!(poll_once(&mut send).await.is_pending(), "the queue is full");
        // Past the edge that asking for edges delivers.
        let early = time::timeout(Duration::from_millis(50), send.as_mut()).await;
        assert!(early.is_err(), "the queue is full");
        for _ in 0..queued {
            receiver.recv(&mut [0; 16]).unwrap();
        }
        let sent = time::timeout(Duration::from_secs(5), send).await;
        assert_eq!(sent.expect("the queue has room again").unwrap(), 4);
    });
}
