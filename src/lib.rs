#![doc = include_str!("../README.md")]

pub use gannet_net as net;
pub use gannet_roam as roam;
pub use gannet_runtime as runtime;
pub use gannet_runtime::time;
pub use gannet_runtime::{
    AbortHandle, AsyncFd, Builder, Handle, JoinError, JoinHandle, JoinSet, Runtime, spawn,
    spawn_blocking, yield_now,
};
