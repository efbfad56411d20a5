//! TCP: what only it has.

mod listener;
mod stream;

pub use listener::TcpListener;
pub use stream::TcpStream;
