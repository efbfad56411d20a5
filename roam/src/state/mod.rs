//! States that are ready to use.

mod blob;
mod log;
mod output;
mod user;

pub use blob::Blob;
pub use output::Output;
pub use user::UserStream;
