//! Programs of their own: gannet's examples `files` and `proxy`, and nginx. This process becomes them,
//! so that what is measured is the program alone.

use std::env;
use std::fs;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Options, announce};
use crate::raw::process::end_with_parent;

/// Where a folder that is served has its files; nginx needs room beside them.
pub(crate) const ROOT: &str = "root";

/// Turns into the example that serves files; returns only on failure.
pub(super) fn files(options: &Options, folder: &Path) -> io::Result<()> {
    let mut command = example("files")?;
    command
        .arg(folder.join(ROOT))
        .arg(options.addr.to_string())
        .args(["--workers", &options.workers.to_string()]);
    turn_into(command)
}

/// Turns into the example that relays; returns only on failure.
pub(super) fn proxy(options: &Options, upstream: SocketAddrV4) -> io::Result<()> {
    let mut command = example("proxy")?;
    command
        .args([options.addr, upstream].map(|addr| addr.to_string()))
        .args(["--workers", &options.workers.to_string()]);
    turn_into(command)
}

/// Tells whether an `nginx` command is on the path.
pub(super) fn has_nginx() -> bool {
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-v"]).stdin(Stdio::null());
    let status = command.stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Turns into nginx, which serves files in one process; returns only on failure.
///
/// It cannot say which port the kernel chose, nor when it listens: it gets one that is free now, and who
/// connects must try until it is there.
pub(super) fn nginx(options: &Options, folder: &Path) -> io::Result<()> {
    let addr = TcpListener::bind(options.addr)?.local_addr()?;
    let config = folder.join("nginx.conf");
    fs::write(&config, nginx_config(addr, folder))?;
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-c"]).arg(config);
    command.arg("-p").arg(folder);
    announce(addr)?;
    turn_into(command)
}

fn nginx_config(addr: SocketAddr, folder: &Path) -> String {
    let (folder, root) = (folder.display(), folder.join(ROOT));
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {folder}/nginx-{kind};\n"));
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log stderr crit;\n\
         events {{ worker_connections 64; }}\nhttp {{\n  access_log off;\n  sendfile on;\n{}  \
         server {{\n    listen {addr};\n    root {};\n  }}\n}}\n",
        temporary.concat(),
        root.display(),
    )
}

/// An example as cargo built it beside this program.
fn example(name: &str) -> io::Result<Command> {
    let program = env::current_exe()?.with_file_name("examples").join(name);
    if program.is_file() {
        return Ok(Command::new(program));
    }
    let advice = format!("{name} is not built: cargo build --release --example {name}");
    Err(io::Error::new(io::ErrorKind::NotFound, advice))
}

/// None of these programs watches its standard input, so the kernel has to end it.
fn turn_into(mut command: Command) -> io::Result<()> {
    end_with_parent()?;
    Err(command.exec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_config_names_the_socket_and_stays_in_the_folder() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 7007));
        let config = nginx_config(addr, Path::new("/tmp/x"));
        assert!(config.contains("listen 127.0.0.1:7007;"), "{config}");
        assert!(config.contains("root /tmp/x/root;"), "{config}");
        assert!(config.contains("sendfile on;"), "{config}");
        assert_eq!(config.matches("_temp_path /tmp/x/").count(), 5, "{config}");
        let (opened, closed) = (config.matches('{').count(), config.matches('}').count());
        assert_eq!(opened, closed, "{config}");
    }
}
