//! Standard input and output: pipes, terminals and sockets through the poller, files on threads.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use gannet::{AsyncFd, spawn_blocking};

/// What a pipe holds.
pub(crate) const PIPE_LEN: usize = 64 * 1024;
/// What a blocking thread moves at a time: large, because each time costs a change of threads.
const FILE_LEN: usize = 1024 * 1024;

/// Standard input.
pub(crate) struct Input(Stream);

/// Standard output.
pub(crate) struct Output(Stream);

/// One of the two.
enum Stream {
    Polled(Polled),
    /// `None` while a thread has it.
    File(Option<File>, Vec<u8>),
}

/// A descriptor that the poller takes.
struct Polled {
    fd: AsyncFd,
    /// The same description, for reading and writing.
    file: File,
    _restore: Restore,
}

impl Stream {
    fn open(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let restore = Restore::of(fd)?;
        let file = File::from(fd.try_clone_to_owned()?);
        match AsyncFd::new(fd.try_clone_to_owned()?) {
            Ok(fd) => Ok(Stream::Polled(Polled {
                fd,
                file,
                _restore: restore,
            })),
            // What epoll refuses never makes one wait for long: files, /dev/null.
            Err(err) if err.error.kind() == io::ErrorKind::PermissionDenied => {
                Ok(Stream::File(Some(file), Vec::new()))
            }
            Err(err) => Err(err.into()),
        }
    }
}

impl Input {
    /// Opens standard input. Until this is dropped its description does not block.
    pub(crate) fn open() -> io::Result<Self> {
        Stream::open(io::stdin().as_fd()).map(Input)
    }

    /// How much is best read at a time.
    pub(crate) fn block_len(&self) -> usize {
        match self.0 {
            Stream::Polled(_) => PIPE_LEN,
            Stream::File(..) => FILE_LEN,
        }
    }

    /// Reads into `buf`; 0 is the end.
    pub(crate) async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Stream::Polled(Polled { fd, file, .. }) => fd.read_with(|_| (&*file).read(buf)).await,
            Stream::File(slot, block) => {
                let wanted = buf.len();
                let (len, file, back) = on_thread(slot, block, move |file, block| {
                    block.resize(wanted, 0);
                    file.read(block)
                })
                .await?;
                buf[..len].copy_from_slice(&back[..len]);
                (*slot, *block) = (Some(file), back);
                Ok(len)
            }
        }
    }
}

impl Output {
    /// Opens standard output. Until this is dropped its description does not block.
    pub(crate) fn open() -> io::Result<Self> {
        Stream::open(io::stdout().as_fd()).map(Output)
    }

    /// Writes all of `data`; to a file, later, in large blocks.
    pub(crate) async fn write_all(&mut self, mut data: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Stream::Polled(Polled { fd, file, .. }) => {
                while !data.is_empty() {
                    let written = fd.write_with(|_| (&*file).write(data)).await?;
                    data = &data[written..];
                }
                Ok(())
            }
            Stream::File(_, block) => {
                block.extend_from_slice(data);
                if block.len() >= FILE_LEN {
                    self.finish().await
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Writes what is kept back.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        let Stream::File(slot, block) = &mut self.0 else {
            return Ok(());
        };
        let write = |file: &mut File, block: &mut Vec<u8>| {
            file.write_all(block)?;
            block.clear();
            Ok(())
        };
        let ((), file, back) = on_thread(slot, block, write).await?;
        (*slot, *block) = (Some(file), back);
        Ok(())
    }
}

/// Runs `call` on a thread that may block, with the file and the block, and gives both back.
async fn on_thread<T: Send + 'static>(
    file: &mut Option<File>,
    block: &mut Vec<u8>,
    call: impl FnOnce(&mut File, &mut Vec<u8>) -> io::Result<T> + Send + 'static,
) -> io::Result<(T, File, Vec<u8>)> {
    let mut file = file.take().expect("an operation that failed is the last");
    let mut block = std::mem::take(block);
    let done =
        spawn_blocking(move || call(&mut file, &mut block).map(|value| (value, file, block)));
    done.await.map_err(io::Error::other)?
}

/// Makes a description blocking again when dropped, if it was: the shell, and whoever else uses the
/// terminal or the pipe, has the same one.
struct Restore(Option<UnixStream>);

impl Restore {
    fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok());
        if flags.is_none_or(|flags| flags & O_NONBLOCK != 0) {
            return Ok(Restore(None));
        }
        // Every kind of descriptor knows FIONBIO; the standard library offers it for sockets only.
        let handle = UnixStream::from(fd.try_clone_to_owned()?);
        Ok(Restore(Some(handle)))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(fd) = &self.0 {
            // Cannot fail on an open descriptor, and nothing could be done.
            let _ = fd.set_nonblocking(false);
        }
    }
}

/// As `/proc` shows it, see proc_pid_fdinfo(5).
const O_NONBLOCK: u32 = 0o4000;
