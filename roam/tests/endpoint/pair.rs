//! Both ends of a session, and runtimes of both flavours.

use std::net::IpAddr;
use std::time::Duration;

use gannet_roam::proto::Event;
use gannet_roam::{Blob, Bound, Client, Connection, Server, Session, State};
use gannet_runtime::{Builder, Runtime, time};

/// How long a test may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const V4: &str = "127.0.0.1";
pub(crate) const V6: &str = "::1";

pub(crate) fn current() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

pub(crate) fn threads() -> Runtime {
    let builder = Builder::new_multi_thread();
    builder.worker_threads(2).build().expect("a runtime")
}

/// Runs a test on a runtime of one thread.
#[track_caller]
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    run_on(&current(), test)
}

/// Runs a test on a runtime that has one already.
#[track_caller]
pub(crate) fn run_on<T>(runtime: &Runtime, test: impl Future<Output = T>) -> T {
    runtime.block_on(async { time::timeout(LIMIT, test).await.expect("the test hangs") })
}

/// Runs a test once on each flavour of runtime.
#[track_caller]
pub(crate) fn run_both<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for runtime in [current(), threads()] {
        run_on(&runtime, test());
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A port of `address` that the kernel chooses.
pub(crate) async fn bound(address: &str) -> Bound {
    let server = Server::new().address(ip(address)).ports(0..=0);
    let bound = server.bind().await.expect("a port");
    assert!(bound.address_failure().is_none(), "{address} is local");
    bound
}

/// Both ends of a session between equal initial states.
pub(crate) async fn pair<L, R>(
    address: &str,
    client: L,
    server: R,
) -> (Session<L, R>, Session<R, L>)
where
    L: State + Send + 'static,
    R: State + Send + 'static,
{
    let bound = bound(address).await;
    let to = Client::new(bound.key().clone(), bound.local_addr());
    let server_end = bound.session(server.clone(), client.clone());
    (to.session(client, server).expect("a client"), server_end)
}

pub(crate) type Blobs = Session<Blob, Blob>;

/// Both ends of a session of values.
pub(crate) async fn blobs(address: &str) -> (Blobs, Blobs) {
    pair(address, Blob::new(), Blob::new()).await
}

/// Both ends of a connection.
pub(crate) async fn datagrams(address: &str) -> (Connection, Connection) {
    let bound = bound(address).await;
    let client = Client::new(bound.key().clone(), bound.local_addr());
    let server = bound.datagrams();
    (client.datagrams().expect("a client"), server)
}

/// Sets a value, and waits until the other end returns it.
pub(crate) async fn tell(from: &Blobs, to: &Blobs, octets: &[u8]) {
    from.update(|value| *value = Blob::from(octets.to_vec()));
    loop {
        let got = to.recv().await.expect("the session goes on");
        if got.as_ref() == octets {
            return;
        }
    }
}

/// All events up to the end.
pub(crate) async fn events(session: &Blobs) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = session.event().await {
        events.push(event);
    }
    events
}
