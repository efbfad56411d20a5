//! Listening on one port twice, long queues, and accepting under deadlines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gannet_net::error::{is_closed, is_deadline, raw_os_error};
use gannet_net::{Conn, ListenConfig, PacketConn, dial, listen_packet};
use gannet_runtime::spawn;
use gannet_sys::errno;

use crate::common::{assert_well_formed, listen, run, run_threads};

/// Opens the first address, and the second one with the first one's port.
async fn both(first: (&str, &str), second: (&str, &str)) -> std::io::Result<PacketConn> {
    let held = listen_packet(first.0, format_args!("{}:0", first.1))
        .await
        .unwrap();
    let port = held.local_addr().unwrap().port().unwrap();
    listen_packet(second.0, format_args!("{}:{port}", second.1)).await
}

#[test]
fn packet_sockets_of_one_port_conflict_as_in_go() {
    run(async {
        for (first, second) in [
            ("", ""),
            ("", "0.0.0.0"),
            ("0.0.0.0", ""),
            ("", "[::]"),
            ("[::]", ""),
            ("0.0.0.0", "[::]"),
            ("[::]", "0.0.0.0"),
            ("[::ffff:0.0.0.0]", "[::]"),
            ("[::]", "[::ffff:0.0.0.0]"),
        ] {
            let err = both(("udp", first), ("udp", second)).await.unwrap_err();
            assert_eq!(
                raw_os_error(&err),
                Some(errno::EADDRINUSE),
                "{first} {second}"
            );
            assert_well_formed(&err);
        }
        for (first, second) in [
            (("udp4", ""), ("udp6", "")),
            (("udp4", "0.0.0.0"), ("udp6", "[::]")),
            (("udp", "127.0.0.1"), ("udp", "[::1]")),
            (("udp4", "127.0.0.1"), ("udp6", "[::1]")),
        ] {
            for (first, second) in [(first, second), (second, first)] {
                let mut tries = 0;
                // Another program may hold the port of the other family.
                while let Err(err) = both(first, second).await {
                    tries += 1;
                    assert!(tries < 5, "{first:?} {second:?}: {err}");
                }
            }
        }
    });
}

#[test]
fn backlog_is_not_cut_to_sixteen_bits() {
    run(async {
        for backlog in [65_536, 196_602, u32::MAX] {
            // 0 in the lower bits, or less than none in all of them, would be a queue of one.
            let config = ListenConfig::new().backlog(backlog);
            let listener = config.listen_stream("tcp", "127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let mut waiting: Vec<Conn> = Vec::new();
            for _ in 0..20 {
                waiting.push(dial("tcp", &addr).await.unwrap());
            }
            for _ in &waiting {
                listener.accept().await.unwrap();
            }
        }
    });
}

#[test]
fn accepts_under_short_deadlines_fail_well_formed_until_close() {
    run_threads(async {
        let listener = Arc::new(listen("tcp").await);
        let accepting = listener.clone();
        let accepts = spawn(async move {
            let mut timeouts = 0;
            loop {
                let soon = Instant::now().checked_add(Duration::from_millis(1));
                let err = match accepting.set_read_deadline(soon) {
                    Ok(()) => accepting.accept().await.map(drop).unwrap_err(),
                    Err(err) => err,
                };
                assert_well_formed(&err);
                if !is_deadline(&err) {
                    return (timeouts, err);
                }
                timeouts += 1;
                if timeouts == 10 {
                    drop(accepting.close());
                }
            }
        });
        let (timeouts, err) = accepts.await.unwrap();
        assert!(is_closed(&err), "{err}");
        assert_eq!(timeouts, 10);
        assert!(listener.is_closed());
    });
}
