//! What each family has of its own, all of it used once on one socket.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use gannet_net::error::is_deadline;
use gannet_net::{Addr, Dialer, TcpListener, TcpStream, UdpSocket, UnixAddr, UnixDatagram};

use crate::common::{fresh_path, run};

fn in_an_hour() -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(3600))
}

#[test]
fn tcp_listener_has_its_own() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        assert!(addr.port() != 0 && listener.peer_addr().is_err());
        listener
            .set_deadline(Instant::now().checked_add(Duration::from_nanos(30)))
            .unwrap();
        assert!(is_deadline(&listener.accept().await.unwrap_err()));
        let neutral = gannet_net::Listener::from(listener);
        assert!(is_deadline(&neutral.accept().await.map(drop).unwrap_err()));
        let listener = TcpListener::try_from(neutral).unwrap();
        listener.set_deadline(None).unwrap();
        let _client = TcpStream::connect(addr).await.unwrap();
        listener.accept().await.unwrap();
        let std = listener.into_std().unwrap();
        assert_eq!(std.local_addr().unwrap(), addr);
    });
}

#[test]
fn tcp_stream_has_its_own() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = TcpStream::connect(addr).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        client.set_keep_alive(None).unwrap();
        assert_eq!(client.keep_alive().unwrap(), None);
        let probes = gannet_net::KeepAlive {
            idle: Some(Duration::from_secs(3)),
            ..gannet_net::KeepAlive::default()
        };
        client.set_keep_alive(probes).unwrap();
        assert_eq!(client.keep_alive().unwrap(), Some(probes));
        client.set_linger(Some(Duration::ZERO)).unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::ZERO));
        client.set_nodelay(false).unwrap();
        assert!(!client.nodelay().unwrap());
        assert_eq!(client.local_addr().unwrap(), peer);
        assert_eq!(client.peer_addr().unwrap(), addr);
        client.set_deadline(in_an_hour()).unwrap();
        client.set_read_deadline(in_an_hour()).unwrap();
        client.set_write_deadline(in_an_hour()).unwrap();
        client.write_all(b"TCPCONN TEST").await.unwrap();
        let mut buf = [0; 12];
        server.read_exact(&mut buf).await.unwrap();
        server.write_all(&buf).await.unwrap();
        client.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"TCPCONN TEST");
    });
}

#[test]
fn udp_socket_has_its_own() {
    run(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        socket.set_deadline(in_an_hour()).unwrap();
        socket.set_read_deadline(in_an_hour()).unwrap();
        socket.set_write_deadline(in_an_hour()).unwrap();
        let (reading, writing) = (
            socket.recv_buffer_size().unwrap(),
            socket.send_buffer_size().unwrap(),
        );
        socket.set_recv_buffer_size(2048).unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        assert!(socket.recv_buffer_size().unwrap() < reading);
        assert!(socket.send_buffer_size().unwrap() < writing);
        let mut buf = [0; 64];
        socket.send_to(b"UDPCONN TEST", addr).await.unwrap();
        assert_eq!(socket.recv_from(&mut buf).await.unwrap(), (12, addr));
        assert_eq!(&buf[..12], b"UDPCONN TEST");
        let std = socket.into_std().unwrap();
        assert_eq!(std.local_addr().unwrap(), addr);
    });
}

#[test]
fn unix_datagram_has_its_own() {
    run(async {
        let paths = [fresh_path(), fresh_path(), fresh_path()];
        let mut sockets = Vec::new();
        for path in &paths {
            let socket = UnixDatagram::bind(path).await.unwrap();
            socket.set_deadline(in_an_hour()).unwrap();
            socket.set_send_buffer_size(4096).unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            sockets.push(socket);
        }
        for (n, socket) in sockets.iter().enumerate() {
            let next = (n + 1) % 3;
            let to = UnixAddr::Path(paths[next].clone());
            socket.send_to(b"UNIXCONN TEST", &to).await.unwrap();
            let mut buf = [0; 64];
            let (len, from) = sockets[next].recv_from(&mut buf).await.unwrap();
            assert_eq!(&buf[..len], b"UNIXCONN TEST");
            assert_eq!(from, UnixAddr::Path(paths[n].clone()));
        }
        // One that was dialled with a name of its own is a fourth to answer to.
        let path = fresh_path();
        let dialer = Dialer::new().local_addr(Addr::unixgram(path.to_str().unwrap()));
        let to = paths[0].to_str().unwrap();
        let fourth = dialer.dial("unixgram", to).await.unwrap();
        fourth.write_all(b"x").await.unwrap();
        let (_, from) = sockets[0].recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!(from, UnixAddr::Path(path.clone()));
        let fd = OwnedFd::try_from(sockets.remove(0)).unwrap();
        let again = UnixDatagram::try_from(fd).unwrap();
        assert_eq!(
            again.local_addr().unwrap(),
            UnixAddr::Path(paths[0].clone())
        );
        for path in paths.into_iter().chain([path]) {
            std::fs::remove_file(path).unwrap();
        }
    });
}
