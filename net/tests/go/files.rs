//! Descriptors that leave a socket and become another.

use std::os::fd::{AsFd, OwnedFd};

use gannet_net::{Conn, Listener, PacketConn, dial};
use gannet_sys::fd::{is_cloexec, is_nonblocking};

use crate::common::{listen, local, pair, run};

#[test]
fn connection_goes_on_in_a_duplicate() {
    run(async {
        for network in ["tcp", "tcp4", "tcp6", "unix", "unixpacket"] {
            let (client, server) = pair(network).await;
            let (addr, peer) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            let fd = client.as_fd().try_clone_to_owned().unwrap();
            client.close().await.unwrap();
            let again = Conn::try_from(fd).unwrap();
            assert_eq!(again.local_addr().unwrap(), addr);
            assert_eq!(again.peer_addr().unwrap(), peer);
            again.write_all(b"FILECONN").await.unwrap();
            let mut buf = [0; 8];
            server.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"FILECONN");
            drop(again);
            assert_eq!(
                server.read(&mut buf).await.unwrap(),
                0,
                "that was the last one"
            );
        }
        let server = gannet_net::listen_packet("udp", "127.0.0.1:0")
            .await
            .unwrap();
        let client = dial("udp", server.local_addr().unwrap()).await.unwrap();
        let addr = client.local_addr().unwrap();
        let fd = client.as_fd().try_clone_to_owned().unwrap();
        client.close().await.unwrap();
        let again = Conn::try_from(fd).unwrap();
        assert_eq!(again.local_addr().unwrap(), addr);
        again.write_all(b"x").await.unwrap();
        assert_eq!(server.recv_from(&mut [0; 8]).await.unwrap(), (1, addr));
    });
}

#[test]
fn listener_goes_on_in_a_duplicate() {
    run(async {
        for network in ["tcp", "tcp6", "unix", "unixpacket"] {
            let listener = listen(network).await;
            let addr = listener.local_addr().unwrap();
            let fd = listener.as_fd().try_clone_to_owned().unwrap();
            // Given away, not closed: that would remove the name that is dialled below.
            drop(OwnedFd::try_from(listener).unwrap());
            let again = Listener::try_from(fd).unwrap();
            assert_eq!(again.local_addr().unwrap(), addr);
            let client = dial(network, &addr).await.unwrap();
            let (server, _) = again.accept().await.unwrap();
            client.write_all(b"x").await.unwrap();
            assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 1);
            if let Some(gannet_net::UnixAddr::Path(path)) = addr.unix_addr() {
                std::fs::remove_file(path).unwrap();
            }
        }
    });
}

#[test]
fn packet_socket_goes_on_in_a_duplicate() {
    run(async {
        for network in ["udp", "udp6", "unixgram"] {
            let open = || gannet_net::listen_packet(network, local(network));
            let (socket, peer) = (open().await.unwrap(), open().await.unwrap());
            let addr = socket.local_addr().unwrap();
            let fd = socket.as_fd().try_clone_to_owned().unwrap();
            socket.close().await.unwrap();
            let again = PacketConn::try_from(fd).unwrap();
            assert_eq!(again.local_addr().unwrap(), addr);
            again
                .send_to(b"x", &peer.local_addr().unwrap())
                .await
                .unwrap();
            assert_eq!(peer.recv_from(&mut [0; 8]).await.unwrap(), (1, addr));
        }
    });
}

#[test]
fn descriptors_never_block_and_are_not_inherited() {
    run(async {
        for network in ["tcp", "unix"] {
            let (client, _server) = pair(network).await;
            assert!(is_nonblocking(client.as_fd()).unwrap());
            assert!(is_cloexec(client.as_fd()).unwrap());
            let copy = client.as_fd().try_clone_to_owned().unwrap();
            assert!(is_nonblocking(copy.as_fd()).unwrap(), "of one description");
            assert!(is_cloexec(copy.as_fd()).unwrap());
            // Unlike Go, which makes a descriptor that it gives away block.
            let given = OwnedFd::try_from(client).unwrap();
            assert!(is_nonblocking(given.as_fd()).unwrap());
            assert!(is_cloexec(given.as_fd()).unwrap());
        }
    });
}
