//! TCP: what only it has.

mod listener;
mod options;
mod stream;

pub use listener::TcpListener;
pub use options::{TcpInfo, TcpState};
pub use stream::TcpStream;
