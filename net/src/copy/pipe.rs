//! Pipes that bytes pass through inside the kernel. A thread keeps a few for its next copies.
//!
//! A copy holds a pipe only while there are bytes in it: ten thousand relays that wait for their
//! peers hold none.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::Poll;

use gannet_sys::{errno, fd, fork, transfer};

/// An empty pipe, or one whose owner knows how much is in it.
#[derive(Debug)]
pub(super) struct Pipe {
    read_end: OwnedFd,
    write_end: OwnedFd,
    /// A forked child has the same pipes as its parent, and must not use them.
    generation: u32,
}

/// What is asked of the kernel: as much as Go asks, and as an unprivileged process gets.
pub(super) const PIPE_LEN: usize = 1 << 20;
/// A pipe that holds less is slower than a buffer. The kernel makes such ones for a user whose pipes
/// take more than `/proc/sys/fs/pipe-user-pages-soft`.
const PIPE_LEN_MIN: usize = 64 << 10;
/// The most that a thread keeps.
const IDLE_MAX: usize = 4;

thread_local! {
    static IDLE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

impl Pipe {
    /// Takes an empty pipe from this thread's, or makes one.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` when descriptors ran out, and when the kernel makes only small pipes.
    pub(super) fn take() -> io::Result<Self> {
        let generation = fork::generation();
        let idle = || IDLE.try_with(|idle| idle.borrow_mut().pop()).ok()?;
        while let Some(pipe) = idle() {
            if pipe.generation == generation {
                return Ok(pipe);
            }
        }
        let (read_end, write_end) = fd::pipe()?;
        // A process that may not make it that big has the default, which is 64 KiB.
        if transfer::set_pipe_size(write_end.as_fd(), PIPE_LEN).is_err()
            && transfer::pipe_size(write_end.as_fd())? < PIPE_LEN_MIN
        {
            return Err(io::Error::from_raw_os_error(errno::EMFILE));
        }
        Ok(Pipe {
            read_end,
            write_end,
            generation,
        })
    }

    /// Gives an empty pipe back to this thread, or closes it if there are enough.
    pub(super) fn give_back(self) {
        // A thread that is ending closes it.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < IDLE_MAX {
                idle.push(self);
            }
        });
    }

    /// Reads the `len` bytes that are in the pipe.
    pub(super) fn read_out(self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match fd::read(self.read_end.as_fd(), &mut bytes[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        self.give_back();
        Ok(bytes)
    }

    pub(super) fn read_end(&self) -> BorrowedFd<'_> {
        self.read_end.as_fd()
    }

    pub(super) fn write_end(&self) -> BorrowedFd<'_> {
        self.write_end.as_fd()
    }
}

/// One non-blocking attempt at a source.
pub(super) type Attempt<'a> = dyn FnMut(BorrowedFd<'_>) -> io::Result<usize> + 'a;

/// Waits for bytes, and takes at most `most` of them into a pipe; `None` is the end of the source.
/// `poll` decides what becomes of the read lock.
///
/// # Errors
/// Those of reading and of [`Pipe::take`].
pub(super) fn poll_fill(
    most: usize,
    poll: impl FnOnce(&mut Attempt<'_>) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<Option<(Pipe, usize)>>> {
    let mut taken = None;
    let polled = poll(&mut |from| {
        let pipe = match &taken {
            Some(pipe) => pipe,
            None => taken.insert(Pipe::take()?),
        };
        transfer::splice(from, pipe.write_end(), most)
    });
    match (polled, taken) {
        (Poll::Ready(Ok(len)), Some(pipe)) if len > 0 => Poll::Ready(Ok(Some((pipe, len)))),
        (polled, taken) => {
            // Whatever the answer, nothing went in.
            if let Some(pipe) = taken {
                pipe.give_back();
            }
            polled.map_ok(|_| None)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn pipe_given_back_is_taken_again() {
        let pipe = Pipe::take().unwrap();
        let number = pipe.read_end().as_raw_fd();
        pipe.give_back();
        assert_eq!(Pipe::take().unwrap().read_end().as_raw_fd(), number);
    }

    #[test]
    fn pipes_kept_are_few() {
        let pipes: Vec<_> = (0..IDLE_MAX + 3).map(|_| Pipe::take().unwrap()).collect();
        pipes.into_iter().for_each(Pipe::give_back);
        assert_eq!(IDLE.with(|idle| idle.borrow().len()), IDLE_MAX);
    }

    #[test]
    fn pipe_of_another_process_is_not_taken() {
        let mut pipe = Pipe::take().unwrap();
        pipe.generation = pipe.generation.wrapping_add(1);
        pipe.give_back();
        let taken = Pipe::take().unwrap();
        assert_eq!(taken.generation, fork::generation());
        assert_eq!(IDLE.with(|idle| idle.borrow().len()), 0, "it was closed");
    }

    #[test]
    fn pipe_is_read_out() {
        let pipe = Pipe::take().unwrap();
        fd::write(pipe.write_end(), b"hello").unwrap();
        assert_eq!(pipe.read_out(5).unwrap(), b"hello");
    }
}
