//! What the socket tests share.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod namespace;

use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use gannet_net::error::op_error;
use gannet_net::{Conn, ListenConfig, Listener};
use gannet_runtime::{Builder, time};

/// How long a test may take before it counts as hanging.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Runs a test on a runtime of one thread.
#[track_caller]
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async { time::timeout(LIMIT, test).await.expect("the test hangs") })
}

/// Runs a test that spawns tasks on a runtime of two workers.
#[track_caller]
pub(crate) fn run_threads<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    runtime.block_on(async { time::timeout(LIMIT, test).await.expect("the test hangs") })
}

/// Returns a path that no other test uses; nothing is there.
pub(crate) fn fresh_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("gannet-net-{}-{count}.sock", std::process::id()))
}

/// An address of `network` to listen on.
pub(crate) fn local(network: &str) -> String {
    match network {
        "tcp" | "tcp4" | "udp" | "udp4" => "127.0.0.1:0".to_owned(),
        "tcp6" | "udp6" => "[::1]:0".to_owned(),
        "unix" | "unixpacket" => fresh_path().to_str().expect("an ASCII path").to_owned(),
        // The kernel chooses an abstract name: nobody would remove a file.
        "unixgram" => String::new(),
        other => panic!("no local address for {other}"),
    }
}

/// Listens on `network`.
pub(crate) async fn listen(network: &str) -> Listener {
    ListenConfig::new()
        .listen_stream(network, local(network))
        .await
        .expect("a listener")
}

/// Makes both ends of a connection over `network`: the one that dialled and the one that was
/// accepted.
pub(crate) async fn pair(network: &str) -> (Conn, Conn) {
    let listener = listen(network).await;
    let addr = listener.local_addr().expect("an address");
    let client = gannet_net::dial(network, addr).await.expect("a connection");
    let (server, _peer) = listener.accept().await.expect("a connection");
    (client, server)
}

/// Polls a future once, and tells whether it waits.
pub(crate) async fn is_pending<T>(future: impl Future<Output = T>) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

/// Checks that an error is as every error of the crate should be: an `OpError` with a cause that
/// says something.
#[track_caller]
pub(crate) fn assert_well_formed(err: &io::Error) {
    let op = op_error(err).unwrap_or_else(|| panic!("not an OpError: {err:?}"));
    assert!(
        !op.network.is_empty() || err.to_string().contains("unknown network"),
        "{err:?}"
    );
    assert!(!op.err.to_string().is_empty(), "{err:?}");
    assert!(
        !err.to_string().contains("os error"),
        "not Go's text: {err}"
    );
    assert_eq!(err.kind(), op.kind(), "{err:?}");
}
