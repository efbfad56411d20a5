//! System calls of the caller's choice, under the socket's waits and deadlines.

use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use gannet_net::error::{Op, is_closed, is_deadline, op_error, raw_os_error};
use gannet_net::listen_packet;
use gannet_sys::{errno, socket};

use crate::common::{assert_well_formed, is_pending, local, pair, run};

fn past() -> Option<Instant> {
    Instant::now().checked_sub(Duration::from_secs(5))
}

#[test]
fn raw_calls_wait_and_carry_a_conversation() {
    run(async {
        for network in ["tcp", "unix"] {
            let (client, server) = pair(network).await;
            let mut buf = [0; 16];
            {
                let mut read = pin!(server.read_with(|fd| socket::recv(fd, &mut buf)));
                assert!(is_pending(read.as_mut()).await, "nothing is there yet");
                let sent = client.write_with(|fd| socket::send(fd, b"HELLO"));
                assert_eq!(sent.await.unwrap(), 5);
                assert_eq!(read.await.unwrap(), 5);
            }
            assert_eq!(&buf[..5], b"HELLO");
            server.write_all(&buf[..5]).await.unwrap();
            assert_eq!(client.read(&mut buf).await.unwrap(), 5);
        }
        let socket = listen_packet("udp", local("udp")).await.unwrap();
        let to = socket.local_addr().unwrap().socket_addr().unwrap();
        let to = gannet_sys::sockaddr::SockAddr::Inet(to);
        let sent = socket.write_with(|fd| socket::send_to(fd, b"HELLO", &to));
        assert_eq!(sent.await.unwrap(), 5);
        let got = socket.read_with(|fd| socket::recv_from(fd, &mut [0; 8]));
        assert_eq!(got.await.unwrap(), (5, to.clone()));
    });
}

#[test]
fn raw_calls_are_not_made_past_deadlines_or_close() {
    const NEVER: fn() -> io::Result<()> = || panic!("a call was made");
    run(async {
        for network in ["tcp", "unix"] {
            let (client, server) = pair(network).await;
            server.write_all(b"there is data").await.unwrap();
            for (read, write) in [(past(), past()), (past(), None), (None, past())] {
                client.set_read_deadline(read).unwrap();
                client.set_write_deadline(write).unwrap();
                if read.is_some() {
                    let err = client.read_with(|_| NEVER()).await.unwrap_err();
                    assert!(is_deadline(&err), "{err}");
                    assert_eq!(op_error(&err).unwrap().op, Op::RawRead);
                    assert_well_formed(&err);
                } else {
                    client.read_with(|_| Ok(())).await.unwrap();
                }
                if write.is_some() {
                    let err = client.write_with(|_| NEVER()).await.unwrap_err();
                    assert!(is_deadline(&err), "{err}");
                    assert_eq!(op_error(&err).unwrap().op, Op::RawWrite);
                } else {
                    client.write_with(|_| Ok(())).await.unwrap();
                }
            }
            client.set_deadline(None).unwrap();
            let fails = || Err::<(), _>(io::Error::from_raw_os_error(errno::EINVAL));
            let err = client.read_with(|_| fails()).await.unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::EINVAL));
            assert!(err.to_string().starts_with("raw-read "), "{err}");
            let err = client.write_with(|_| fails()).await.unwrap_err();
            assert!(err.to_string().starts_with("raw-write "), "{err}");

            client.close().await.unwrap();
            let err = client.read_with(|_| NEVER()).await.unwrap_err();
            assert!(is_closed(&err), "{err}");
            let err = client.write_with(|_| NEVER()).await.unwrap_err();
            assert!(is_closed(&err), "{err}");
        }
    });
}
