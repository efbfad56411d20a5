//! TCP and Unix stream connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gannet::net::{Conn, Listener, error};
use gannet::time;

use crate::forward::{Moved, forward};
use crate::server::Server;

/// Accepts connections until the listener is closed.
pub(crate) async fn accept_all(server: Arc<Server>, listener: Arc<Listener>) {
    loop {
        match listener.accept().await {
            Ok((conn, _peer)) => {
                gannet::spawn(Connection::new(server.clone(), conn).serve());
            }
            Err(err) if error::is_closed(&err) => return,
            Err(err) => {
                server.report.error(&err);
                // If it is going to fail for ever, it should not do so at full speed.
                time::sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
}

const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);

/// How many full buffers are moved before other connections get their turn.
const ROUNDS_MAX: usize = 16;

/// An open connection, known to the server.
struct Connection {
    server: Arc<Server>,
    conn: Arc<Conn>,
    slot: usize,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.connections.remove(self.slot);
    }
}

impl Connection {
    fn new(server: Arc<Server>, conn: Conn) -> Self {
        let conn = Arc::new(conn);
        let slot = server.connections.add(&conn);
        Connection { server, conn, slot }
    }

    async fn serve(self) {
        // Whatever ends a connection, a reset, a deadline, is its peer's affair: it is closed, and
        // that is all.
        let served = self.echo().await;
        if self.server.is_stopping() && served.is_err_and(|err| error::is_deadline(&err)) {
            // Boxed, as every wait but that for a request: an idle connection should be small.
            let _ = Box::pin(self.drain()).await;
        }
    }

    /// Sends back what comes until the peer has sent its last byte.
    async fn echo(&self) -> io::Result<()> {
        loop {
            if self.server.arm_read(&self.conn)? {
                return Err(error::deadline_exceeded());
            }
            self.conn.readable().await?;
            self.server.arm_write(&self.conn)?;
            for _ in 0..ROUNDS_MAX {
                match forward(&self.conn, &self.conn)? {
                    Moved::Nothing | Moved::All { more: false } => break,
                    Moved::All { more: true } => {}
                    // Until it is sent nothing more is read: a peer that does not read is not read.
                    Moved::Rest(rest) => Box::pin(self.write_all(rest)).await?,
                    Moved::End => return Ok(()),
                }
            }
        }
    }

    /// Sends back what has arrived already, and waits for no more.
    async fn drain(&self) -> io::Result<()> {
        self.conn.set_read_deadline(None)?;
        loop {
            self.server.arm_write(&self.conn)?;
            match forward(&self.conn, &self.conn)? {
                Moved::Nothing | Moved::End => return Ok(()),
                Moved::All { .. } => gannet::yield_now().await,
                Moved::Rest(rest) => self.write_all(rest).await?,
            }
        }
    }

    /// Sends all of `data`. A deadline ends it only if none of it went out for that long.
    async fn write_all(&self, data: Vec<u8>) -> io::Result<()> {
        let mut sent = 0;
        while sent < data.len() {
            self.server.arm_write(&self.conn)?;
            sent += self.conn.write(&data[sent..]).await?;
        }
        Ok(())
    }
}
