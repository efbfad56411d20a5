//! Unix names, and the end of Unix streams.

use std::net::Shutdown;

use gannet_net::{Addr, UnixAddr, dial, listen_packet, listen_stream};

use crate::common::{assert_well_formed, pair, run};

#[test]
fn abstract_name_may_be_as_long_as_the_kernel_takes() {
    run(async {
        // With the leading NUL they are the 108 bytes of `sun_path`.
        let mut name = format!("gannet-long-{}", std::process::id()).into_bytes();
        name.resize(107, 0);
        let padded = [b"@", &name[..]].concat();
        let padded = String::from_utf8(padded).unwrap();
        let server = listen_packet("unixgram", &padded).await.unwrap();
        let addr = server.local_addr().unwrap();
        assert_eq!(addr.unix_addr(), Some(&UnixAddr::Abstract(name)));
        let client = dial("unixgram", &padded).await.unwrap();
        client.write_all(b"abstract").await.unwrap();
        let mut buf = [0; 16];
        let (len, from) = server.recv_from(&mut buf).await.unwrap();
        assert_eq!(&buf[..len], b"abstract");
        assert_eq!(from, Addr::unixgram(""), "nobody in particular");

        let longer = format!("{padded}x");
        let err = listen_packet("unixgram", &longer).await.unwrap_err();
        assert_eq!(err.kind(), std::io::ErrorKind::InvalidInput, "{err}");
    });
}

#[test]
fn autobound_listener_closes_without_a_file_to_remove() {
    run(async {
        let listener = listen_stream("unix", "").await.unwrap();
        let name = listener.local_addr().unwrap().to_string();
        assert!(name.len() > 1 && name.starts_with('@'), "{name}");
        listener.close().await.unwrap();
        assert!(!std::path::Path::new(&name).exists());
        dial("unix", &name).await.unwrap_err();
    });
}

#[test]
fn unix_stream_ends_with_its_peer() {
    run(async {
        let (client, server) = pair("unix").await;
        server.write_all(b"last").await.unwrap();
        drop(server);
        let mut buf = [0; 8];
        assert_eq!(client.read(&mut buf).await.unwrap(), 4);
        for _ in 0..2 {
            assert_eq!(client.read(&mut buf).await.unwrap(), 0);
            assert_eq!(client.peek(&mut buf).await.unwrap(), 0);
            assert_eq!(client.try_read(&mut buf).unwrap(), 0);
        }
    });
}

#[test]
fn packet_connection_closes_in_halves() {
    run(async {
        let (client, server) = pair("unixpacket").await;
        let mut buf = [0; 8];
        assert_eq!(client.read(&mut []).await.unwrap(), 0, "at once");
        assert_eq!(server.read(&mut []).await.unwrap(), 0);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        server.shutdown(Shutdown::Write).unwrap();
        assert_well_formed(&server.write(b"x").await.unwrap_err());
        assert_eq!(client.read(&mut buf).await.unwrap(), 0);
        assert_well_formed(&client.write(b"x").await.unwrap_err());

        let (client, server) = pair("unixpacket").await;
        client.shutdown(Shutdown::Read).unwrap();
        assert_eq!(client.read(&mut buf).await.unwrap(), 0);
        client.write(b"x").await.unwrap();
        assert_eq!(server.read(&mut buf).await.unwrap(), 1);
    });
}
