//! Pipes, with a name and without, and descriptors that blocked before they were adopted.

mod common;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use common::{adopt, blocked, on_both, pipe, read, write};
use gannet_runtime::{AsyncFd, error};
use gannet_sys::errno;
use gannet_sys::fd::{self, is_nonblocking};

/// Opens a new named pipe for reading, which does not wait for a writer.
fn named_pipe() -> (std::path::PathBuf, AsyncFd) {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("gannet-runtime-{}-{count}.fifo", std::process::id());
    let path = std::env::temp_dir().join(name);
    let made = Command::new("mkfifo")
        .arg(&path)
        .status()
        .expect("mkfifo starts");
    assert!(made.success());
    // O_NONBLOCK, which the standard library has no name for.
    let reader = OpenOptions::new()
        .read(true)
        .custom_flags(0o4000)
        .open(&path);
    let reader = reader.expect("a pipe's reading end opens without a writer");
    assert!(is_nonblocking(reader.as_fd()).unwrap());
    (path, adopt(reader))
}

#[test]
fn named_pipe_gives_what_is_written_and_then_the_end() {
    on_both(|| async {
        let (path, reader) = named_pipe();
        let mut writer = File::options().write(true).open(&path).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            let waiting = blocked(read(&reader, 64)).await;
            writer.write_all(line.as_bytes()).unwrap();
            assert_eq!(waiting.await.unwrap(), line.as_bytes());
        }
        let waiting = blocked(read(&reader, 64)).await;
        drop(writer);
        assert_eq!(waiting.await.unwrap(), b"", "the end");

        // Another writer begins anew.
        let mut writer = File::options().write(true).open(&path).unwrap();
        writer.write_all(b"again").unwrap();
        assert_eq!(read(&reader, 64).await.unwrap(), b"again");
        assert!(is_nonblocking(reader.as_fd()).unwrap());
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn twenty_writes_to_a_pipe_without_a_reader_all_fail() {
    on_both(|| async {
        let (reader, writer) = pipe();
        drop(reader);
        for _ in 0..20 {
            let err = write(&writer, b"x").await.unwrap_err();
            assert_eq!(err.raw_os_error(), Some(errno::EPIPE), "and no signal");
        }
    });
}

#[test]
fn descriptor_that_blocked_before_is_closed_under_its_reader() {
    on_both(|| async {
        let (reader, _writer) = fd::pipe().expect("a pipe");
        fd::set_nonblocking(reader.as_fd(), false).unwrap();
        assert!(!is_nonblocking(reader.as_fd()).unwrap());
        let reader = adopt(reader);
        let waiting = blocked(read(&reader, 8)).await;
        reader.close().await.unwrap();
        assert!(error::is_closed(&waiting.await.unwrap_err()));
    });
}

#[test]
fn calls_of_ones_own_pass_a_byte_through_a_pipe() {
    on_both(|| async {
        let (reader, writer) = pipe();
        let mut byte = [0];
        let waiting = blocked(reader.read_with(|end| fd::read(end, &mut byte))).await;
        assert_eq!(
            writer.write_with(|end| fd::write(end, b"b")).await.unwrap(),
            1
        );
        assert_eq!(waiting.await.unwrap(), 1);
        assert_eq!(&byte, b"b");
    });
}
