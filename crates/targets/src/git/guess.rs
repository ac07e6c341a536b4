//! Looks through a fetched tree for recipes.

use domain::source::{FilePath, Folder, RecipeGuess};
use std::{
    fs::{File, read_dir},
    io::Read,
    path::Path,
};

/// How deep it is looked, and at how many entries.
const DEPTH: usize = 5;
const ENTRIES: usize = 20_000;

/// The most of a recipe that is read, in bytes.
const RECIPE: u64 = 256 * 1024;

/// Folders of things that others wrote.
const PASSED_BY: [&str; 5] = ["node_modules", "target", "vendor", ".git", "third_party"];

pub(super) fn look(tree: &Path, folder: &Folder) -> RecipeGuess {
    let mut files = Vec::new();
    let mut left = ENTRIES;
    find(tree, "", DEPTH, &mut left, &mut files);
    RecipeGuess::choose(folder, files, |file| text(&tree.join(file.as_str())))
}

fn find(directory: &Path, within: &str, depth: usize, left: &mut usize, files: &mut Vec<FilePath>) {
    let Ok(entries) = read_dir(directory) else { return };
    for entry in entries.flatten() {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
            continue;
        };
        let path = if within.is_empty() { name.clone() } else { format!("{within}/{name}") };
        if kind.is_dir() && depth > 0 && !PASSED_BY.contains(&name.as_str()) {
            find(&entry.path(), &path, depth - 1, left, files);
        } else if kind.is_file()
            && is_recipe(&name)
            && let Ok(path) = path.parse()
        {
            files.push(path);
        }
    }
}

/// `Dockerfile`, `Containerfile`, `Dockerfile.dev`, `api.Dockerfile`.
fn is_recipe(name: &str) -> bool {
    ["Dockerfile", "Containerfile"].iter().any(|usual| {
        let rest = name.strip_prefix(usual).or_else(|| name.strip_suffix(usual));
        rest.is_some_and(|rest| {
            (rest.is_empty() || rest.starts_with('.') || rest.ends_with('.'))
                && !rest.ends_with("ignore")
        })
    })
}

fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What can not be read has no outline, and the build will say why.
        let _ = file.take(RECIPE).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
