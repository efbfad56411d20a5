//! Hooks and closures on the raw socket.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use gannet_net::error::is_closed;
use gannet_net::{
    ControlInfo, Dialer, ListenConfig, Network, RawSocket, TcpListener, TcpStream, UdpSocket,
    UnixDatagram, UnixSeqpacket, UnixStream,
};
use gannet_sys::socket::take_error;

use crate::common::{assert_well_formed, local, pair, run};

const STREAMS: [&str; 5] = ["tcp", "tcp4", "tcp6", "unix", "unixpacket"];
const PACKETS: [&str; 4] = ["udp", "udp4", "udp6", "unixgram"];

/// The networks that a hook was told.
type Told = Arc<Mutex<Vec<Network>>>;

/// A hook that uses the socket by the family that it is told.
fn hook(
    told: &Told,
) -> impl Fn(&ControlInfo, &RawSocket<'_>) -> io::Result<()> + Send + Sync + 'static {
    let told = told.clone();
    move |info, raw| {
        told.lock().unwrap().push(info.network);
        match info.network {
            Network::Tcp4 | Network::Udp4 | Network::Tcp6 | Network::Udp6 => raw.set_ttl(1),
            _ => {
                assert!(take_error(raw.as_fd())?.is_none(), "a new socket is well");
                Ok(())
            }
        }
    }
}

/// Takes what the hook was told, which must be one network, unambiguous and fit for `network`.
#[track_caller]
fn assert_told_once(told: &Told, network: &str) {
    let told = std::mem::take(&mut *told.lock().unwrap());
    let [told] = told[..] else {
        panic!("{network}: {told:?}")
    };
    let told = told.as_str();
    assert!(!["tcp", "udp"].contains(&told), "ambiguous");
    assert!(told.starts_with(network), "{told} for {network}");
}

#[test]
fn hook_of_dialer_and_listener_works_on_every_network() {
    let told = Told::default();
    let config = ListenConfig::new().control(hook(&told));
    let dialer = Dialer::new().control(hook(&told));
    run(async {
        for network in STREAMS {
            let listener = config.listen_stream(network, local(network)).await.unwrap();
            assert_told_once(&told, network);
            let conn = dialer
                .dial(network, listener.local_addr().unwrap())
                .await
                .unwrap();
            assert_told_once(&told, network);
            if network.starts_with("tcp") {
                assert_eq!((listener.ttl().unwrap(), conn.ttl().unwrap()), (1, 1));
            }
        }
        for network in PACKETS {
            let socket = config.listen_packet(network, local(network)).await.unwrap();
            assert_told_once(&told, network);
            let conn = dialer
                .dial(network, socket.local_addr().unwrap())
                .await
                .unwrap();
            assert_told_once(&told, network);
            if network != "unixgram" {
                assert_eq!((socket.ttl().unwrap(), conn.ttl().unwrap()), (1, 1));
            }
        }
    });
}

#[test]
fn dialer_gives_each_family_its_type() {
    let told = Told::default();
    let dialer = Dialer::new().control(hook(&told));
    run(async {
        for network in STREAMS.into_iter().chain(PACKETS) {
            let (addr, _held) = match STREAMS.contains(&network) {
                true => {
                    let listener = gannet_net::listen_stream(network, local(network)).await;
                    let listener = listener.unwrap();
                    (listener.local_addr().unwrap(), (Some(listener), None))
                }
                false => {
                    let socket = gannet_net::listen_packet(network, local(network)).await;
                    let socket = socket.unwrap();
                    (socket.local_addr().unwrap(), (None, Some(socket)))
                }
            };
            let conn = dialer.dial(network, &addr).await.unwrap();
            assert_told_once(&told, network);
            assert_eq!(conn.peer_addr().unwrap(), addr);
            match network {
                "unix" => drop(UnixStream::try_from(conn).unwrap()),
                "unixpacket" => drop(UnixSeqpacket::try_from(conn).unwrap()),
                "unixgram" => drop(UnixDatagram::try_from(conn).unwrap()),
                udp if udp.starts_with("udp") => drop(UdpSocket::try_from(conn).unwrap()),
                _ => drop(TcpStream::try_from(conn).unwrap()),
            }
        }
    });
}

#[test]
fn control_reaches_listeners_and_connections_until_close() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(listener.control(|raw| raw.reuse_address()).unwrap());
        listener.control(|raw| raw.set_ttl(7)).unwrap();
        assert_eq!(listener.ttl().unwrap(), 7);
        for network in ["tcp4", "tcp6"] {
            let (client, _server) = pair(network).await;
            assert!(!client.control(|raw| raw.reuse_address()).unwrap());
            client.control(|raw| raw.set_ttl(9)).unwrap();
            assert_eq!(client.control(|raw| raw.ttl()).unwrap(), 9);
            client.close().await.unwrap();
            let err = client.control(|_| -> io::Result<()> { panic!("closed") });
            let err = err.unwrap_err();
            assert!(is_closed(&err), "{err}");
            assert_well_formed(&err);
        }
        listener.close().await.unwrap();
        let err = listener.control(|raw| raw.reuse_address()).unwrap_err();
        assert!(is_closed(&err), "{err}");
        assert!(err.to_string().starts_with("raw-control tcp "), "{err}");
    });
}
