//! Conversions between neutral types, families, descriptors and the standard library.

mod common;

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use common::{assert_well_formed, pair, run};
use gannet_net::error::raw_os_error;
use gannet_net::{
    Conn, KeepAlive, Listener, PacketConn, TcpListener, TcpStream, UdpSocket, UnixDatagram,
    UnixListener, UnixStream,
};
use gannet_sys::errno;
use gannet_sys::fd::is_nonblocking;

#[test]
fn neutral_types_convert_only_to_their_family() {
    run(async {
        let (tcp, _peer) = pair("tcp").await;
        let err = UnixStream::try_from(tcp).unwrap_err();
        assert_eq!(err.to_string(), "a tcp socket is no UnixStream");
        let err = UdpSocket::try_from(err.into_socket()).unwrap_err();
        let tcp = TcpStream::try_from(err.into_socket()).expect("given back unharmed");
        tcp.set_nodelay(true).unwrap();

        let listener = Listener::from(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let err = UnixListener::try_from(listener).unwrap_err();
        TcpListener::try_from(err.into_socket()).unwrap();

        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let err = UnixDatagram::try_from(PacketConn::from(udp)).unwrap_err();
        let udp = UdpSocket::try_from(err.into_socket()).unwrap();
        let err = TcpStream::try_from(Conn::from(udp)).unwrap_err();
        UdpSocket::try_from(err.into_socket()).unwrap();
    });
}

#[test]
fn std_sockets_are_adopted_nonblocking_and_work() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let listener = TcpListener::try_from(listener).unwrap();
        let (ours, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, theirs.local_addr().unwrap());
        theirs.write_all(b"hello").unwrap();
        let mut buf = [0; 5];
        ours.read_exact(&mut buf).await.unwrap();

        let (left, right) = std::os::unix::net::UnixStream::pair().unwrap();
        let (left, right) = (
            UnixStream::try_from(left).unwrap(),
            UnixStream::try_from(right).unwrap(),
        );
        assert!(is_nonblocking(left.as_fd()).unwrap());
        left.write_all(b"x").await.unwrap();
        right.read_exact(&mut buf[..1]).await.unwrap();

        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::try_from(udp).unwrap();
        assert!(is_nonblocking(udp.as_fd()).unwrap());

        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nodelay(false).unwrap();
        let stream = TcpStream::try_from(stream).unwrap();
        assert!(stream.nodelay().unwrap(), "as for a connection of our own");
        assert_eq!(stream.keep_alive().unwrap(), Some(KeepAlive::default()));
    });
}

#[test]
fn sockets_go_back_to_std_with_what_is_queued() {
    run(async {
        let (client, server) = pair("tcp").await;
        client.write_all(b"queued").await.unwrap();
        let mut std = TcpStream::try_from(server).unwrap().into_std().unwrap();
        std.set_nonblocking(false).unwrap();
        let mut buf = [0; 6];
        std.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"queued");

        let ours = TcpStream::try_from(std).unwrap();
        client.write_all(b"more").await.unwrap();
        assert_eq!(ours.read(&mut buf).await.unwrap(), 4);
    });
}

#[test]
fn descriptors_of_another_kind_are_refused() {
    run(async {
        let udp = || OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let listening = || OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let unix = || OwnedFd::from(std::os::unix::net::UnixStream::pair().unwrap().0);
        for err in [
            TcpStream::try_from(unix()).unwrap_err(),
            TcpStream::try_from(listening()).unwrap_err(),
            UnixStream::try_from(udp()).unwrap_err(),
            Listener::try_from(unix()).unwrap_err(),
            PacketConn::try_from(unix()).unwrap_err(),
            UnixDatagram::try_from(udp()).unwrap_err(),
        ] {
            assert_eq!(err.kind(), std::io::ErrorKind::InvalidInput, "{err}");
            assert!(err.to_string().starts_with("file file+net: "), "{err}");
            assert_well_formed(&err);
        }
        let file = OwnedFd::from(std::fs::File::open("/proc/self/exe").unwrap());
        let err = Conn::try_from(file).unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::ENOTSOCK));
    });
}

#[test]
fn closed_socket_gives_no_descriptor() {
    run(async {
        let (client, _server) = pair("unix").await;
        client.close().await.unwrap();
        let err = OwnedFd::try_from(client).unwrap_err();
        assert_eq!(
            err.to_string(),
            "file unix: use of closed network connection"
        );
    });
}

#[test]
fn sockets_and_their_futures_move_between_threads() {
    fn both<T: Send + Sync>() {}
    both::<Conn>();
    both::<Listener>();
    both::<PacketConn>();
    both::<gannet_net::Dialer>();
    both::<gannet_net::ListenConfig>();
    both::<gannet_net::OwnedReadHalf>();
    both::<gannet_net::error::OpError>();

    fn future<T: Send>(_: T) {}
    future(gannet_net::dial("tcp", "127.0.0.1:1"));
    future(gannet_net::listen_stream("tcp", String::new()));
    future(UdpSocket::connect("127.0.0.1:1"));
    run(async {
        let (client, server) = pair("tcp").await;
        future(client.write_all(b"x"));
        future(server.read_exact(&mut [0; 4]));
        future(client.close());
        assert!(
            size_of_val(&client) <= 128,
            "an idle connection is small: {}",
            size_of_val(&client)
        );
        let read = size_of_val(&client.read(&mut [0; 4]));
        let write = size_of_val(&client.write(b"x"));
        assert!(
            read <= 256 && write <= 256,
            "so are its futures: {read}, {write}"
        );
    });
}
