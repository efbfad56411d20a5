//! Several listeners on one address.

use std::fmt;
use std::io;

use gannet_sys::reuseport;

use crate::error::{Op, OpError, syscall};
use crate::listen::ListenConfig;
use crate::listener::Listener;
use crate::network::ToNetwork;

impl ListenConfig {
    /// Opens `count` TCP listeners on one address (`SO_REUSEPORT`), at least one. The kernel spreads
    /// connections over them by a hash of the addresses.
    ///
    /// Each has a queue of its own, so that tasks that accept do not contend for one lock; a
    /// [`Server`](crate::Server) takes them all. A connection that has been given to one waits for that
    /// one: closing it resets what waits there. Port 0 lets the kernel choose one for all.
    ///
    /// Waits only if the host is a name.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// Those of [`listen_stream`](Self::listen_stream); `EINVAL` or `EOPNOTSUPP` for Unix sockets,
    /// which cannot share.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::{ListenConfig, Server, dial};
    ///
    /// let listeners = ListenConfig::new().listen_sharded("tcp", "127.0.0.1:0", 2).await?;
    /// let addr = listeners[0].local_addr()?;
    /// assert_eq!(listeners[1].local_addr()?, addr);
    /// let _serving = Server::new()
    ///     .serve(listeners, async |accepted| accepted.conn.write_all(b"hello\n").await);
    /// let mut buf = [0; 6];
    /// dial("tcp", addr).await?.read_exact(&mut buf).await?;
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_REUSEPORT`.
    pub async fn listen_sharded(
        &self,
        network: impl ToNetwork,
        address: impl fmt::Display,
        count: usize,
    ) -> io::Result<Vec<Listener>> {
        let sharing = self.reusing_port();
        let first = sharing.listen_stream(network, address).await?;
        let (network, local) = (first.network(), first.local_addr()?);
        let mut listeners = vec![first];
        while listeners.len() < count {
            listeners.push(sharing.listen_stream_addr(network, &local)?);
        }
        Ok(listeners)
    }

    /// Opens listeners as [`listen_sharded`](Self::listen_sharded) does, and has the kernel give each
    /// connection to one by the processor that received it: its number modulo `count`.
    ///
    /// It pays where tasks stay on the processor that their network card interrupts: with a runtime of
    /// one thread for each processor, pinned there. Workers of one runtime move tasks between them, and
    /// need nothing but the hash. While the listeners are opened, and once one is closed, connections
    /// may go to others.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// Those of `listen_sharded`; `ENOPROTOOPT` before Linux 4.5.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html),
    /// `SO_ATTACH_REUSEPORT_CBPF`.
    pub async fn listen_sharded_by_cpu(
        &self,
        network: impl ToNetwork,
        address: impl fmt::Display,
        count: usize,
    ) -> io::Result<Vec<Listener>> {
        let listeners = self.listen_sharded(network, address, count).await?;
        let first = &listeners[0]; // There is at least one.
        let shards = u32::try_from(listeners.len()).unwrap_or(u32::MAX);
        let steered = first.fd.with_fd(|fd| reuseport::steer_by_cpu(fd, shards));
        steered.and_then(|steered| steered).map_err(|err| {
            let err = OpError::new(
                Op::Listen,
                first.network().as_str(),
                syscall("setsockopt", err),
            );
            io::Error::from(err.to(first.known_local()))
        })?;
        Ok(listeners)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use gannet_runtime::{Builder, time};

    use super::*;
    use crate::{Server, dial};

    #[test]
    fn sharded_listeners_share_a_port_and_the_connections() {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let hooks = Arc::new(AtomicU32::new(0));
            let counted = hooks.clone();
            let config = ListenConfig::new().control(move |_info, socket| {
                assert!(socket.reuse_port()?, "set before the caller's hook");
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
            let listeners = config.listen_sharded("tcp", "127.0.0.1:0", 4).await;
            let listeners = listeners.unwrap();
            assert_eq!((listeners.len(), hooks.load(Ordering::Relaxed)), (4, 4));
            let addr = listeners[0].local_addr().unwrap();
            // A hash spreads 64 connections over four; that one gets none has a chance of 4e-8.
            let mut clients = Vec::new();
            for _ in 0..64 {
                clients.push(dial("tcp", &addr).await.unwrap());
            }
            for listener in &listeners {
                assert_eq!(listener.local_addr().unwrap(), addr);
                listener.accept().await.unwrap();
            }
        });
    }

    #[test]
    fn sharded_by_cpu_serves_all() {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let listeners = ListenConfig::new()
                .listen_sharded_by_cpu("tcp", "127.0.0.1:0", 2)
                .await
                .unwrap();
            let addr = listeners[0].local_addr().unwrap();
            let serving = Server::new().serve(listeners, async |accepted: crate::Accepted| {
                accepted.conn.write_all(b"x").await
            });
            for _ in 0..20 {
                let client = dial("tcp", &addr).await.unwrap();
                client.read_exact(&mut [0]).await.unwrap();
            }
            while serving.stats().completed < 20 {
                time::sleep(std::time::Duration::from_millis(1)).await;
            }
        });
    }

    #[test]
    fn sharded_unix_listeners_are_refused() {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let listeners = ListenConfig::new().listen_sharded("unix", "@", 2).await;
            assert!(listeners.is_err());
        });
    }
}
