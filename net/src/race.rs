//! Racing attempts: one begins after the other, and the first that succeeds wins.
//!
//! An address that does not answer must not hold up those behind it, and trying all at once would
//! burden every server of a name. So the next attempt begins a little after the last one, or as soon
//! as one has failed (RFC 8305). All live in one future: whoever drops it ends them, and the winner's
//! return closes the sockets of the others.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use gannet_runtime::time::{Sleep, sleep};

use crate::addr::Addr;

/// Puts the two families by turns, beginning with that of the first address; the order within each
/// stays.
///
/// Reference: [RFC 8305, section 4](https://www.rfc-editor.org/rfc/rfc8305#section-4).
pub(crate) fn interleave(addrs: Vec<Addr>) -> Vec<Addr> {
    let Some(first_fits_v4) = addrs.first().map(Addr::fits_v4) else {
        return addrs;
    };
    let len = addrs.len();
    let (primaries, fallbacks): (Vec<_>, Vec<_>) = addrs
        .into_iter()
        .partition(|addr| addr.fits_v4() == first_fits_v4);
    let (mut primaries, mut fallbacks) = (primaries.into_iter(), fallbacks.into_iter());
    let mut mixed = Vec::with_capacity(len);
    while mixed.len() < len {
        mixed.extend(primaries.next());
        mixed.extend(fallbacks.next());
    }
    mixed
}

/// Begins `count` attempts, at least one, each `delay` after the one before or as soon as one fails;
/// `begin` makes the attempt of a number. Returns the first success.
///
/// # Cancel safety
/// Dropping the future ends all attempts.
///
/// # Errors
/// That of attempt 0, once all have failed.
pub(crate) async fn race<T, F>(
    count: usize,
    delay: Duration,
    begin: impl FnMut(usize) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut race = Race {
        begin,
        count,
        begun: 0,
        delay,
        next: sleep(delay),
        running: Vec::new(),
        first: None,
    };
    race.start();
    poll_fn(|cx| race.poll(cx)).await
}

struct Race<B, F> {
    begin: B,
    count: usize,
    begun: usize,
    delay: Duration,
    /// When the next attempt begins if none fails before.
    next: Sleep,
    running: Vec<(usize, Pin<Box<F>>)>,
    /// The error of the attempt with the lowest number that has failed, and that number.
    first: Option<(usize, io::Error)>,
}

impl<T, B, F> Race<B, F>
where
    B: FnMut(usize) -> F,
    F: Future<Output = io::Result<T>>,
{
    /// Begins the next attempt, if there is one.
    fn start(&mut self) {
        if self.begun < self.count {
            let attempt = (self.begin)(self.begun);
            self.running.push((self.begun, Box::pin(attempt)));
            self.begun += 1;
            self.next = sleep(self.delay);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let mut at = 0;
        loop {
            while at < self.running.len() {
                match self.running[at].1.as_mut().poll(cx) {
                    Poll::Pending => at += 1,
                    Poll::Ready(Ok(won)) => return Poll::Ready(Ok(won)),
                    Poll::Ready(Err(err)) => {
                        let (number, _) = self.running.remove(at);
                        if self.first.as_ref().is_none_or(|&(known, _)| number < known) {
                            self.first = Some((number, err));
                        }
                        // What begins here goes to the end, and is polled in this same turn.
                        self.start();
                    }
                }
            }
            if self.begun < self.count && Pin::new(&mut self.next).poll(cx).is_ready() {
                self.start();
                continue;
            }
            return match self.first.take_if(|_| self.running.is_empty()) {
                Some((_, err)) => Poll::Ready(Err(err)),
                None => Poll::Pending,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::future::pending;
    use std::rc::Rc;

    use gannet_runtime::Builder;

    const NEVER: Duration = Duration::from_secs(3600);

    /// What an attempt does.
    #[derive(Clone, Copy)]
    enum Does {
        Succeed,
        Fail,
        Hang,
    }

    /// Notes its end.
    struct Ends(usize, Rc<RefCell<Vec<usize>>>);

    impl Drop for Ends {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0);
        }
    }

    /// Runs a race, and returns its result, which attempts began, and which ended.
    fn run(delay: Duration, does: &[Does]) -> (Result<usize, String>, Vec<usize>, Vec<usize>) {
        let (begun, ended) = (RefCell::new(Vec::new()), Rc::new(RefCell::new(Vec::new())));
        let runtime = Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(race(does.len(), delay, |number| {
            begun.borrow_mut().push(number);
            let (does, ends) = (does[number], Ends(number, Rc::clone(&ended)));
            async move {
                let _ends = ends;
                match does {
                    Does::Succeed => Ok(number),
                    Does::Fail => Err(io::Error::other(format!("attempt {number}"))),
                    Does::Hang => pending().await,
                }
            }
        }));
        let ended = ended.borrow().clone();
        (
            result.map_err(|err| err.to_string()),
            begun.into_inner(),
            ended,
        )
    }

    #[test]
    fn first_success_wins_and_ends_the_others() {
        use Does::{Fail, Hang, Succeed};
        let soon = Duration::from_millis(1);
        for (delay, does, want, begun) in [
            (NEVER, &[Succeed, Succeed][..], Ok(0), 1),
            (NEVER, &[Fail, Succeed, Succeed], Ok(1), 2),
            (soon, &[Hang, Succeed], Ok(1), 2),
            (soon, &[Hang, Hang, Fail, Succeed], Ok(3), 4),
            (Duration::ZERO, &[Hang, Hang, Succeed], Ok(2), 3),
            (soon, &[Fail, Fail], Err("attempt 0".to_owned()), 2),
            (NEVER, &[Fail], Err("attempt 0".to_owned()), 1),
        ] {
            let (result, begins, ends) = run(delay, does);
            assert_eq!(result, want);
            assert_eq!(begins, (0..begun).collect::<Vec<_>>());
            assert_eq!(ends.len(), begun, "none is left behind");
        }
    }

    #[test]
    fn interleave_begins_with_the_first_family() {
        let mix = |texts: &[&str]| {
            let addrs = texts.iter().map(|text| Addr::Tcp(text.parse().unwrap()));
            let mixed = interleave(addrs.collect());
            mixed.iter().map(Addr::to_string).collect::<Vec<_>>()
        };
        let (a, b, c) = ("127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1");
        let (x, y) = ("[::1]:1", "[fd77::1]:1");
        assert_eq!(mix(&[a, b, c, x, y]), [a, x, b, y, c]);
        assert_eq!(mix(&[x, a, b, c]), [x, a, b, c]);
        assert_eq!(mix(&[a, b]), [a, b]);
        assert_eq!(mix(&[]), [""; 0]);
    }
}
