//! What every connection must do: Go's `nettest`, for TCP and Unix streams.

mod support;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gannet::net::Conn;
use gannet::{JoinSet, spawn, time};

use support::net::{
    STREAMS, after, assert_closed, assert_deadline, error_of, on_both, past, spawn_blocked,
    stream_pair,
};

const MS: Duration = Duration::from_millis(1);

/// Runs a test with both ends of a connection over each network, on both kinds of runtime.
fn on_pairs<F>(test: impl Fn(Arc<Conn>, Arc<Conn>) -> F + Copy + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send,
{
    on_both(move || async move {
        for network in STREAMS {
            let (left, right) = stream_pair(network).await;
            test(Arc::new(left), Arc::new(right)).await;
        }
    });
}

/// Sends back everything.
async fn echo(conn: Arc<Conn>) {
    let mut buf = [0; 4096];
    while let Ok(len @ 1..) = conn.read(&mut buf).await {
        if conn.write_all(&buf[..len]).await.is_err() {
            return;
        }
    }
}

/// Reads and drops everything.
async fn discard(conn: Arc<Conn>) {
    let mut buf = vec![0; 65_536];
    while let Ok(1..) = conn.read(&mut buf).await {}
}

/// Writes without end.
async fn chatter(conn: Arc<Conn>) {
    while conn.write(&[b'c'; 4096]).await.is_ok() {}
}

/// Sends a message and waits for it to come back.
async fn round_trip(conn: &Conn) {
    const MESSAGE: &[u8] = b"Hello, world!";
    conn.write_all(MESSAGE).await.expect("it goes");
    let mut buf = [0; MESSAGE.len()];
    conn.read_exact(&mut buf).await.expect("it comes back");
    assert_eq!(buf, MESSAGE);
}

/// Writes until there is an error.
async fn write_until_error(conn: &Conn) -> io::Error {
    loop {
        if let Err(err) = conn.write(&[b'w'; 1024]).await {
            return err;
        }
    }
}

/// nettest: PingPong.
#[test]
fn ping_pong_counts_to_a_thousand() {
    async fn player(conn: Arc<Conn>, starts: bool) {
        let mut buf = [0; 8];
        if starts {
            conn.write_all(&0u64.to_le_bytes()).await.unwrap();
        }
        let mut last = None;
        while conn.read_exact(&mut buf).await.is_ok() {
            let count = u64::from_le_bytes(buf);
            assert!(
                last.is_none_or(|last: u64| count == last + 2),
                "{last:?}, then {count}"
            );
            if count == 1000 {
                break;
            }
            last = Some(count);
            conn.write_all(&(count + 1).to_le_bytes()).await.unwrap();
        }
        conn.close().await.unwrap();
    }
    on_pairs(|left, right| async move {
        let other = spawn(player(right, true));
        player(left, false).await;
        other.await.unwrap();
    });
}

/// nettest: RacyRead.
#[test]
fn reads_of_ten_tasks_under_short_deadlines_only_time_out() {
    on_pairs(|left, right| async move {
        let talking = spawn(chatter(right));
        let mut tasks = JoinSet::new();
        left.set_read_deadline(after(MS)).unwrap();
        for _ in 0..10 {
            let conn = left.clone();
            tasks.spawn(async move {
                let mut buf = [0; 1024];
                for _ in 0..100 {
                    if let Err(err) = conn.read(&mut buf).await {
                        assert_deadline(&err);
                        conn.set_read_deadline(after(MS)).unwrap();
                    }
                    buf.fill(0x5a);
                }
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        talking.abort();
    });
}

/// nettest: RacyWrite.
#[test]
fn writes_of_ten_tasks_under_short_deadlines_only_time_out() {
    on_pairs(|left, right| async move {
        let reading = spawn(discard(right));
        let mut tasks = JoinSet::new();
        left.set_write_deadline(after(MS)).unwrap();
        for _ in 0..10 {
            let conn = left.clone();
            tasks.spawn(async move {
                for _ in 0..100 {
                    if let Err(err) = conn.write(&[b'r'; 1024]).await {
                        assert_deadline(&err);
                        conn.set_write_deadline(after(MS)).unwrap();
                    }
                }
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        reading.abort();
    });
}

/// nettest: ReadTimeout.
#[test]
fn read_deadline_does_not_touch_writes() {
    on_pairs(|left, right| async move {
        let reading = spawn(discard(right));
        left.set_read_deadline(past()).unwrap();
        assert_deadline(&error_of(left.read(&mut [0; 1024]).await));
        left.write_all(&[b'x'; 1024]).await.unwrap();
        reading.abort();
    });
}

/// nettest: PastTimeout.
#[test]
fn past_deadline_ends_both_and_clearing_it_revives() {
    on_pairs(|left, right| async move {
        let echoing = spawn(echo(right));
        round_trip(&left).await;
        left.set_deadline(past()).unwrap();
        assert_deadline(&error_of(left.write(&[b'x'; 1024]).await));
        assert_deadline(&error_of(left.read(&mut [0; 1024]).await));
        left.set_deadline(None).unwrap();
        round_trip(&left).await;
        echoing.abort();
    });
}

/// nettest: PresentTimeout.
#[test]
fn deadline_set_to_the_past_ends_what_is_blocked_and_not_before() {
    on_pairs(|left, right| async move {
        let _silent = right;
        let (reader, writer) = (left.clone(), left.clone());
        let reading = spawn(async move { error_of(reader.read(&mut [0; 1024]).await) });
        let writing = spawn(async move { write_until_error(&writer).await });
        time::sleep(100 * MS).await;
        assert!(
            !reading.is_finished() && !writing.is_finished(),
            "ended too early"
        );
        left.set_read_deadline(past()).unwrap();
        left.set_write_deadline(past()).unwrap();
        assert_deadline(&reading.await.unwrap());
        assert_deadline(&writing.await.unwrap());
    });
}

/// nettest: FutureTimeout.
#[test]
fn deadline_to_come_ends_both_and_the_stream_goes_on() {
    on_pairs(|left, right| async move {
        let deadline = Instant::now() + 100 * MS;
        left.set_deadline(Some(deadline)).unwrap();
        let (reader, writer) = (left.clone(), left.clone());
        let reading = spawn(async move { error_of(reader.read(&mut [0; 1024]).await) });
        let writing = spawn(async move { write_until_error(&writer).await });
        assert_deadline(&reading.await.unwrap());
        assert_deadline(&writing.await.unwrap());
        assert!(Instant::now() >= deadline, "early");

        // In step again: everything written before is answered, and then a round trip.
        left.set_deadline(None).unwrap();
        let echoing = spawn(echo(right));
        left.write_all(&[0xff]).await.unwrap();
        let mut buf = [0; 4096];
        loop {
            let len = left.read(&mut buf).await.unwrap();
            if buf[..len].ends_with(&[0xff]) {
                break;
            }
        }
        round_trip(&left).await;
        echoing.abort();
    });
}

/// nettest: CloseTimeout.
#[test]
fn close_ends_a_reader_and_a_writer() {
    on_pairs(|left, right| async move {
        let _silent = right;
        left.set_deadline(None).unwrap();
        let (reader, writer) = (left.clone(), left.clone());
        let read = async move { error_of(reader.read(&mut [0; 1024]).await) };
        let reading = spawn_blocked(read).await;
        let writing = spawn(async move { write_until_error(&writer).await });
        // Until the writer has filled the connection.
        while time::timeout(10 * MS, left.writable()).await.is_ok() {}
        assert!(!reading.is_finished(), "nothing was sent");
        left.close().await.unwrap();
        assert_closed(&reading.await.unwrap());
        assert_closed(&writing.await.unwrap());
    });
}
