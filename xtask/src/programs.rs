//! The programs outside of the project that tests talk to, and how they come onto a machine.

use std::process::Stdio;
use std::time::Duration;

use crate::tools;

const APT_LIMIT: Duration = Duration::from_secs(300);

/// A program that tests run.
struct Program {
    name: &'static str,
    /// The Debian package that holds it.
    package: &'static str,
    /// A word that its `-h` must print where programs of other makers share the name.
    maker: Option<&'static str>,
}

const PROGRAMS: [Program; 17] = [
    Program {
        name: "nc",
        package: "netcat-openbsd",
        maker: Some("OpenBSD"),
    },
    Program {
        name: "ncat",
        package: "ncat",
        maker: None,
    },
    Program {
        name: "socat",
        package: "socat",
        maker: None,
    },
    Program {
        name: "python3",
        package: "python3",
        maker: None,
    },
    Program {
        name: "curl",
        package: "curl",
        maker: None,
    },
    Program {
        name: "iperf3",
        package: "iperf3",
        maker: None,
    },
    Program {
        name: "strace",
        package: "strace",
        maker: None,
    },
    Program {
        name: "ip",
        package: "iproute2",
        maker: None,
    },
    Program {
        name: "tc",
        package: "iproute2",
        maker: None,
    },
    Program {
        name: "unshare",
        package: "util-linux",
        maker: None,
    },
    Program {
        name: "setpriv",
        package: "util-linux",
        maker: None,
    },
    Program {
        name: "nsenter",
        package: "util-linux",
        maker: None,
    },
    Program {
        name: "ps",
        package: "procps",
        maker: None,
    },
    Program {
        name: "nft",
        package: "nftables",
        maker: None,
    },
    Program {
        name: "mosh",
        package: "mosh",
        maker: None,
    },
    Program {
        name: "mosh-server",
        package: "mosh",
        maker: None,
    },
    Program {
        name: "mosh-client",
        package: "mosh",
        maker: None,
    },
];

impl Program {
    fn is_here(&self) -> bool {
        tools::on_path(self.name) && self.maker.is_none_or(|maker| self.says(maker))
    }

    fn says(&self, word: &str) -> bool {
        let output = tools::program(self.name).arg("-h").output();
        output.is_ok_and(|output| {
            let text = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&text).contains(word)
        })
    }
}

/// Installs what is missing and may be installed; returns the names of what is still missing.
pub(crate) fn prepare() -> Vec<&'static str> {
    let missing = || {
        PROGRAMS
            .iter()
            .filter(|program| !program.is_here())
            .collect::<Vec<_>>()
    };
    let before = missing();
    if before.is_empty() {
        return Vec::new();
    }
    let mut packages: Vec<&str> = before.iter().map(|program| program.package).collect();
    packages.dedup(); // Programs of one package stand together in the list.
    if let Err(error) = install(&packages) {
        println!("{error}");
    }
    let names: Vec<&str> = missing().iter().map(|program| program.name).collect();
    if !names.is_empty() {
        println!("missing programs: {}", names.join(", "));
    }
    names
}

/// Installs a program whose package has its name, unless it is here.
pub(crate) fn need(name: &str) -> Result<(), String> {
    if tools::on_path(name) {
        return Ok(());
    }
    install(&[name])
}

/// Installs Debian packages; an error if that is not possible here, or failed for some.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let wanted = packages.join(" ");
    if !tools::is_root() {
        return Err(format!("not root, so not installing: {wanted}"));
    }
    if !tools::on_path("apt-get") {
        return Err(format!("no apt-get, so not installing: {wanted}"));
    }
    println!("installing {wanted}");
    if let Err(error) = apt(&["update"]) {
        println!("{error}"); // The lists on the machine may do.
    }
    if apt_install(packages).is_ok() {
        return Ok(());
    }
    // One unknown package fails all of them, so try each by itself.
    let failed: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| apt_install(&[package]).is_err())
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("apt-get cannot install: {}", failed.join(" ")))
    }
}

fn apt_install(packages: &[&str]) -> Result<(), String> {
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let mut command = tools::program("apt-get");
    command
        .arg("-q")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    let mut command = tools::bounded(&command, APT_LIMIT);
    tools::run(command.stdout(Stdio::null()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_is_here_by_name_and_maker() {
        let program = |name, maker| Program {
            name,
            package: "none",
            maker,
        };
        assert!(program("sh", None).is_here());
        assert!(!program("no-such-program-anywhere", None).is_here());
        assert!(program("cargo", Some("Rust's package manager")).is_here());
        assert!(!program("cargo", Some("OpenBSD")).is_here());
    }
}
