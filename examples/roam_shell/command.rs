//! What runs in the terminal, and what it finds around itself.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A program to be started.
#[derive(Debug, PartialEq)]
pub(crate) struct Program {
    pub(crate) file: OsString,
    /// What the program is told that its name is.
    pub(crate) name: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) set: Vec<(OsString, OsString)>,
    pub(crate) remove: Vec<&'static str>,
    pub(crate) folder: Option<PathBuf>,
}

impl Program {
    /// Returns the command, or the login shell if it is empty.
    ///
    /// `own` looks up a variable of this process. The variables of `locale` are for a command that
    /// would else not speak UTF-8.
    pub(crate) fn new(
        command: &[OsString],
        colors: u32,
        locale: &[(String, String)],
        own: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let mut set: Vec<(OsString, OsString)> = Vec::new();
        if !is_utf8(&own) {
            let wanted = locale.iter();
            set.extend(wanted.map(|(name, value)| (name.into(), value.into())));
        }
        let term = match colors {
            256 => "xterm-256color",
            _ => "xterm",
        };
        set.push(("TERM".into(), term.into()));
        // The lines of ncurses as characters: a terminal that speaks UTF-8 needs no other set.
        set.push(("NCURSES_NO_UTF8_ACS".into(), "1".into()));
        let (file, name, args) = match command {
            [file, args @ ..] => (file.clone(), file.clone(), args.to_vec()),
            [] => {
                let shell = own("SHELL").filter(|shell| !shell.is_empty());
                let shell = shell.unwrap_or_else(|| "/bin/sh".into());
                let name = login_name(&shell);
                (shell, name, Vec::new())
            }
        };
        let home = own("HOME").map(PathBuf::from);
        Program {
            file,
            name,
            args,
            set,
            // Else screen(1) would take this for a window of the session that started the server.
            remove: vec!["STY"],
            folder: home.filter(|home| home.is_dir()),
        }
    }
}

/// A dash before its name makes a shell read what it reads at login.
fn login_name(shell: &OsStr) -> OsString {
    let mut name = OsString::from("-");
    name.push(Path::new(shell).file_name().unwrap_or(shell));
    name
}

/// Whether programs take text for UTF-8 here; see locale(7) for which variable counts.
fn is_utf8(own: &impl Fn(&str) -> Option<OsString>) -> bool {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let set = names
        .into_iter()
        .filter_map(own)
        .find(|value| !value.is_empty());
    let locale = set.unwrap_or_default().to_string_lossy().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(
        command: &[&str],
        colors: u32,
        own: &'static [(&'static str, &'static str)],
    ) -> Program {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let locale = [("LANG".to_owned(), "C.UTF-8".to_owned())];
        Program::new(&command, colors, &locale, |name| {
            let found = own.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn login_shell_runs_unless_a_command_is_given() {
        for (command, own, file, name) in [
            (&[][..], &[("SHELL", "/bin/bash")][..], "/bin/bash", "-bash"),
            (&[], &[("SHELL", "")], "/bin/sh", "-sh"),
            (&[], &[], "/bin/sh", "-sh"),
            (&["ls", "-l"], &[("SHELL", "/bin/bash")], "ls", "ls"),
        ] {
            let program = program(command, 8, own);
            assert_eq!((program.file, program.name), (file.into(), name.into()));
            let args: Vec<OsString> = command.iter().skip(1).map(OsString::from).collect();
            assert_eq!(program.args, args);
        }
    }

    #[test]
    fn terminal_is_named_by_its_colors() {
        for (colors, term) in [(256, "xterm-256color"), (8, "xterm"), (0, "xterm")] {
            let set = program(&[], colors, &[]).set;
            assert!(
                set.contains(&("TERM".into(), term.into())),
                "{colors}: {set:?}"
            );
            assert!(set.contains(&("NCURSES_NO_UTF8_ACS".into(), "1".into())));
        }
    }

    #[test]
    fn locale_is_set_only_if_there_is_no_utf8_one() {
        for (own, is_set) in [
            (&[][..], true),
            (&[("LANG", "en_US.UTF-8")], false),
            (&[("LANG", "C"), ("LC_CTYPE", "de_DE.utf8")], false),
            (&[("LANG", "C.UTF-8"), ("LC_ALL", "POSIX")], true),
            (&[("LANG", "C.UTF-8"), ("LC_ALL", "")], false),
        ] {
            let set = program(&[], 8, own).set;
            assert_eq!(
                set.contains(&("LANG".into(), "C.UTF-8".into())),
                is_set,
                "{own:?}"
            );
        }
    }

    #[test]
    fn folder_is_home_if_there_is_one() {
        assert_eq!(program(&[], 8, &[("HOME", "/")]).folder, Some("/".into()));
        assert_eq!(program(&[], 8, &[("HOME", "/no such folder")]).folder, None);
        assert_eq!(program(&[], 8, &[]).folder, None);
    }
}
