//! Streams whose peer has gone half or whole, and many buffers.

use std::io::{IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use gannet_net::error::{is_deadline, raw_os_error};
use gannet_sys::errno;

use crate::common::{assert_well_formed, pair, run, run_threads};

#[test]
fn writer_to_half_closed_peer_that_never_reads_waits_and_does_not_spin() {
    run(async {
        let (client, server) = pair("tcp").await;
        server.shutdown(Shutdown::Write).unwrap();
        let block = [b'x'; 8192];
        let (mut full, mut at_once) = (0, 0);
        loop {
            match client.try_write(&block) {
                Ok(_) => at_once = 0,
                Err(err) => {
                    assert_eq!(err.kind(), std::io::ErrorKind::WouldBlock, "{err}");
                    full += 1;
                    at_once += 1;
                    assert!(at_once <= 20, "told that there is room, and there is none");
                    let soon = Instant::now().checked_add(Duration::from_millis(5));
                    client.set_write_deadline(soon).unwrap();
                }
            }
            if full > 0 {
                if let Err(err) = client.writable().await {
                    assert!(is_deadline(&err), "{err}");
                    break;
                }
            }
        }
        assert!(full > 0, "the buffers were full");
    });
}

#[test]
fn vectored_write_of_a_gibibyte_to_a_closed_peer_fails() {
    run_threads(async {
        let (client, server) = pair("tcp").await;
        drop(server);
        let block = vec![b'x'; 1 << 20];
        let mut bufs = vec![IoSlice::new(&block); 1024];
        let err = client.write_all_vectored(&mut bufs).await.unwrap_err();
        assert_well_formed(&err);
        let errno = raw_os_error(&err);
        assert!(
            matches!(errno, Some(errno::EPIPE | errno::ECONNRESET)),
            "{err}"
        );
    });
}

#[test]
fn many_buffers_are_one_stream() {
    run(async {
        for network in ["tcp", "unix"] {
            let (client, server) = pair(network).await;
            let words = [
                "once upon a time in Gopherland ... ",
                "",
                "x",
                " ",
                "",
                "end",
            ];
            let whole = words.concat();
            let mut bufs: Vec<_> = words.iter().map(|w| IoSlice::new(w.as_bytes())).collect();
            client.write_all_vectored(&mut bufs).await.unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let (mut a, mut b, mut c) = ([0; 7], [0; 0], [0; 5]);
            let mut got = Vec::new();
            loop {
                let mut bufs = [&mut a[..], &mut b[..], &mut c[..]].map(IoSliceMut::new);
                let len = server.read_vectored(&mut bufs).await.unwrap();
                if len == 0 {
                    break;
                }
                let all = [&a[..], &c[..]].concat();
                got.extend_from_slice(&all[..len]);
            }
            assert_eq!(String::from_utf8(got).unwrap(), whole);
        }
    });
}
