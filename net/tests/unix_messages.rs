//! Unix sockets: packets on a connection, descriptors, credentials.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

use common::namespace::programs;
use common::{assert_well_formed, fresh_path, listen, pair, run};
use gannet_net::error::{WriteToConnectedError, op_error, raw_os_error};
use gannet_net::{
    Addr, Conn, Credentials, Dialer, Listener, PacketConn, TcpStream, UnixAddr, UnixDatagram,
    UnixListener, UnixSendMsg, UnixSeqpacket, UnixStream, dial, listen_packet,
};
use gannet_runtime::yield_now;
use gannet_sys::{errno, fd};

/// Makes a pipe, as files that block.
fn pipe() -> (File, File) {
    let (reader, writer) = fd::pipe().unwrap();
    for end in [&reader, &writer] {
        fd::set_nonblocking(end.as_fd(), false).unwrap();
    }
    (File::from(reader), File::from(writer))
}

/// Checks that `fd` is the reading end of the pipe that `writer` writes to.
fn assert_reads(fd: OwnedFd, mut writer: File) {
    assert!(fd::is_cloexec(fd.as_fd()).unwrap());
    writer.write_all(b"through").unwrap();
    drop(writer);
    let mut text = String::new();
    File::from(fd).read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
}

#[test]
fn packets_keep_their_bounds_and_end_with_the_peer() {
    run(async {
        let (client, server) = pair("unixpacket").await;
        assert_eq!(client.peer_addr().unwrap().network(), "unixpacket");
        for data in [&b"one"[..], b"second", b"3"] {
            assert_eq!(client.write(data).await.unwrap(), data.len());
        }
        let mut buf = [0; 4];
        for want in [&b"one"[..], b"seco", b"3"] {
            let len = server.read(&mut buf).await.unwrap();
            assert_eq!(&buf[..len], want, "the rest of a long one is lost");
        }
        assert_eq!(server.read(&mut []).await.unwrap(), 0);
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        server.write(b"back").await.unwrap();
        assert_eq!(client.read(&mut buf).await.unwrap(), 4);
        client.close().await.unwrap();
        // A child that another test is about to start holds a copy until it executes its program.
        let err = loop {
            match server.write(b"x").await {
                Ok(_) => yield_now().await,
                Err(err) => break err,
            }
        };
        // The latter, if what got through stayed unread.
        let ends = [Some(errno::EPIPE), Some(errno::ECONNRESET)];
        assert!(ends.contains(&raw_os_error(&err)), "{err}");
        assert_well_formed(&err);
    });
}

#[test]
fn packet_listener_has_unlink_and_autobind() {
    run(async {
        let path = fresh_path();
        let listener = gannet_net::listen_stream("unixpacket", path.display()).await;
        let listener = listener.unwrap();
        let client = UnixSeqpacket::connect(&path).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.write(b"x").await.unwrap();
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 1);
        // A stream does not go with packets.
        let err = UnixStream::connect(&path).await.unwrap_err();
        assert!(err.to_string().contains("connect: protocol wrong type"));
        listener.close().await.unwrap();
        assert!(!path.exists());

        let listener = gannet_net::listen_stream("unixpacket", path.display()).await;
        let listener = listener.unwrap();
        listener.set_unlink_on_close(false);
        listener.close().await.unwrap();
        std::fs::remove_file(&path).expect("the file was left");

        let listener = gannet_net::listen_stream("unixpacket", "").await.unwrap();
        let name = listener.local_addr().unwrap().to_string();
        assert!(name.starts_with('@') && name.len() == 6, "{name}");
        dial("unixpacket", name).await.unwrap();
        listener.close().await.unwrap();
    });
}

#[test]
fn packet_sockets_convert_and_are_no_others() {
    run(async {
        let (left, right) = UnixSeqpacket::pair().unwrap();
        let left = OwnedFd::try_from(left).unwrap();
        let left = UnixSeqpacket::try_from(left).unwrap();
        left.write(b"x").await.unwrap();
        assert_eq!(right.read(&mut [0; 4]).await.unwrap(), 1);
        let err = TcpStream::try_from(Conn::from(right)).unwrap_err();
        assert_eq!(err.to_string(), "a unixpacket socket is no TcpStream");
        let fd = OwnedFd::try_from(left).unwrap();
        let err = PacketConn::try_from(fd).unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::EINVAL));

        let listener = listen("unixpacket").await;
        let fd = OwnedFd::try_from(listener).unwrap();
        let listener = Listener::try_from(fd).unwrap();
        let addr = listener.local_addr().unwrap();
        let client = dial("unixpacket", &addr).await.unwrap();
        listener.accept().await.unwrap();
        drop(client);
        assert!(UnixListener::try_from(listener).is_err());
        std::fs::remove_file(addr.to_string()).unwrap();
    });
}

#[test]
fn descriptors_pass_through_every_kind() {
    run(async {
        let (a, b) = UnixStream::pair().unwrap();
        let (c, d) = UnixDatagram::pair().unwrap();
        let (e, f) = UnixSeqpacket::pair().unwrap();
        for data in [&b"data"[..], b""] {
            let mut buf = [0; 8];
            for kind in 0..3 {
                let (reader, writer) = pipe();
                let fds = [reader.as_fd()];
                let msg = UnixSendMsg {
                    fds: &fds,
                    ..UnixSendMsg::new(data)
                };
                let (sent, mut got) = match kind {
                    0 => (
                        a.send_msg(&msg).await,
                        b.recv_msg(&mut buf[..data.len()]).await,
                    ),
                    1 => (c.send_msg(&msg).await, d.recv_msg(&mut buf).await),
                    _ => (e.send_msg(&msg).await, f.recv_msg(&mut buf).await),
                };
                assert_eq!(sent.unwrap(), data.len());
                let got = got.as_mut().unwrap();
                assert_eq!((&buf[..got.len], got.fds.len()), (data, 1), "{kind}");
                assert!(!got.truncated && !got.fds_lost);
                drop(reader);
                assert_reads(got.fds.remove(0), writer);
            }
        }
    });
}

#[test]
fn descriptors_unread_are_closed() {
    run(async {
        let (left, right) = UnixStream::pair().unwrap();
        let (mut reader, writer) = pipe();
        let fds = [writer.as_fd()];
        let msg = UnixSendMsg {
            fds: &fds,
            ..UnixSendMsg::new(b"x")
        };
        left.send_msg(&msg).await.unwrap();
        drop(writer);
        assert_eq!(right.read(&mut [0; 4]).await.unwrap(), 1);
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0, "nobody writes");
    });
}

#[test]
fn too_many_descriptors_are_refused_and_nothing_is_sent() {
    run(async {
        let (left, right) = UnixDatagram::pair().unwrap();
        let (reader, _writer) = pipe();
        let fds = [reader.as_fd(); 254];
        let msg = UnixSendMsg {
            fds: &fds,
            ..UnixSendMsg::new(b"x")
        };
        let err = left.send_msg(&msg).await.unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::EINVAL));
        assert_well_formed(&err);
        assert!(err.to_string().contains("sendmsg: invalid argument"));
        left.send(b"y").await.unwrap();
        let got = right.recv_msg(&mut [0; 4]).await.unwrap();
        assert!(got.fds.is_empty());
    });
}

#[test]
fn credentials_of_the_peer_and_of_each_message() {
    run(async {
        let (left, right) = UnixStream::pair().unwrap();
        let own = left.peer_credentials().unwrap();
        assert_eq!(own.pid, std::process::id());
        assert!(!right.pass_credentials().unwrap());
        right.set_pass_credentials(true).unwrap();
        assert!(right.pass_credentials().unwrap());
        left.write_all(b"x").await.unwrap();
        let got = right.recv_msg(&mut [0; 4]).await.unwrap();
        assert_eq!(got.credentials, Some(own));
        let msg = UnixSendMsg {
            credentials: Some(own),
            ..UnixSendMsg::new(b"x")
        };
        assert_eq!(left.send_msg(&msg).await.unwrap(), 1);
        let got = right.recv_msg(&mut [0; 4]).await.unwrap();
        assert_eq!((got.len, got.credentials), (1, Some(own)));

        let lonely = UnixDatagram::bind("").await.unwrap();
        let err = lonely.peer_credentials().map(|peer: Credentials| peer.pid);
        assert!(err.is_err() || err.unwrap() == 0);
    });
}

#[test]
fn message_to_a_name_says_where_it_came_from() {
    run(async {
        let (left, right) = (UnixDatagram::bind("").await, UnixDatagram::bind("").await);
        let (left, right) = (left.unwrap(), right.unwrap());
        let to = right.local_addr().unwrap();
        let msg = UnixSendMsg {
            to: Some(&to),
            ..UnixSendMsg::new(b"hello")
        };
        assert_eq!(left.send_msg(&msg).await.unwrap(), 5);
        let got = right.recv_msg(&mut [0; 2]).await.unwrap();
        assert_eq!((got.len, got.truncated), (2, true));
        assert_eq!(got.from, left.local_addr().unwrap());

        let connected = UnixDatagram::pair().unwrap().0;
        let err = connected.send_msg(&msg).await.unwrap_err();
        let cause = op_error(&err).unwrap().err.get_ref().unwrap();
        assert!(cause.is::<WriteToConnectedError>());
        assert_well_formed(&err);
    });
}

#[test]
fn listen_and_dial_refuse_networks_of_the_other_kind() {
    run(async {
        let err = listen_packet("unixpacket", "@x").await.unwrap_err();
        let text = "listen unixpacket @x: address @x: unexpected address type";
        assert_eq!(err.to_string(), text);
        let dialer = Dialer::new().local_addr(Addr::unix("@y"));
        let err = dialer.dial("unixpacket", "@x").await.unwrap_err();
        assert!(err.to_string().ends_with("mismatched local address type"));
        let err = UnixSeqpacket::connect("@gannet-nobody").await.unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::ECONNREFUSED));
    });
}

/// Sends a descriptor and its credentials over a connection of packets, and receives a descriptor to
/// write to.
const PEER: &str = r#"
import array, os, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
r, w = os.pipe()
socket.send_fds(s, [b"fd"], [r])
creds = struct.pack("3i", os.getpid(), os.getuid(), os.getgid())
s.sendmsg([b"who"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, creds)])
os.write(w, b"through")
os.close(w)
data, fds, flags, addr = socket.recv_fds(s, 100, 4)
assert data == b"write here", data
os.write(fds[0], b"from python")
"#;

#[test]
fn python_passes_and_takes_descriptors() {
    if !programs::has("python3") {
        return;
    }
    run(async {
        let listener = listen("unixpacket").await;
        let path = listener.local_addr().unwrap().to_string();
        let mut python = Command::new("python3")
            .args(["-c", PEER, &path])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let server = UnixSeqpacket::try_from(server).unwrap();
        assert_eq!(server.peer_credentials().unwrap().pid, python.id());
        server.set_pass_credentials(true).unwrap();
        let mut buf = [0; 16];
        let mut got = server.recv_msg(&mut buf).await.unwrap();
        assert_eq!((&buf[..got.len], got.fds.len()), (&b"fd"[..], 1));
        let mut text = String::new();
        let mut through = File::from(got.fds.remove(0));
        let got = server.recv_msg(&mut buf).await.unwrap();
        assert_eq!(&buf[..got.len], b"who");
        assert_eq!(got.credentials.unwrap().pid, python.id());
        through.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");

        let (mut reader, writer) = pipe();
        let msg = UnixSendMsg {
            fds: &[writer.as_fd()],
            ..UnixSendMsg::new(b"write here")
        };
        server.send_msg(&msg).await.unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "from python");
        assert!(python.wait().unwrap().success());
    });
}

#[test]
fn end_of_a_stream_is_an_empty_message() {
    run(async {
        for network in ["unix", "unixpacket"] {
            let (client, server) = pair(network).await;
            drop(client);
            let got = match network {
                "unix" => {
                    let server = UnixStream::try_from(server).unwrap();
                    server.recv_msg(&mut [0; 4]).await.unwrap()
                }
                _ => {
                    let server = UnixSeqpacket::try_from(server).unwrap();
                    server.recv_msg(&mut [0; 4]).await.unwrap()
                }
            };
            assert_eq!((got.len, got.fds.len(), got.truncated), (0, 0, false));
        }
    });
}

#[test]
fn abstract_name_may_fill_all_its_room() {
    run(async {
        let mut name = format!("gannet-{}", std::process::id()).into_bytes();
        name.resize(UnixAddr::NAME_MAX, 0);
        let text = [b"@".as_slice(), &name].concat();
        let text = String::from_utf8(text).unwrap();
        let server = UnixDatagram::bind(&text).await.unwrap();
        assert_eq!(server.local_addr().unwrap(), UnixAddr::Abstract(name));
        let client = UnixDatagram::connect(&text).await.unwrap();
        client.send(b"long").await.unwrap();
        let got = server.recv_msg(&mut [0; 8]).await.unwrap();
        assert_eq!((got.len, got.from), (4, UnixAddr::Unnamed));
    });
}
