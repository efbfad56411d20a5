//! Unix listeners: names and socket files.

mod common;

use common::{fresh_path, run};
use gannet_net::error::raw_os_error;
use gannet_net::{Addr, Listener, UnixAddr, UnixListener, UnixStream, dial, listen_stream};
use gannet_sys::errno;
use std::os::fd::OwnedFd;

#[test]
fn socket_file_is_unlinked_by_close_and_by_drop() {
    run(async {
        let path = fresh_path();
        let listener = UnixListener::bind(&path).await.unwrap();
        assert!(path.exists());
        listener.close().await.unwrap();
        assert!(!path.exists());

        std::fs::write(&path, "somebody else's").unwrap();
        listener.close().await.unwrap_err();
        drop(listener);
        assert!(path.exists(), "unlinked once only");
        std::fs::remove_file(&path).unwrap();

        let listener = listen_stream("unix", path.display()).await.unwrap();
        drop(listener);
        assert!(!path.exists(), "dropped");
    });
}

#[test]
fn socket_file_stays_if_told_so() {
    run(async {
        let path = fresh_path();
        let listener = UnixListener::bind(&path).await.unwrap();
        listener.set_unlink_on_close(false);
        listener.close().await.unwrap();
        listener.set_unlink_on_close(true);
        drop(listener);
        assert!(path.exists());

        let err = UnixListener::bind(&path).await.unwrap_err();
        assert_eq!(
            raw_os_error(&err),
            Some(errno::EADDRINUSE),
            "a dead file is in the way"
        );
        let text = format!(
            "listen unix {}: bind: address already in use",
            path.display()
        );
        assert_eq!(err.to_string(), text);
        std::fs::remove_file(&path).unwrap();
    });
}

#[test]
fn adopted_listener_leaves_the_file_to_its_maker() {
    run(async {
        let path = fresh_path();
        let listener = UnixListener::bind(&path).await.unwrap();
        let fd = OwnedFd::try_from(listener).unwrap();
        assert!(path.exists(), "given away, not closed");
        let adopted = Listener::try_from(fd).unwrap();
        let client = UnixStream::connect(&path).await.unwrap();
        let (_server, _) = adopted.accept().await.unwrap();
        drop((client, adopted));
        assert!(path.exists());

        std::fs::remove_file(&path).unwrap();
        let std = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let adopted = UnixListener::try_from(std).unwrap();
        adopted.set_unlink_on_close(true);
        drop(adopted);
        assert!(!path.exists());
    });
}

#[test]
fn names_are_those_of_the_listener_and_none() {
    run(async {
        let path = fresh_path();
        let listener = UnixListener::bind(&path).await.unwrap();
        let client = UnixStream::connect(&path).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(client.local_addr().unwrap(), UnixAddr::Unnamed);
        assert_eq!(client.peer_addr().unwrap(), UnixAddr::Path(path.clone()));
        assert_eq!(server.local_addr().unwrap(), UnixAddr::Path(path));
        assert_eq!(
            (server.peer_addr().unwrap(), peer),
            (UnixAddr::Unnamed, UnixAddr::Unnamed)
        );
        assert_eq!(Addr::Unix(UnixAddr::Unnamed).to_string(), "@");
    });
}

#[test]
fn abstract_and_autobound_names_work() {
    run(async {
        let name = format!("@gannet-net-{}", std::process::id());
        let listener = listen_stream("unix", &name).await.unwrap();
        assert_eq!(listener.local_addr().unwrap().to_string(), name);
        let client = dial("unix", &name).await.unwrap();
        assert_eq!(client.peer_addr().unwrap().to_string(), name);
        listener.close().await.unwrap();

        let listener = UnixListener::bind("").await.unwrap();
        let name = Addr::Unix(listener.local_addr().unwrap()).to_string();
        assert!(name.len() == 6 && name.starts_with('@'), "{name}");
        dial("unix", &name).await.unwrap();
    });
}
