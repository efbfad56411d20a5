//! Sending without copies where the kernel has no memory for it.

mod common;

use std::path::Path;
use std::sync::Arc;

use gannet_net::{TcpListener, TcpStream, ZeroCopy};
use gannet_runtime::{spawn, yield_now};

use common::namespace::{again, in_namespace, ip, programs};
use common::run;

const LEN: usize = 32 << 10;

/// How much memory a socket may take for what is not data: notifications, for one. Before Linux 6.8
/// there was one figure for all namespaces, which is not a test's to change.
const OPTMEM: &str = "/proc/sys/net/core/optmem_max";

#[test]
fn sends_that_the_kernel_has_no_memory_for_are_copied_and_no_others() {
    in_namespace(
        "sends_that_the_kernel_has_no_memory_for_are_copied_and_no_others",
        || {
            let is_scarce = Path::new(OPTMEM).exists();
            if is_scarce {
                std::fs::write(OPTMEM, "4096").unwrap();
            }
            run(lack_of_memory(is_scarce));
        },
    );
}

async fn pair() -> (ZeroCopy, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let client = ZeroCopy::new(client.await.unwrap());
    (client, listener.accept().await.unwrap().0)
}

async fn lack_of_memory(is_scarce: bool) {
    let (client, server) = pair().await;

    // From here on the peer takes nothing, so that what is lent stays lent.
    let mut sent = 2 * server.recv_buffer_size().unwrap();
    let (_, mut writer) = client.split();
    writer.write_all(&vec![b'-'; sent]).await.unwrap();
    // Between them, because the kernel joins neighbours, and takes memory for the first only.
    let between = [b'-'; 64 << 10];
    while client.stats().plain == 0 && client.stats().pending < 10 {
        client.write_all(vec![b'+'; LEN]).await.unwrap();
        writer.write_all(&between).await.unwrap();
        sent += LEN + between.len();
    }
    let stats = client.stats();
    let plain = if is_scarce { LEN as u64 } else { 0 };
    assert_eq!((stats.plain, stats.fallback), (plain, None));
    assert!(stats.pending > 0, "{stats:?}");
    assert_eq!(stats.lent, (stats.pending * LEN) as u64);

    let mut received = vec![0; sent];
    server.read_exact(&mut received).await.unwrap();
    client.all_released().await.unwrap();
    let lent = received.iter().filter(|&&byte| byte == b'+').count();
    assert_eq!(lent as u64, stats.lent + stats.plain);
    assert_eq!(client.stats().pending, 0);
    client.close().await.unwrap();
    assert_eq!(server.read(&mut received).await.unwrap(), 0);
}

/// Whether memory may be locked is a matter of the user, and of the moment.
#[test]
fn sends_beyond_what_may_be_locked_are_copied_for_now() {
    if !programs::has("prlimit") {
        return;
    }
    again(
        "sends_beyond_what_may_be_locked_are_copied_for_now",
        // The kernel counts all that a call offers, and two pages: one of a MiB may be, no second, and
        // neither with one of `PART`. Other tests of this user lend less than what is left.
        &["prlimit", "--memlock=1835008"],
        || {
            ip("link set lo up");
            run(lack_of_what_may_be_locked());
        },
    );
}

async fn lack_of_what_may_be_locked() {
    const LONG: usize = 16 << 20;
    const PART: usize = 900 << 10;
    let (first, server) = pair().await;
    let first = Arc::new(first);
    let sending = spawn({
        let first = first.clone();
        async move { first.write_all(vec![1; LONG]).await.unwrap() }
    });
    // The peer's kernel has no room for what is lent, and so it stays lent. What follows is copied.
    while first.stats().plain == 0 {
        yield_now().await;
    }
    let stats = first.stats();
    assert_eq!((stats.pending, stats.fallback), (1, None), "{stats:?}");

    let (second, other) = pair().await;
    let receiving = spawn(async move { other.read_exact(&mut vec![0; 2 * PART]).await.unwrap() });
    second.write_all(vec![2; PART]).await.unwrap();
    let stats = second.stats();
    assert_eq!((stats.lent, stats.plain), (0, PART as u64));
    assert_eq!(stats.fallback, None, "it is the first that has too much");

    server.read_exact(&mut vec![0; LONG]).await.unwrap();
    let loan = sending.await.unwrap();
    first.released(loan).await.unwrap();
    second.write_all(vec![2; PART]).await.unwrap();
    assert!(second.stats().lent > 0);
    receiving.await.unwrap();
}
