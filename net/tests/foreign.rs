//! Programs of others at the other end, in each direction, for the kinds of sockets that `nc` and the
//! examples do not reach: packets on a connection, abstract names, groups, raw IP, packets of a link,
//! credentials, sockets of a launcher.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use common::namespace::{in_namespace, ip, programs};
use common::{fresh_path, run};
use gannet_net::{
    Addr, Conn, Credentials, ListenConfig, Listener, PacketConn, UnixSendMsg, UnixSeqpacket,
    UnixStream, dial, inherited_sockets, listen_packet, listen_stream,
};

/// A program at the other end. Its reads and writes block this thread, which waits for nothing else.
struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Peer {
    fn start(program: &str, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|err| panic!("{program}: {err}"));
        Peer {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("piped")),
            stderr: BufReader::new(child.stderr.take().expect("piped")),
            child,
        }
    }

    /// Starts `socat` between its standard streams and `address`, both ways. It ends by itself if
    /// nothing happens for a while.
    fn socat(address: &str) -> Self {
        Self::start("socat", &["-d", "-d", "-T20", "-", address])
    }

    /// Starts `socat` to print what it receives at `address`, and waits until it does.
    fn receiver(address: &str) -> Self {
        let mut peer = Self::start("socat", &["-d", "-d", "-T20", "-u", address, "-"]);
        peer.ready("starting data transfer loop");
        peer
    }

    /// Starts `socat` to send what it is told to `address`.
    fn sender(address: &str) -> Self {
        Self::start("socat", &["-T20", "-u", "-", address])
    }

    /// Waits until its standard error says that it is ready.
    fn ready(&mut self, sign: &str) {
        let mut lines = self.stderr.by_ref().lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains(sign)), "it never was {sign}");
    }

    fn say(&mut self, data: &[u8]) {
        let stdin = self.stdin.as_mut().expect("open");
        stdin.write_all(data).expect("it reads");
        stdin.flush().expect("it reads");
    }

    /// Reads until it has printed a line that ends so.
    #[track_caller]
    fn prints(&mut self, end: &str) {
        let mut line = Vec::new();
        while !line.ends_with(format!("{end}\n").as_bytes()) {
            let before = line.len();
            self.stdout.read_until(b'\n', &mut line).expect("readable");
            let text = String::from_utf8_lossy(&line);
            assert!(line.len() > before, "{text:?} and not {end:?}");
        }
    }

    /// Ends its standard input, and waits for its end.
    #[track_caller]
    fn succeeds(mut self) {
        drop(self.stdin.take());
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).expect("text");
        let status = self.child.wait().expect("a child");
        assert!(status.success(), "{status}: {text}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has both ends of a connection say something.
async fn talk(conn: &Conn, peer: &mut Peer) {
    conn.write_all(b"from gannet\n").await.unwrap();
    peer.prints("from gannet");
    peer.say(b"from socat\n");
    let mut buf = [0; 32];
    let len = conn.read(&mut buf).await.unwrap();
    assert_eq!(&buf[..len], b"from socat\n");
}

/// A name of our own in the abstract namespace, and a path, each as socat and as we write it.
fn names(what: &str) -> [(&'static str, String, String); 2] {
    let name = format!("gannet-{what}-{}", std::process::id());
    let path = fresh_path().to_str().expect("text").to_owned();
    let ours = format!("@{name}");
    [("ABSTRACT", name, ours), ("UNIX", path.clone(), path)]
}

#[test]
fn socat_has_connections_by_path_and_by_abstract_name() {
    if !programs::has("socat") {
        return;
    }
    for (network, kind) in [("unix", 1), ("unixpacket", 5)] {
        for (space, theirs, ours) in names(network) {
            run(async {
                let mut peer = Peer::socat(&format!("{space}-LISTEN:{theirs},type={kind}"));
                peer.ready("listening on");
                let conn = dial(network, &ours).await.unwrap();
                talk(&conn, &mut peer).await;
                conn.close().await.unwrap();
                peer.succeeds();
            });
            run(async {
                let listener = listen_stream(network, &ours).await.unwrap();
                let mut peer = Peer::socat(&format!("{space}-CONNECT:{theirs},type={kind}"));
                let (conn, _) = listener.accept().await.unwrap();
                talk(&conn, &mut peer).await;
                conn.close().await.unwrap();
                peer.succeeds();
            });
        }
    }
}

/// Has `socat` send a datagram to `socket`.
async fn hear(socket: &PacketConn, address: &str) {
    let mut peer = Peer::sender(address);
    peer.say(b"from socat");
    let mut buf = [0; 64];
    let (len, _) = socket.recv_from(&mut buf).await.unwrap();
    assert_eq!(&buf[..len], b"from socat", "{address}");
    peer.succeeds();
}

/// Sends a datagram to `socat`.
async fn tell(socket: &PacketConn, to: &Addr, address: &str) {
    let mut peer = Peer::receiver(address);
    socket.send_to(b"from gannet\n", to).await.unwrap();
    peer.prints("from gannet");
}

#[test]
fn socat_has_datagrams_by_path_and_by_abstract_name() {
    if !programs::has("socat") {
        return;
    }
    for (space, theirs, ours) in names("datagrams") {
        run(async {
            let socket = listen_packet("unixgram", &ours).await.unwrap();
            hear(&socket, &format!("{space}-SENDTO:{theirs}")).await;
            socket.close().await.unwrap();
            // Nobody unlinks the file of a datagram socket for its owner.
            let _ = std::fs::remove_file(&ours);
            let socket = listen_packet("unixgram", "").await.unwrap();
            let to = Addr::unixgram(&ours);
            tell(&socket, &to, &format!("{space}-RECV:{theirs}")).await;
            let _ = std::fs::remove_file(&ours);
        });
    }
}

#[test]
fn socat_is_a_member_of_groups_and_sends_to_them() {
    if !programs::has("socat") {
        return;
    }
    in_namespace("socat_is_a_member_of_groups_and_sends_to_them", || {
        run(async {
            let (config, group) = (ListenConfig::new(), "233.252.0.7:7777");
            let member = config.listen_multicast("udp4", group, Some("lo"));
            let member = member.await.unwrap();
            hear(
                &member,
                &format!("UDP4-DATAGRAM:{group},ip-multicast-if=127.0.0.1"),
            )
            .await;
            let to = Addr::Udp(group.parse().unwrap());
            member.close().await.unwrap();
            let sender = config.listen_multicast("udp4", "233.252.0.7:7778", Some("lo"));
            let address = "UDP4-RECV:7777,ip-add-membership=233.252.0.7:127.0.0.1";
            tell(&sender.await.unwrap(), &to, address).await;
        });
    });
}

#[test]
fn socat_has_raw_ip_packets() {
    if !programs::has("socat") {
        return;
    }
    in_namespace("socat_has_raw_ip_packets", || {
        run(async {
            // A protocol number that is left for experiments.
            for (version, host, theirs) in [(4, "127.0.0.1", "127.0.0.1"), (6, "::1", "[::1]")] {
                let network = format!("ip{version}:253");
                let socket = listen_packet(&network, host).await.unwrap();
                hear(&socket, &format!("IP{version}-SENDTO:{theirs}:253")).await;
                let to = Addr::Ip(host.parse().unwrap(), 0);
                tell(&socket, &to, &format!("IP{version}-RECV:253")).await;
            }
        });
    });
}

#[test]
fn socat_has_packets_of_a_link() {
    if !programs::has("socat") {
        return;
    }
    in_namespace("socat_has_packets_of_a_link", || {
        ip("link set lo up");
        run(async {
            // On loopback there is no hardware: addresses of zeros, and an EtherType for experiments.
            let header = [&[0; 12][..], &[0x88, 0xb5]].concat();
            let socket = listen_packet("packetgram:0x88b5", "lo").await.unwrap();
            let mut peer = Peer::sender("INTERFACE:lo");
            peer.say(&[&header[..], b"from socat"].concat());
            let mut buf = [0; 64];
            let (len, _) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!(&buf[..len], b"from socat");
            peer.succeeds();
            let to = Addr::packet("lo/00:00:00:00:00:00").unwrap();
            tell(&socket, &to, "INTERFACE:lo").await;
        });
    });
}

/// Listens for packets or a stream, takes a message with the credentials of its sender and with a
/// descriptor, and sends both back.
const RIGHTS: &str = r#"
import array, os, socket, struct, sys
socket.setdefaulttimeout(20)
kind = socket.SOCK_SEQPACKET if sys.argv[1] == "unixpacket" else socket.SOCK_STREAM
server = socket.socket(socket.AF_UNIX, kind)
server.bind("")
server.listen()
print(server.getsockname().decode("latin-1").replace("\0", "@"), flush=True)
conn = server.accept()[0]
conn.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
conn.sendall(b"ready")
data, records, flags, _ = conn.recvmsg(100, 400)
rights = {kind: value for level, kind, value in records}
pid, uid, gid = struct.unpack("iII", rights[socket.SCM_CREDENTIALS])
fd, = array.array("i", rights[socket.SCM_RIGHTS])
print(data.decode(), pid, uid, gid, os.read(fd, 100).decode(), flush=True)
reader, writer = os.pipe()
os.write(writer, b"through python")
os.close(writer)
socket.send_fds(conn, [b"back"], [reader])
own = struct.pack("iII", os.getpid(), os.getuid(), os.getgid())
conn.sendmsg([b"me"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, own)])
conn.recv(1)
"#;

#[test]
fn python_takes_and_gives_credentials_and_descriptors() {
    if !programs::has("python3") {
        return;
    }
    for network in ["unix", "unixpacket"] {
        // Where the machine is busy, Python takes its time to begin.
        let mut peer = Peer::start("python3", &["-c", RIGHTS, network]);
        let mut name = String::new();
        peer.stdout.read_line(&mut name).expect("text");
        run(async {
            let conn = dial(network, name.trim_end()).await.unwrap();
            conn.control(|raw| raw.set_pass_credentials(true)).unwrap();
            let mut buf = [0; 32];
            assert_eq!(
                conn.read(&mut buf).await.unwrap(),
                5,
                "it asks for credentials"
            );

            let (reader, mut writer) = std::io::pipe().expect("descriptors are free");
            writer.write_all(b"through gannet").expect("there is room");
            let own = own_credentials();
            let msg = UnixSendMsg {
                fds: &[reader.as_fd()],
                credentials: Some(own),
                ..UnixSendMsg::new(b"hello")
            };
            let mut received = Vec::new();
            if network == "unix" {
                let conn = UnixStream::try_from(conn).unwrap();
                conn.send_msg(&msg).await.unwrap();
                for len in [4, 2] {
                    received.push(conn.recv_msg(&mut buf[..len]).await.unwrap());
                }
            } else {
                let conn = UnixSeqpacket::try_from(conn).unwrap();
                conn.send_msg(&msg).await.unwrap();
                for _ in 0..2 {
                    received.push(conn.recv_msg(&mut buf).await.unwrap());
                }
            }
            let Credentials { pid, uid, gid } = own;
            peer.prints(&format!("hello {pid} {uid} {gid} through gannet"));
            let mut text = String::new();
            let mut through = std::fs::File::from(received[0].fds.remove(0));
            through.read_to_string(&mut text).expect("text");
            assert_eq!((received[0].len, text.as_str()), (4, "through python"));
            let theirs = received[1].credentials.expect("told");
            assert_eq!(
                (theirs.pid, theirs.uid, theirs.gid),
                (peer.child.id(), uid, gid)
            );
            peer.succeeds();
        });
    }
}

/// Who we are, as the kernel tells it of a socket that we made.
fn own_credentials() -> Credentials {
    let (left, _right) = UnixSeqpacket::pair().unwrap();
    left.peer_credentials().unwrap()
}

/// Opens a socket of each kind, starts the program named by its arguments with them, and has a child
/// that talks to each by what it has learnt of their addresses.
const LAUNCHER: &str = r#"
import os, socket, sys
socket.setdefaulttimeout(20)
inet, unix = socket.AF_INET, socket.AF_UNIX
stream, dgram, packets = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET
kinds = [(inet, stream), (inet, dgram), (unix, stream), (unix, packets), (unix, dgram)]
sockets = []
for family, kind in kinds:
    sock = socket.socket(family, kind)
    sock.bind(("127.0.0.1", 0) if family == inet else "")
    if kind != dgram:
        sock.listen()
    sockets.append(sock)
names = [sock.getsockname() for sock in sockets]
if os.fork() == 0:
    for (family, kind), name in zip(kinds, names):
        sock = socket.socket(family, kind)
        if (family, kind) == (unix, dgram):
            sock.bind("")
        sock.connect(name)
        sock.send(b"ping")
        assert sock.recv(100) == b"ping", name
    print("all five answered", flush=True)
    os._exit(0)
for number, fd in enumerate([os.dup(sock.fileno()) for sock in sockets]):
    os.dup2(fd, 50 + number)
for number in range(len(sockets)):
    os.dup2(50 + number, 3 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="5", LISTEN_FDNAMES="a:b:c:d:e")
os.execv(sys.argv[1], sys.argv[1:])
"#;

/// Echoes once on each of the sockets that this process was started with.
async fn serve_inherited() {
    let mut buf = [0; 16];
    for socket in inherited_sockets().unwrap() {
        if matches!(socket.name.as_str(), "b" | "e") {
            let socket = PacketConn::try_from(socket.fd).unwrap();
            let (len, from) = socket.recv_from(&mut buf).await.unwrap();
            socket.send_to(&buf[..len], &from).await.unwrap();
        } else {
            let listener = Listener::try_from(socket.fd).unwrap();
            let (conn, _) = listener.accept().await.unwrap();
            let len = conn.read(&mut buf).await.unwrap();
            conn.write_all(&buf[..len]).await.unwrap();
        }
    }
}

#[test]
fn python_talks_to_sockets_of_its_launcher() {
    const NAME: &str = "python_talks_to_sockets_of_its_launcher";
    if std::env::var("LISTEN_FDNAMES").is_ok_and(|names| names == "a:b:c:d:e") {
        return run(serve_inherited());
    }
    if !programs::has("python3") {
        return;
    }
    let binary = std::env::current_exe().expect("a test has a binary");
    let output = Command::new("python3")
        .args(["-c", LAUNCHER])
        .arg(binary)
        .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
        .stdin(Stdio::null())
        .output()
        .expect("python3 starts");
    // All output ends with the last of the two processes.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let served = text.contains("1 passed") && text.contains("all five answered");
    assert!(output.status.success() && served, "{text}");
}
