//! Descriptors that come when there is no room for them. One test: the limit is the process's.

mod common;

use std::os::fd::AsFd;

use common::run;
use gannet_net::{UnixDatagram, UnixSendMsg};
use gannet_sys::fd;

fn open_fds() -> u64 {
    let list = std::fs::read_dir("/proc/self/fd").expect("a list of descriptors");
    list.count() as u64
}

#[test]
fn descriptors_of_a_cut_message_are_closed_and_the_socket_lives() {
    run(async {
        let (left, right) = UnixDatagram::pair().unwrap();
        let lent = left
            .control(|raw| raw.as_fd().try_clone_to_owned())
            .unwrap();
        let fds = [lent.as_fd(); 8];
        let msg = UnixSendMsg {
            fds: &fds,
            ..UnixSendMsg::new(b"eight")
        };
        left.send_msg(&msg).await.unwrap();

        let (limit, _) = fd::fd_limit().unwrap();
        let before = open_fds();
        // The list itself was open while it was counted: there is room for three.
        fd::set_fd_limit(before - 1 + 3).unwrap();
        let mut buf = [0; 8];
        let got = right.recv_msg(&mut buf).await.unwrap();
        fd::set_fd_limit(limit).unwrap();
        assert_eq!(&buf[..got.len], b"eight", "the data is there");
        assert!(got.fds_lost);
        assert_eq!(got.fds.len(), 0);
        assert_eq!(open_fds(), before, "those that came are closed");

        left.send_msg(&msg).await.unwrap();
        let got = right.recv_msg(&mut buf).await.unwrap();
        assert_eq!((got.fds.len(), got.fds_lost), (8, false));
    });
}
