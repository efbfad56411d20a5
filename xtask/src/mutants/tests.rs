//! The mutants' machinery on a package of its own, small enough to build in a second.

use super::file::{Edit, parse};
use super::*;

const GOOD: &str = "\
# A comment.
about: `double` adds nothing
run: test --lib double
limit: 60
file: src/lib.rs
--- old
    x + x
--- new
    x
--- end
";

fn mutant(name: &str, run: &str, old: &str, new: &str) -> Mutant {
    // Only the one that hangs needs a short limit; for the others a slow machine must not count.
    let limit = if name == "hung" { 5 } else { 120 };
    let text = format!(
        "about: a\nrun: {run}\nlimit: {limit}\nfile: src/lib.rs\n--- old\n{old}\n--- new\n{new}\n--- end\n"
    );
    parse(name, &text).expect(name)
}

#[test]
fn file_is_read() {
    let expected = Mutant {
        name: "no_add".to_owned(),
        about: "`double` adds nothing".to_owned(),
        run: Run::Test {
            arguments: vec!["--lib".to_owned(), "double".to_owned()],
        },
        limit: Duration::from_secs(60),
        edits: vec![Edit {
            file: "src/lib.rs".to_owned(),
            old: "    x + x".to_owned(),
            new: "    x".to_owned(),
        }],
    };
    assert_eq!(parse("no_add", GOOD), Ok(expected));
    let loom = GOOD.replace("test --lib double", "loom models::wake 3");
    let run = Run::Loom {
        filter: "models::wake".to_owned(),
        bound: 3,
    };
    assert_eq!(parse("a", &loom).map(|mutant| mutant.run), Ok(run));
    let deletion = GOOD.replace("--- new\n    x\n", "--- new\n");
    assert_eq!(
        parse("a", &deletion).map(|mutant| mutant.edits[0].new.clone()),
        Ok(String::new())
    );
}

#[test]
fn bad_file_is_refused_with_the_reason() {
    for (from, to, reason) in [
        ("about: `double` adds nothing\n", "", "no `about:`"),
        ("run: test --lib double\n", "", "no `run:`"),
        ("run: test --lib double", "run: perhaps", "line 3"),
        ("limit: 60", "limit: 0", "line 4"),
        ("limit: 60", "limti: 60", "`limti`"),
        ("file: src/lib.rs\n", "", "before any `file:`"),
        ("--- end", "", "no `--- end`"),
        ("    x\n", "    x + x\n", "differ"),
        (
            "--- old\n    x + x\n--- new\n    x\n--- end\n",
            "",
            "no edit",
        ),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from} was found");
        let error = parse("a", &text).expect_err(reason);
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn old_text_must_occur_exactly_once() {
    let edit = Edit {
        file: "a.rs".to_owned(),
        old: "b".to_owned(),
        new: "c".to_owned(),
    };
    assert_eq!(edit.apply("a b d"), Ok("a c d".to_owned()));
    assert!(edit.apply("a").unwrap_err().contains("0 times in a.rs"));
    assert!(edit.apply("b b").unwrap_err().contains("2 times in a.rs"));
}

#[test]
fn mutants_of_the_tree_still_apply() {
    // Running them takes long; that each still fits the code is quickly told.
    let mut stale = Vec::new();
    for mutant in file::read_all(&tools::root().join(file::FOLDER)).expect("every mutant is read") {
        let mut texts = HashMap::new();
        for edit in &mutant.edits {
            let path = tools::root().join(&edit.file);
            let text = texts
                .remove(&edit.file)
                .unwrap_or_else(|| fs::read_to_string(path).unwrap_or_default());
            match edit.apply(&text) {
                Ok(text) => drop(texts.insert(&edit.file, text)),
                Err(error) => stale.push(format!("{}: {error}", mutant.name)),
            }
        }
    }
    assert_eq!(stale, [""; 0]);
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder for temporary files is writable");
        Self(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("below the folder")).unwrap();
        fs::write(path, text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is in the system's folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn copy_follows_its_source_and_mends_itself() {
    let folder = Folder::new("copy");
    let (source, tree) = (folder.0.join("a"), folder.0.join("b"));
    folder.write("a/src/lib.rs", "one");
    folder.write("a/target/x", "built");
    folder.write("a/.git/x", "hidden");
    folder.write("b/old.rs", "gone");
    fs::create_dir_all(&tree).unwrap();
    copy::sync(&source, &tree).unwrap();
    let read = |path: &str| fs::read_to_string(tree.join(path)).ok();
    assert_eq!(read("src/lib.rs").as_deref(), Some("one"));
    assert_eq!(
        (read("target/x"), read(".git/x"), read("old.rs")),
        (None, None, None)
    );

    let edits = [Edit {
        file: "src/lib.rs".to_owned(),
        old: "n".to_owned(),
        new: "d".to_owned(),
    }];
    let broken = copy::Broken::apply(&edits, &source, &tree).unwrap();
    assert_eq!(read("src/lib.rs").as_deref(), Some("ode"));
    drop(broken);
    assert_eq!(read("src/lib.rs").as_deref(), Some("one"));
}

#[test]
fn fates_are_told_apart() {
    let folder = Folder::new("fates");
    folder.write(
        "a/Cargo.toml",
        "[package]\nname = \"victim\"\nedition = \"2024\"\n[workspace]\n",
    );
    folder.write(
        "a/src/lib.rs",
        "pub fn double(x: u32) -> u32 {\n    x + x\n}\n\
         #[test]\nfn double_adds() {\n    assert_eq!(double(2), 4);\n}\n\
         #[test]\nfn wrong_always() {\n    panic!();\n}\n",
    );
    let mutants = [
        mutant("killed", "test --lib double_adds", "x + x", "x"),
        mutant("survived", "test --lib double_adds", "x + x", "x * x"),
        mutant(
            "hung",
            "test --lib double_adds",
            "x + x",
            "loop { std::hint::spin_loop() }",
        ),
        mutant("no_compile", "test --lib double_adds", "x + x", "y"),
        mutant("stale", "test --lib double_adds", "x + y", "x"),
        mutant("no_test", "test --lib no_such_test", "x + x", "x"),
        mutant("unsound", "test --lib wrong_always", "x + x", "x"),
    ];
    let lab = Lab::new(&folder.0.join("a"), folder.0.join("b")).expect("the copy is made");
    let rows = lab.try_all(&mutants);
    let fates: Vec<&Fate> = rows.iter().map(|row| &row.fate).collect();
    assert_eq!(fates[..3], [&Fate::Killed, &Fate::Survived, &Fate::Hung]);
    let reasons = [
        "does not compile",
        "occurs 0 times",
        "no test matches",
        "its test fails without it",
    ];
    for (fate, reason) in fates[3..].iter().zip(reasons) {
        assert!(
            fate.to_string().contains(reason),
            "{fate} is for `{reason}`"
        );
    }
    assert!(table(&rows).contains("SURVIVED"), "{}", table(&rows));
}
