//! Descriptors: borrowed, waited for, duplicated, inherited.

mod common;

use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::namespace::programs;
use common::{assert_well_formed, listen, pair, run};
use gannet_net::error::{Op, is_closed, is_deadline, op_error};
use gannet_net::{
    Listener, PacketConn, TcpStream, UdpSocket, UnixStream, dial, inherited_sockets, listen_packet,
};
use gannet_runtime::time;
use gannet_sys::{errno, fd, socket};

#[test]
fn own_calls_wait_as_those_of_the_crate_do() {
    run(async {
        let (left, right) = UnixStream::pair().unwrap();
        let mut buf = [0; 8];
        let mut calls = 0;
        let read = right.read_with(|fd| {
            calls += 1;
            socket::recv(fd, &mut buf)
        });
        let write = async {
            gannet_runtime::yield_now().await;
            left.write_with(|fd| socket::send(fd, b"ping"))
                .await
                .unwrap()
        };
        let mut read = Box::pin(read);
        let first =
            std::future::poll_fn(|cx| std::task::Poll::Ready(read.as_mut().poll(cx).is_pending()));
        assert!(first.await, "there is nothing to read");
        assert_eq!(write.await, 4);
        assert_eq!(read.await.unwrap(), 4);
        assert_eq!(&buf[..4], b"ping");
        assert!(calls > 0);

        let wrong = || io::Error::from_raw_os_error(errno::EINVAL);
        let err = right
            .read_with(|_| Err::<(), _>(wrong()))
            .await
            .unwrap_err();
        assert_eq!(op_error(&err).unwrap().op, Op::RawRead);
        assert!(err.to_string().starts_with("raw-read unix "), "{err}");
        let err = left
            .write_with(|_| Err::<(), _>(wrong()))
            .await
            .unwrap_err();
        assert!(err.to_string().starts_with("raw-write unix "), "{err}");

        right.set_read_deadline(Some(time::now())).unwrap();
        let err = right.read_with(|fd| socket::recv(fd, &mut [0])).await;
        assert!(is_deadline(&err.unwrap_err()));
        right.close().await.unwrap();
        let err = right.with_fd(|_| panic!("closed")).unwrap_err();
        assert!(is_closed(&err));
        assert_well_formed(&err);
    });
}

#[test]
fn clones_close_by_themselves_and_share_the_rest() {
    run(async {
        for network in ["tcp", "unix", "unixpacket"] {
            let (client, server) = pair(network).await;
            let clone = client.try_clone().unwrap();
            assert_eq!(clone.local_addr().unwrap(), client.local_addr().unwrap());
            assert_eq!(clone.peer_addr().unwrap(), client.peer_addr().unwrap());
            clone
                .with_fd(|fd| assert!(fd::is_cloexec(fd).unwrap()))
                .unwrap();
            client.set_deadline(Some(time::now())).unwrap();
            client.close().await.unwrap();
            let err = client.try_clone().unwrap_err();
            assert!(is_closed(&err));
            clone.write_all(b"still").await.unwrap();
            let mut buf = [0; 8];
            assert_eq!(server.read(&mut buf).await.unwrap(), 5);
            server.write_all(b"here").await.unwrap();
            assert_eq!(clone.read(&mut buf).await.unwrap(), 4);
            drop(clone);
            assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        }
    });
}

#[test]
fn clones_of_listeners_and_packet_sockets_serve_on() {
    run(async {
        for network in ["tcp", "unix"] {
            let listener = listen(network).await;
            let addr = listener.local_addr().unwrap();
            let clone = listener.try_clone().unwrap();
            let dialled = dial(network, &addr).await.unwrap();
            clone.accept().await.unwrap();
            drop((dialled, clone));
            dial(network, &addr).await.unwrap();
            listener.accept().await.unwrap();
        }
        let socket = listen_packet("udp", "127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let clone: PacketConn = socket.try_clone().unwrap();
        socket.close().await.unwrap();
        clone.send_to(b"self", &addr).await.unwrap();
        let clone = UdpSocket::try_from(clone).unwrap();
        assert_eq!(clone.recv(&mut [0; 8]).await.unwrap(), 4);
    });
}

#[test]
fn adopted_sockets_are_made_non_blocking() {
    run(async {
        let std = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = gannet_net::TcpListener::try_from(std).unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!fd::is_nonblocking(client.as_fd()).unwrap());
        let client = TcpStream::try_from(client).unwrap();
        assert!(
            client
                .with_fd(|fd| fd::is_nonblocking(fd).unwrap())
                .unwrap()
        );
        let _server = listener.accept().await.unwrap();
        client
            .set_read_deadline(Some(time::now() + Duration::from_millis(5)))
            .unwrap();
        assert!(is_deadline(&client.read(&mut [0]).await.unwrap_err()));
        let std = client.into_std().unwrap();
        assert!(fd::is_nonblocking(std.as_fd()).unwrap(), "as documented");
    });
}

/// Starts the program named by its arguments with two sockets.
const LAUNCHER: &str = r#"
import os, socket, sys
tcp = socket.create_server(("127.0.0.1", 0))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", tcp.getsockname()[1]))
first, second = os.dup(tcp.fileno()), os.dup(udp.fileno())
os.dup2(first, 3)
os.dup2(second, 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="web:time")
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn sockets_of_the_launcher_are_taken_once() {
    const NAME: &str = "sockets_of_the_launcher_are_taken_once";
    if std::env::var("LISTEN_FDNAMES").is_ok_and(|names| names == "web:time") {
        let mut sockets = inherited_sockets().unwrap();
        assert_eq!(inherited_sockets().unwrap().len(), 0, "they are taken");
        let names: Vec<_> = sockets.iter().map(|socket| socket.name.clone()).collect();
        assert_eq!(names, ["web", "time"]);
        return run(async {
            let time = UdpSocket::try_from(sockets.remove(1).fd).unwrap();
            assert!(time.with_fd(|fd| fd::is_cloexec(fd).unwrap()).unwrap());
            let web = Listener::try_from(sockets.remove(0).fd).unwrap();
            let addr = web.local_addr().unwrap();
            assert_eq!(addr.port(), Some(time.local_addr().unwrap().port()));
            dial("tcp", addr).await.unwrap();
            web.accept().await.unwrap();
        });
    }
    assert_eq!(inherited_sockets().unwrap().len(), 0, "nobody gave any");
    if !programs::has("python3") {
        return;
    }
    let binary = std::env::current_exe().unwrap();
    let output = Command::new("python3")
        .args(["-c", LAUNCHER])
        .arg(binary)
        .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    let ran = text.contains("1 passed");
    assert!(output.status.success() && ran, "{text}{err}");
}
