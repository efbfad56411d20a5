//! Options: each is set to what is not its default, and read back; and what some of them do.

mod common;

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use common::namespace::in_namespace;
use common::{pair, run};
use gannet_net::error::{is_closed, raw_os_error};
use gannet_net::{
    Dialer, KeepAlive, ListenConfig, MtuDiscovery, RawSocket, Socket, TcpListener, TcpState,
    TcpStream, UdpSocket, UnixDatagram,
};
use gannet_sys::errno;

/// Checks that an option is not `value`, sets it, and checks that it is.
#[track_caller]
fn check<T: PartialEq + Debug + Copy>(
    socket: &Socket,
    get: impl Fn(&RawSocket<'_>) -> io::Result<T>,
    set: impl Fn(&RawSocket<'_>, T) -> io::Result<()>,
    value: T,
) {
    let before = socket.control(|raw| get(raw)).unwrap();
    assert_ne!(before, value, "the default proves nothing");
    socket.control(|raw| set(raw, value)).unwrap();
    assert_eq!(socket.control(|raw| get(raw)).unwrap(), value);
    socket.control(|raw| set(raw, before)).unwrap();
    assert_eq!(socket.control(|raw| get(raw)).unwrap(), before);
}

/// As [`check`], for an option and its setter by their names.
macro_rules! table {
    ($socket:expr; $($get:ident, $set:ident: $value:expr;)*) => {$(
        check($socket, |raw| raw.$get(), |raw, value| raw.$set(value), $value);
    )*};
}

#[test]
fn options_of_tcp_are_set_and_read() {
    run(async {
        for network in ["tcp4", "tcp6"] {
            let (client, server) = pair(network).await;
            table! { &client;
                nodelay, set_nodelay: false;
                keep_alive, set_keep_alive: None;
                cork, set_cork: true;
                quickack, set_quickack: false;
                user_timeout, set_user_timeout: Some(Duration::from_millis(1500));
                not_sent_low, set_not_sent_low: 16_384;
                linger, set_linger: Some(Duration::ZERO);
                reuse_address, set_reuse_address: true;
                ttl, set_ttl: 7;
                tos, set_tos: 0x10;
            }
            let idle = Duration::from_secs(77);
            let config = KeepAlive {
                idle: Some(idle),
                interval: Some(idle),
                count: Some(3),
            };
            client
                .control(|raw| raw.set_keep_alive(Some(config)))
                .unwrap();
            assert_eq!(
                client.control(|raw| raw.keep_alive()).unwrap(),
                Some(config)
            );
            let name = server.control(|raw| raw.congestion()).unwrap();
            assert_ne!(name, "reno");
            if server.control(|raw| raw.set_congestion("reno")).is_ok() {
                assert_eq!(server.control(|raw| raw.congestion()).unwrap(), "reno");
            }
            let err = server.control(|raw| raw.set_congestion("none-such"));
            assert_eq!(raw_os_error(&err.unwrap_err()), Some(errno::ENOENT));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        table! { &listener;
            fast_open, set_fast_open: 5;
            reuse_port, set_reuse_port: true;
            reuse_address, set_reuse_address: false;
        }
    });
}

#[test]
fn options_of_streams_have_methods() {
    run(async {
        let (client, _server) = pair("tcp").await;
        let client = TcpStream::try_from(client).unwrap();
        assert!(!client.cork().unwrap());
        client.set_cork(true).unwrap();
        assert!(client.cork().unwrap());
        assert_eq!(client.user_timeout().unwrap(), None);
        let timeout = Some(Duration::from_secs(3));
        client.set_user_timeout(timeout).unwrap();
        assert_eq!(client.user_timeout().unwrap(), timeout);
        assert_ne!(client.not_sent_low().unwrap(), 4096);
        client.set_not_sent_low(4096).unwrap();
        assert_eq!(client.not_sent_low().unwrap(), 4096);
        assert!(client.quickack().unwrap());
        client.set_quickack(false).unwrap();
        assert!(!client.quickack().unwrap());
        assert!(!client.is_multipath().unwrap());
        client.close().await.unwrap();
        assert!(is_closed(&client.info().unwrap_err()));
        assert!(is_closed(&client.set_cork(false).unwrap_err()));
    });
}

#[test]
fn options_of_udp_are_set_and_read() {
    run(async {
        for address in ["127.0.0.1:0", "[::1]:0", ":0"] {
            let socket = UdpSocket::bind(address).await.unwrap();
            table! { &socket;
                broadcast, set_broadcast: false;
                recv_ecn, set_recv_ecn: true;
                recv_local, set_recv_local: true;
                recv_ttl, set_recv_ttl: true;
                recv_errors, set_recv_errors: true;
                gro, set_gro: true;
                mtu_discovery, set_mtu_discovery: MtuDiscovery::Probe;
                multicast_loop, set_multicast_loop: false;
                multicast_all, set_multicast_all: false;
                multicast_ttl, set_multicast_ttl: 9;
                ttl, set_ttl: 9;
                tos, set_tos: 0xb8;
                reuse_port, set_reuse_port: true;
            }
            for size in [8192, 65_536] {
                socket.set_recv_buffer_size(size).unwrap();
                assert_eq!(socket.recv_buffer_size().unwrap(), 2 * size);
                socket.set_send_buffer_size(size).unwrap();
                assert_eq!(socket.send_buffer_size().unwrap(), 2 * size);
            }
        }
        let (left, _right) = UnixDatagram::pair().unwrap();
        table! { &left; pass_credentials, set_pass_credentials: true; }
    });
}

#[test]
fn options_of_another_kind_are_refused() {
    run(async {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let err = udp.control(|raw| raw.set_nodelay(true)).unwrap_err();
        let refused = [Some(errno::EOPNOTSUPP), Some(errno::ENOPROTOOPT)];
        assert!(refused.contains(&raw_os_error(&err)), "{err}");
        let err = udp.control(|raw| raw.tcp_info()).unwrap_err();
        assert!(raw_os_error(&err).is_some());
    });
}

#[test]
fn tcp_info_tells_of_a_connection() {
    run(async {
        let (client, server) = pair("tcp").await;
        let client = TcpStream::try_from(client).unwrap();
        client.write_all(&[1; 5000]).await.unwrap();
        server.read_exact(&mut [0; 5000]).await.unwrap();
        server.write_all(&[2; 700]).await.unwrap();
        client.read_exact(&mut [0; 700]).await.unwrap();
        let info = client.info().unwrap();
        assert_eq!(info.state, TcpState::Established);
        assert!(
            info.bytes_sent >= 5000 && info.bytes_acked >= 5000,
            "{info:?}"
        );
        assert_eq!((info.bytes_received, info.not_sent), (700, 0));
        assert!(!info.rtt.is_zero() && info.rtt < Duration::from_secs(1));
        assert!(info.send_mss > 500 && info.path_mtu > info.send_mss);
        assert!(info.congestion_window > 0 && !info.retransmission_timeout.is_zero());
        assert!(!info.fast_open_used);
        drop(server);
        assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
        assert_eq!(client.info().unwrap().state, TcpState::CloseWait);
    });
}

#[test]
fn fast_open_sends_data_with_the_first_packet() {
    in_namespace("fast_open_sends_data_with_the_first_packet", || {
        if std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", "3").is_err() {
            // What cannot be switched on is not refused: a plain connection comes of it.
            return run(async { assert!(!fast_opened().await) });
        }
        run(async {
            assert!(!fast_opened().await, "the first learns that it may");
            assert!(fast_opened().await);
        });
    });
}

/// Whether data went with the first packet.
async fn fast_opened() -> bool {
    let config = ListenConfig::new().fast_open(16);
    let listener = config.listen_stream("tcp4", "127.0.0.1:0").await.unwrap();
    let dialer = Dialer::new().fast_open(true);
    let client = dialer.dial("tcp4", listener.local_addr().unwrap()).await;
    let client = TcpStream::try_from(client.unwrap()).unwrap();
    client.write_all(b"early").await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let mut buf = [0; 5];
    server.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"early");
    server.write_all(b"late").await.unwrap();
    client.read_exact(&mut buf[..4]).await.unwrap();
    assert_eq!(&buf[..4], b"late");
    client.info().unwrap().fast_open_used
}

#[test]
fn multipath_is_used_between_two_that_ask_for_it() {
    run(async {
        use gannet_sys::socket::{Domain, Kind, MULTIPATH, socket_of};
        let has = socket_of(Domain::Inet, Kind::Stream, MULTIPATH).is_ok();
        for (listens, dials) in [(false, false), (true, false), (false, true), (true, true)] {
            let config = ListenConfig::new().multipath(listens);
            let listener = config.listen_stream("tcp", "127.0.0.1:0").await.unwrap();
            let dialer = Dialer::new().multipath(dials);
            let client = dialer.dial("tcp", listener.local_addr().unwrap()).await;
            let client = TcpStream::try_from(client.unwrap()).unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let server = TcpStream::try_from(server).unwrap();
            client.write_all(b"ping").await.unwrap();
            server.read_exact(&mut [0; 4]).await.unwrap();
            server.write_all(b"pong").await.unwrap();
            client.read_exact(&mut [0; 4]).await.unwrap();
            let both = has && listens && dials;
            assert_eq!(client.is_multipath().unwrap(), both);
            assert_eq!(server.is_multipath().unwrap(), both);
        }
    });
}
