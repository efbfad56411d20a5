//! Two futures at the same time, in one task.
#![allow(dead_code, reason = "each example uses what it needs")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Which of two futures was ready first.
pub(crate) enum First<A, B> {
    /// The first, with its output.
    Left(A),
    /// The second, with its output.
    Right(B),
}

/// Waits until one of two futures is ready, and drops the other. If both are, the first counts.
pub(crate) async fn first<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> First<A, B> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|cx| {
        if let Poll::Ready(output) = left.as_mut().poll(cx) {
            return Poll::Ready(First::Left(output));
        }
        right.as_mut().poll(cx).map(First::Right)
    })
    .await
}

/// Waits until both futures have succeeded or one has failed, and drops the other then.
pub(crate) async fn both<E>(
    left: impl Future<Output = Result<(), E>>,
    right: impl Future<Output = Result<(), E>>,
) -> Result<(), E> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    let (mut left_done, mut right_done) = (false, false);
    poll_fn(|cx| {
        for (done, future) in [
            (
                &mut left_done,
                left.as_mut() as std::pin::Pin<&mut dyn Future<Output = _>>,
            ),
            (&mut right_done, right.as_mut()),
        ] {
            if *done {
                continue;
            }
            match future.poll(cx) {
                Poll::Ready(Ok(())) => *done = true,
                Poll::Ready(Err(err)) => return Poll::Ready(Err(err)),
                Poll::Pending => {}
            }
        }
        if left_done && right_done {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await
}
