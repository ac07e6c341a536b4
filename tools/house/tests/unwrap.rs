//! `unwrap` is for tests: anywhere else it hides why it can't fail, or that it can. `expect` says it.
//!
//! This reads the sources, because the lint of the same name also finds the helpers of tests that
//! are in files of their own.

use std::{fs, path::Path};

const SOURCES: [&str; 5] = ["app/src", "server/src", "crates", "tools", "examples"];

/// Files that are compiled for tests only.
fn is_of_tests(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

/// Lines before the tests of a file, with their numbers.
fn unwraps(text: &str) -> impl Iterator<Item = usize> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines()
        .zip(1..)
        .filter(|(line, _)| line.contains(".unwrap()") && !line.trim_start().starts_with("//"))
        .map(|(_, number)| number)
}

fn look(place: &Path, found: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(place)
        .expect("a folder of ours")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for path in entries.into_iter().filter(|path| !is_of_tests(path)) {
        if path.is_dir() {
            look(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("a text");
            found.extend(unwraps(&text).map(|line| format!("{}:{line}", path.display())));
        }
    }
}

#[test]
fn only_tests_unwrap() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();

    for place in SOURCES {
        look(&root.join(place), &mut found);
    }

    assert!(found.is_empty(), "say by `expect` why it can't fail: {found:#?}");
}

#[test]
fn what_is_before_the_tests_of_a_file_is_looked_at() {
    let text = "a.unwrap();\n// b.unwrap()\n#[cfg(test)]\nmod tests {\n c.unwrap();\n}\n";

    assert_eq!(unwraps(text).collect::<Vec<_>>(), [1]);
}
