//! Tests of the epoll wrapper against the kernel.

use std::os::unix::thread::JoinHandleExt;
use std::thread;

use super::*;
use crate::eventfd::EventFd;
use crate::fd;
use crate::socket::{self, Kind};
use crate::testing::wait_until;
use crate::{clock, errno};

/// Every event that waits, without waiting.
fn poll(epoll: &Epoll) -> Vec<Event> {
    let mut events = Events::with_capacity(16);
    let n = epoll
        .wait(&mut events, 16, Wait::Poll)
        .expect("no signal comes");
    assert_eq!(n, events.len());
    events.iter().collect()
}

fn key_of(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.key).collect()
}

#[test]
fn new_is_cloexec() {
    let epoll = Epoll::new().expect("a descriptor is free");
    assert!(fd::is_cloexec(epoll.as_fd()).expect("open"));
}

#[test]
fn ready_maps_every_event_bit() {
    // bit, readable, writable, hup, error, priority
    let table = [
        (libc::EPOLLIN, true, false, false, false, false),
        (libc::EPOLLOUT, false, true, false, false, false),
        (libc::EPOLLRDHUP, true, false, true, false, false),
        (libc::EPOLLHUP, true, true, true, false, false),
        (libc::EPOLLERR, true, true, false, true, false),
        (libc::EPOLLPRI, false, false, false, false, true),
        (0, false, false, false, false, false),
    ];
    let answers = |ready: Ready| {
        let (r, w, h) = (ready.is_readable(), ready.is_writable(), ready.is_hup());
        [r, w, h, ready.is_error(), ready.is_priority()]
    };
    for (bit, r, w, h, e, p) in table {
        let ready = Ready::from_bits(bit as u32);
        assert_eq!(answers(ready), [r, w, h, e, p], "{ready:?}");
        assert_eq!(ready.bits(), bit as u32);
        // A pair answers whatever one of the two does.
        for (other, r2, w2, h2, e2, p2) in table {
            let ready = Ready::from_bits((bit | other) as u32);
            assert_eq!(
                answers(ready),
                [r | r2, w | w2, h | h2, e | e2, p | p2],
                "{ready:?}"
            );
        }
    }
    assert_eq!(format!("{:?}", Ready::from_bits(5)), "Ready(IN|OUT)");
    assert_eq!(format!("{:?}", Interest::READ_WRITE), "READ_WRITE");
}

#[test]
fn wait_durations_round_up_and_saturate() {
    let table = [
        (Wait::Poll, 0),
        (Wait::Forever, -1),
        (Wait::For(Duration::ZERO), 0),
        (Wait::For(Duration::from_nanos(1)), 1),
        (Wait::For(Duration::from_millis(1)), 1),
        (Wait::For(Duration::from_nanos(1_000_001)), 2),
        (Wait::For(Duration::from_millis(i32::MAX as u64)), i32::MAX),
        (
            Wait::For(Duration::from_millis(i32::MAX as u64 + 1)),
            i32::MAX,
        ),
        (Wait::For(Duration::from_secs(25 * 86_400)), i32::MAX),
        (Wait::For(Duration::MAX), i32::MAX),
    ];
    for (wait, millis) in table {
        assert_eq!(wait.as_millis(), millis, "{wait:?}");
    }
}

#[test]
fn wait_without_event_lasts_the_timeout() {
    let epoll = Epoll::new().expect("a descriptor is free");
    let mut events = Events::with_capacity(4);
    let timeout = Duration::from_micros(2500);
    let start = clock::now();
    let n = epoll
        .wait(&mut events, 4, Wait::For(timeout))
        .expect("no signal comes");
    assert_eq!(n, 0);
    assert!(events.is_empty());
    assert!(clock::now() - start >= timeout, "a wait never ends early");
}

#[test]
fn edge_is_told_once_and_again_after_a_new_one() {
    let epoll = Epoll::new().expect("a descriptor is free");
    let bell = EventFd::new().expect("a descriptor is free");
    epoll
        .add(bell.as_fd(), Interest::READ, u64::MAX)
        .expect("not on the list yet");
    assert_eq!(poll(&epoll), []);
    bell.notify().expect("there is room");
    assert_eq!(key_of(&poll(&epoll)), [u64::MAX]);
    assert_eq!(poll(&epoll), [], "edge-triggered: not told again");
    bell.notify().expect("there is room");
    assert_eq!(
        key_of(&poll(&epoll)),
        [u64::MAX],
        "a new edge, though it was readable already"
    );
}

#[test]
fn modify_changes_interest_and_key() {
    let epoll = Epoll::new().expect("a descriptor is free");
    let (left, _right) = socket::socketpair(Kind::Stream).expect("descriptors are free");
    epoll
        .add(left.as_fd(), Interest::READ, 1)
        .expect("not on the list yet");
    assert_eq!(poll(&epoll), [], "nothing to read");
    epoll
        .modify(left.as_fd(), Interest::READ_WRITE, 2)
        .expect("on the list");
    let events = poll(&epoll);
    assert_eq!(key_of(&events), [2]);
    assert!(events[0].ready.is_writable() && !events[0].ready.is_readable());
}

#[test]
fn peer_closing_is_told_as_hang_up() {
    let epoll = Epoll::new().expect("a descriptor is free");
    let (left, right) = socket::socketpair(Kind::Stream).expect("descriptors are free");
    epoll
        .add(left.as_fd(), Interest::READ, 1)
        .expect("not on the list yet");
    socket::shutdown(right.as_fd(), std::net::Shutdown::Write).expect("connected");
    let half = poll(&epoll)[0].ready;
    assert!(
        half.is_readable() && half.is_hup() && !half.is_writable(),
        "{half:?}"
    );
    drop(right);
    let whole = poll(&epoll)[0].ready;
    assert!(
        whole.is_readable() && whole.is_hup() && whole.is_writable(),
        "{whole:?}"
    );
}

#[test]
fn delete_silences_a_descriptor() {
    let epoll = Epoll::new().expect("a descriptor is free");
    let bell = EventFd::new().expect("a descriptor is free");
    epoll
        .add(bell.as_fd(), Interest::READ, 1)
        .expect("not on the list yet");
    bell.notify().expect("there is room");
    epoll.delete(bell.as_fd()).expect("on the list");
    assert_eq!(poll(&epoll), []);
}

#[test]
fn misuse_is_the_documented_errno() {
    let epoll = Epoll::new().expect("a descriptor is free");
    let bell = EventFd::new().expect("a descriptor is free");
    let errno_of = |result: io::Result<()>| result.expect_err("misuse").raw_os_error();
    assert_eq!(
        errno_of(epoll.modify(bell.as_fd(), Interest::READ, 1)),
        Some(errno::ENOENT)
    );
    assert_eq!(errno_of(epoll.delete(bell.as_fd())), Some(errno::ENOENT));
    epoll
        .add(bell.as_fd(), Interest::READ, 1)
        .expect("not on the list yet");
    assert_eq!(
        errno_of(epoll.add(bell.as_fd(), Interest::READ, 1)),
        Some(errno::EEXIST)
    );
    assert_eq!(
        errno_of(epoll.add(epoll.as_fd(), Interest::READ, 1)),
        Some(errno::EINVAL)
    );
    let file = std::fs::File::open("/proc/self/exe").expect("this program is a file");
    assert_eq!(
        errno_of(epoll.add(file.as_fd(), Interest::READ, 1)),
        Some(errno::EPERM)
    );
}

#[test]
fn wait_takes_no_more_than_asked_and_leaves_the_rest() {
    let epoll = Epoll::new().expect("a descriptor is free");
    let bells: Vec<EventFd> = (0..5).map(|_| EventFd::new().expect("free")).collect();
    for (key, bell) in bells.iter().enumerate() {
        epoll
            .add(bell.as_fd(), Interest::READ, key as u64)
            .expect("not on the list yet");
        bell.notify().expect("there is room");
    }
    let mut events = Events::with_capacity(2);
    let mut seen = Vec::new();
    // Zero is raised to one, and a hundred is cut to the capacity.
    for (max, expected) in [(0, 1), (1, 1), (100, 2), (2, 1), (2, 0)] {
        let n = epoll
            .wait(&mut events, max, Wait::Poll)
            .expect("no signal comes");
        assert_eq!(n, expected, "max {max}");
        seen.extend(events.iter().map(|event| event.key));
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

#[test]
fn events_capacity_is_at_least_one() {
    assert_eq!(Events::with_capacity(0).capacity(), 1);
    let events = Events::with_capacity(3);
    assert_eq!(
        (events.capacity(), events.len(), events.iter().len()),
        (3, 0, 0)
    );
    assert_eq!(format!("{events:?}"), "[]");
}

#[test]
fn wait_interrupted_by_a_signal_reports_it() {
    extern "C" fn ignore(_: c_int) {}
    let handler: extern "C" fn(c_int) = ignore;
    // SAFETY: the handler is a function of this program, touches nothing, and so may run anywhere.
    let old = unsafe { libc::signal(libc::SIGUSR2, handler as libc::sighandler_t) };
    assert_ne!(old, libc::SIG_ERR);

    let waiter = thread::spawn(|| {
        let epoll = Epoll::new().expect("a descriptor is free");
        let bell = EventFd::new().expect("a descriptor is free");
        epoll
            .add(bell.as_fd(), Interest::READ, 1)
            .expect("not on the list yet");
        bell.notify().expect("there is room");
        let mut events = Events::with_capacity(4);
        epoll
            .wait(&mut events, 4, Wait::Forever)
            .expect("an event waits");
        assert_eq!(events.len(), 1);
        let err = epoll
            .wait(&mut events, 4, Wait::Forever)
            .expect_err("only a signal comes");
        (err.raw_os_error(), events.len())
    });
    // The first signals may come before the wait, and are lost then.
    wait_until("the wait is interrupted", || {
        // SAFETY: the thread is not joined yet, so its identity is still its own.
        let rc = unsafe { libc::pthread_kill(waiter.as_pthread_t(), libc::SIGUSR2) };
        assert!(rc == 0 || rc == libc::ESRCH, "pthread_kill: {rc}");
        waiter.is_finished()
    });
    let (errno, left) = waiter.join().expect("the waiter does not panic");
    assert!(matches!(errno, Some(errno::EINTR)));
    assert_eq!(left, 0, "the events of the wait before are gone");
}
