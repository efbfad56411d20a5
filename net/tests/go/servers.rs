//! Servers and clients over every pair of addresses that fits.

use std::sync::Arc;

use gannet_net::{Addr, Conn, Dialer, Listener, PacketConn, dial, listen_packet, listen_stream};
use gannet_runtime::spawn;

use crate::common::{fresh_path, local, pair, run, run_threads};

/// Network and address of the server, and network and host of the client.
const ROUTES: [(&str, &str, &str, &str); 26] = [
    ("", ":0", "", "127.0.0.1"),
    ("", "0.0.0.0:0", "", "127.0.0.1"),
    ("", "[::ffff:0.0.0.0]:0", "", "127.0.0.1"),
    ("", "[::]:0", "", "127.0.0.1"),
    ("", ":0", "", "[::1]"),
    ("", "0.0.0.0:0", "", "[::1]"),
    ("", "[::ffff:0.0.0.0]:0", "", "[::1]"),
    ("", "[::]:0", "", "[::1]"),
    ("", ":0", "4", "127.0.0.1"),
    ("", "0.0.0.0:0", "4", "127.0.0.1"),
    ("", "[::ffff:0.0.0.0]:0", "4", "127.0.0.1"),
    ("", "[::]:0", "4", "127.0.0.1"),
    ("", ":0", "6", "[::1]"),
    ("", "0.0.0.0:0", "6", "[::1]"),
    ("", "[::ffff:0.0.0.0]:0", "6", "[::1]"),
    ("", "[::]:0", "6", "[::1]"),
    ("", "127.0.0.1:0", "", "127.0.0.1"),
    ("", "[::ffff:127.0.0.1]:0", "", "127.0.0.1"),
    ("", "[::1]:0", "", "[::1]"),
    ("4", ":0", "4", "127.0.0.1"),
    ("4", "0.0.0.0:0", "4", "127.0.0.1"),
    ("4", "[::ffff:0.0.0.0]:0", "4", "127.0.0.1"),
    ("4", "127.0.0.1:0", "4", "127.0.0.1"),
    ("6", ":0", "6", "[::1]"),
    ("6", "[::]:0", "6", "[::1]"),
    ("6", "[::1]:0", "6", "[::1]"),
];

/// Accepts one connection and sends back what it says.
async fn echo_once(listener: &Listener) {
    let (conn, _) = listener.accept().await.unwrap();
    let mut buf = [0; 256];
    let len = conn.read(&mut buf).await.unwrap();
    conn.write_all(&buf[..len]).await.unwrap();
}

/// Says something and waits for it to come back, and for the end.
async fn talk(conn: Conn, words: &[u8]) {
    conn.write_all(words).await.unwrap();
    hear(conn, words).await;
}

#[test]
fn tcp_servers_on_one_listener_answer_their_clients() {
    run_threads(async {
        for (server, address, client, host) in ROUTES {
            let network = format!("tcp{server}");
            let listener = Arc::new(listen_stream(&network, address).await.unwrap());
            let port = listener.local_addr().unwrap().port().unwrap();
            let servers: Vec<_> = (0..3)
                .map(|_| {
                    let listener = listener.clone();
                    spawn(async move { echo_once(&listener).await })
                })
                .collect();
            for _ in 0..3 {
                let conn = dial(format!("tcp{client}"), format_args!("{host}:{port}")).await;
                talk(conn.unwrap(), b"TCP SERVER TEST").await;
            }
            for server in servers {
                server.await.unwrap();
            }
        }
    });
}

/// Receives one datagram and sends it back to where it came from.
async fn return_one(server: &PacketConn) {
    let mut buf = [0; 256];
    let (len, from) = server.recv_from(&mut buf).await.unwrap();
    server.send_to(&buf[..len], &from).await.unwrap();
}

#[test]
fn udp_servers_answer_connected_and_unconnected_clients() {
    const WORDS: &[u8] = b"UDP SERVER TEST";
    run(async {
        for (server, address, version, host) in ROUTES {
            let server = listen_packet(format!("udp{server}"), address)
                .await
                .unwrap();
            let port = server.local_addr().unwrap().port().unwrap();
            let to: std::net::SocketAddr = format!("{host}:{port}").parse().unwrap();
            let network = format!("udp{version}");
            let mut buf = [0; 256];

            let client = listen_packet(&network, format_args!("{host}:0"))
                .await
                .unwrap();
            client.send_to(WORDS, &Addr::Udp(to)).await.unwrap();
            return_one(&server).await;
            let (len, from) = client.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..len], from), (WORDS, Addr::Udp(to)));

            let client = dial(&network, to).await.unwrap();
            client.write_all(WORDS).await.unwrap();
            return_one(&server).await;
            let len = client.read(&mut buf).await.unwrap();
            assert_eq!(&buf[..len], WORDS);
        }
    });
}

#[test]
fn unixgram_servers_answer_clients_that_have_a_name() {
    const WORDS: &[u8] = b"UNIXGRAM SERVER TEST";
    run(async {
        let path = || fresh_path().to_str().unwrap().to_owned();
        let name = || format!("@{}", path());
        for (server, client) in [(path(), path()), (name(), name()), (path(), name())] {
            let socket = listen_packet("unixgram", &server).await.unwrap();
            let to = socket.local_addr().unwrap();
            let mut buf = [0; 256];

            let plain = listen_packet("unixgram", &client).await.unwrap();
            plain.send_to(WORDS, &to).await.unwrap();
            return_one(&socket).await;
            let (len, from) = plain.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..len], from), (WORDS, to.clone()));

            let other = format!("{client}.dialled");
            let dialer = Dialer::new().local_addr(Addr::unixgram(&other));
            let dialled = dialer.dial("unixgram", &to).await.unwrap();
            dialled.write_all(WORDS).await.unwrap();
            return_one(&socket).await;
            let len = dialled.read(&mut buf).await.unwrap();
            assert_eq!(&buf[..len], WORDS);
            for path in [server, client, other] {
                if !path.starts_with('@') {
                    std::fs::remove_file(path).unwrap();
                }
            }
        }
    });
}

#[test]
fn addresses_tell_the_network_and_connections_work_under_deadlines() {
    run(async {
        for network in ["tcp", "unix", "unixpacket"] {
            let listener = listen_stream(network, local(network)).await.unwrap();
            let addr = listener.local_addr().unwrap();
            assert_eq!(addr.network(), network);
            let hour = std::time::Instant::now().checked_add(std::time::Duration::from_secs(3600));
            listener.set_deadline(hour).unwrap();
            let client = dial(network, &addr).await.unwrap();
            assert_eq!(client.local_addr().unwrap().network(), network);
            assert_eq!(client.peer_addr().unwrap().network(), network);
            client.set_deadline(hour).unwrap();
            client.set_read_deadline(hour).unwrap();
            client.set_write_deadline(hour).unwrap();
            client.write_all(b"CONN AND LISTENER TEST").await.unwrap();
            echo_once(&listener).await;
            hear(client, b"CONN AND LISTENER TEST").await;
        }
    });
}

/// Waits for the answer to what was said, and for the end.
async fn hear(conn: Conn, words: &[u8]) {
    let mut buf = vec![0; words.len()];
    conn.read_exact(&mut buf).await.unwrap();
    assert_eq!(buf, words);
    assert_eq!(conn.read(&mut buf).await.unwrap(), 0);
}

#[test]
fn ten_thousand_messages_go_to_and_fro() {
    run_threads(async {
        let both = (0..2).map(|_| {
            spawn(async {
                let (client, server) = pair("tcp").await;
                let echo = spawn(async move {
                    let mut buf = [0; 512];
                    while server.read_exact(&mut buf).await.is_ok() {
                        server.write_all(&buf).await.unwrap();
                    }
                });
                let mut buf = [0; 512];
                for n in 0..10_000_u32 {
                    let said = [n.to_ne_bytes(); 128].concat();
                    client.write_all(&said).await.unwrap();
                    client.read_exact(&mut buf).await.unwrap();
                    assert_eq!(buf[..], said[..]);
                }
                drop(client);
                echo.await.unwrap();
            })
        });
        for one in Vec::from_iter(both) {
            one.await.unwrap();
        }
    });
}
