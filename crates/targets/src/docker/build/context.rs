//! What is sent to be built: the files of a folder, without those that are ignored.
//!
//! Everything is looked at before the first byte is sent, so that a context that must not be sent
//! never is in part. It is read while it is sent, and never in memory as a whole.

use crate::{Result, build::BuildLimits, docker::error};
use bytes::Bytes;
use domain::{
    name::RegistryAddress,
    source::{Recipe, ignore::Ignore, recipe::FILES},
};
use rustix::fs::OFlags;
use std::{
    fs::{File, Metadata, OpenOptions, read_dir, read_link, symlink_metadata},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};
use tokio::sync::mpsc;

/// The most of a recipe that is read, in bytes.
const RECIPE: u64 = 1 << 20;

/// How engines call the registry that needs no name.
pub(super) const HUB: &str = "docker.io";

/// The most of an ignore file that is read, in bytes.
const IGNORE: u64 = 1 << 20;

/// A context that may be sent.
#[derive(Debug)]
pub(super) struct Context {
    root: PathBuf,
    /// The recipe's file, relative to the root.
    pub file: String,
    entries: Vec<Entry>,
    /// Of all files together.
    pub bytes: u64,
}

#[derive(Debug)]
struct Entry {
    path: String,
    kind: Kind,
    mode: u32,
}

#[derive(Debug)]
enum Kind {
    Folder,
    File { size: u64 },
    Link { to: PathBuf },
}

impl Context {
    pub fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Looks at everything that would be sent.
    pub fn look(tree: &Path, recipe: &Recipe, limits: &BuildLimits) -> Result<Self> {
        let root = folder(tree, recipe.folder.as_str())?;
        let file = recipe_file(&root, recipe)?;
        let ignore = ignore(&root, &file);
        let mut look =
            Look { limits, ignore, file: file.clone(), entries: Vec::new(), bytes: 0, seen: 0 };
        look.walk(&root, "")?;
        Ok(Self { root, file, entries: look.entries, bytes: look.bytes })
    }

    /// Writes it as an archive, as long as somebody takes it.
    pub fn send(self, to: mpsc::Sender<io::Result<Bytes>>) {
        let out = BufWriter::with_capacity(64 * 1024, Pieces { to: to.clone() });
        if let Err(error) = self.write(out) {
            // The receiver that is gone is the usual reason.
            let _ = to.blocking_send(Err(error));
        }
    }

    fn write(&self, out: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(out);
        for entry in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            // Two checkouts of one commit are the same to the engine's cache.
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            match &entry.kind {
                Kind::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    archive.append_data(&mut header, format!("{}/", entry.path), io::empty())?;
                }
                Kind::Link { to } => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    archive.append_link(&mut header, &entry.path, to)?;
                }
                Kind::File { size } => {
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_size(*size);
                    let file = open(&self.root.join(&entry.path))?;
                    // As long as it was: the archive would be torn otherwise.
                    archive.append_data(
                        &mut header,
                        &entry.path,
                        file.chain(io::repeat(0)).take(*size),
                    )?;
                }
            }
        }
        archive.into_inner()?.flush()
    }
}

/// Those of some registries that a recipe names: in its file, where also the usual values of its
/// arguments are, or in the arguments it is given. The registry that needs no name is always one.
pub(super) fn bases(
    tree: &Path,
    recipe: &Recipe,
    of: &[RegistryAddress],
) -> Result<Vec<RegistryAddress>> {
    let root = folder(tree, recipe.folder.as_str())?;
    let file = recipe_file(&root, recipe)?;
    let mut text = Vec::new();
    let read = open(&root.join(file)).and_then(|file| file.take(RECIPE).read_to_end(&mut text));
    read.map_err(error::unreachable)?;
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let named = |address: &RegistryAddress| {
        address.as_str() == HUB
            || names(&text, address.as_str())
            || recipe.arguments.values().any(|value| names(value, address.as_str()))
    };
    Ok(of.iter().filter(|address| named(address)).cloned().collect())
}

/// Whether an address stands there as a whole: `ghcr.io` does not in `my-ghcr.io` or `ghcr.io:5000`.
fn names(text: &str, address: &str) -> bool {
    text.match_indices(address).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + address.len()..].chars().next();
        let goes_on = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        !before.is_some_and(|c| goes_on(c) || c == '/') && !after.is_some_and(goes_on)
    })
}

/// The folder, if none of its parts is a link.
fn folder(tree: &Path, folder: &str) -> Result<PathBuf> {
    let mut path = tree.to_owned();
    for part in folder.split('/').filter(|part| !part.is_empty()) {
        path.push(part);
        match symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return Err(error::refused(format!(
                    "{folder} is a link or a file, not a folder of the repository. Name the folder itself."
                )));
            }
            Err(_) => {
                return Err(error::refused(format!(
                    "The folder {folder} is not in this commit. Check its name."
                )));
            }
        }
    }
    Ok(path)
}

fn recipe_file(root: &Path, recipe: &Recipe) -> Result<String> {
    let is_file = |name: &str| {
        folder(root, name.rsplit_once('/').map_or("", |(folder, _)| folder)).is_ok()
            && symlink_metadata(root.join(name)).is_ok_and(|found| found.is_file())
    };
    let found = match &recipe.file {
        Some(file) => Some(file.to_string()).filter(|name| is_file(name)),
        None => FILES.iter().map(|name| (*name).to_owned()).find(|name| is_file(name)),
    };
    found.ok_or_else(|| {
        let place = if recipe.folder.is_root() { "the repository's root".to_owned() } else { recipe.folder.to_string() };
        error::refused(match &recipe.file {
            Some(file) => format!("there is no file {file} in {place}. Name the recipe's file, relative to the folder."),
            None => format!("there is no Dockerfile or Containerfile in {place}. Name the folder or the file."),
        })
    })
}

/// The file beside the recipe that bears its name comes before the usual one.
fn ignore(root: &Path, file: &str) -> Ignore {
    let names =
        [format!("{file}.dockerignore"), ".dockerignore".to_owned(), ".containerignore".to_owned()];
    let text = names.iter().find_map(|name| {
        let mut text = Vec::new();
        open(&root.join(name)).ok()?.take(IGNORE).read_to_end(&mut text).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    });
    text.map(|text| Ignore::parse(&text)).unwrap_or_default()
}

struct Look<'a> {
    limits: &'a BuildLimits,
    ignore: Ignore,
    file: String,
    entries: Vec<Entry>,
    bytes: u64,
    /// What was looked at, ignored or not.
    seen: u64,
}

impl Look<'_> {
    fn walk(&mut self, folder: &Path, within: &str) -> Result<()> {
        let mut names = Vec::new();
        for entry in read_dir(folder).map_err(error::unreachable)? {
            let name = entry.map_err(error::unreachable)?.file_name();
            let name = name.into_string().map_err(|name| {
                error::refused(format!(
                    "the name {} is no text: it can not be sent. Leave it out by .dockerignore.",
                    name.to_string_lossy().escape_debug()
                ))
            })?;
            self.seen += 1;
            // What is ignored is not sent, but going through it costs as much.
            if self.seen > self.limits.context_entries * 4 {
                return Err(self.too_many());
            }
            names.push(name);
        }
        names.sort_unstable();
        for name in names {
            let path = if within.is_empty() { name.clone() } else { format!("{within}/{name}") };
            self.at(&folder.join(&name), path)?;
        }
        Ok(())
    }

    fn at(&mut self, real: &Path, path: String) -> Result<()> {
        let found = symlink_metadata(real).map_err(error::unreachable)?;
        // The engine reads the recipe from what is sent, ignored or not.
        let out = path != self.file && self.ignore.leaves_out(&path);
        if found.is_dir() {
            let holds_recipe =
                self.file.strip_prefix(&path).is_some_and(|rest| rest.starts_with('/'));
            if !holds_recipe && self.ignore.leaves_out_all_of(&path) {
                return Ok(());
            }
            if !out {
                self.push(path.clone(), Kind::Folder, &found)?;
            }
            return self.walk(real, &path);
        }
        if out {
            return Ok(());
        }
        if found.is_symlink() {
            let to = read_link(real).map_err(error::unreachable)?;
            if leaves(&path, &to) {
                return Err(error::refused(format!(
                    "the link {path} leads out of what is built, to {}. Take it out of the commit, or leave it out by .dockerignore.",
                    to.display()
                )));
            }
            return self.push(path, Kind::Link { to }, &found);
        }
        if !found.is_file() {
            return Err(error::refused(format!("{path} is neither a file, a folder nor a link.")));
        }
        let size = found.len();
        self.bytes += size;
        if self.bytes > self.limits.context_bytes {
            return Err(error::refused(format!(
                "what would be sent to be built is larger than {} MiB. Leave out what is not needed by .dockerignore.",
                self.limits.context_bytes >> 20
            )));
        }
        self.push(path, Kind::File { size }, &found)
    }

    fn push(&mut self, path: String, kind: Kind, found: &Metadata) -> Result<()> {
        if self.entries.len() as u64 >= self.limits.context_entries {
            return Err(self.too_many());
        }
        // As git knows it: executable or not. Nothing sets an id, and who wrote it does not matter.
        let executable = found.is_dir() || found.permissions().mode() & 0o100 != 0;
        self.entries.push(Entry { path, kind, mode: if executable { 0o755 } else { 0o644 } });
        Ok(())
    }

    fn too_many(&self) -> crate::Error {
        error::refused(format!(
            "what would be sent to be built has more than {} entries. Leave out what is not needed by .dockerignore.",
            self.limits.context_entries
        ))
    }
}

/// Whether a link at `path` leads out of the context, as it is written.
fn leaves(path: &str, to: &Path) -> bool {
    let mut depth = path.matches('/').count();
    for part in to.components() {
        match part {
            Component::Prefix(_) | Component::RootDir => return true,
            Component::CurDir => {}
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            Component::Normal(_) => depth += 1,
        }
    }
    false
}

/// Opens a file that is none other, whatever it was replaced by.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Hands on what is written, a piece at a time.
struct Pieces {
    to: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, some: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.to.blocking_send(Ok(Bytes::copy_from_slice(some))).map_err(gone)?;
        Ok(some.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Tree(PathBuf);

    impl Tree {
        fn with(files: &[&str]) -> Self {
            let root = std::env::temp_dir().join(format!("context-{}", uuid::Uuid::now_v7()));
            for file in files {
                let path = root.join(file);
                std::fs::create_dir_all(path.parent().expect("inside")).expect("made");
                std::fs::write(path, file).expect("written");
            }
            Self(root)
        }

        fn sent(&self, recipe: &Recipe) -> std::result::Result<Vec<String>, String> {
            let limits =
                BuildLimits { context_bytes: 200, context_entries: 9, ..BuildLimits::default() };
            let context =
                Context::look(&self.0, recipe, &limits).map_err(|error| error.to_string())?;
            let mut bytes = Vec::new();
            context.write(&mut bytes).expect("written");
            let mut archive = tar::Archive::new(&bytes[..]);
            let names = archive
                .entries()
                .expect("an archive")
                .map(|entry| entry.expect("whole").path().expect("a path").display().to_string());
            Ok(names.collect())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_registry_is_named_as_a_whole_or_not_at_all() {
        assert!(names("from ghcr.io/team/base:1", "ghcr.io"));
        assert!(names("arg r=127.0.0.1:5000\nfrom $r/base", "127.0.0.1:5000"));
        assert!(names("copy --from=ghcr.io/a /a /a", "ghcr.io"));
        for other in
            ["from my-ghcr.io/a", "from ghcr.io:5000/a", "from a.ghcr.io/a", "from x/ghcr.io/a"]
        {
            assert!(!names(other, "ghcr.io"), "{other}");
        }
    }

    #[test]
    fn what_is_ignored_is_not_sent_but_the_recipe_always_is() {
        let tree = Tree::with(&["Dockerfile", "a.env", "sub/a.env", "node_modules/x/y"]);
        std::fs::write(tree.0.join(".dockerignore"), "*.env\nnode_modules\nDockerfile\n")
            .expect("written");

        let sent = tree.sent(&Recipe::default()).expect("good");

        assert_eq!(sent, [".dockerignore", "Dockerfile", "sub/", "sub/a.env"]);
    }

    #[test]
    fn a_link_that_leads_out_is_refused_unless_it_is_ignored() {
        for to in ["/etc/passwd", "../out", "sub/../../out", "/", ".."] {
            let tree = Tree::with(&["Dockerfile", "sub/a"]);
            symlink(to, tree.0.join("link")).expect("made");
            assert!(tree.sent(&Recipe::default()).expect_err("refused").contains("link"), "{to}");
            std::fs::write(tree.0.join(".dockerignore"), "link\n").expect("written");
            tree.sent(&Recipe::default()).expect("ignored");
        }
        let tree = Tree::with(&["Dockerfile", "sub/a"]);
        symlink("../sub/a", tree.0.join("sub/link")).expect("made");
        tree.sent(&Recipe::default()).expect("it stays inside");
    }

    #[test]
    fn neither_folder_nor_recipe_may_be_a_link() {
        let tree = Tree::with(&["real/Dockerfile"]);
        symlink("real", tree.0.join("linked")).expect("made");
        symlink("real/Dockerfile", tree.0.join("Dockerfile")).expect("made");
        let of =
            |folder: &str| Recipe { folder: folder.parse().expect("good"), ..Recipe::default() };

        tree.sent(&of("linked")).expect_err("a link");
        tree.sent(&of("")).expect_err("a link");
        assert_eq!(tree.sent(&of("real")).expect("good"), ["Dockerfile"]);
    }

    #[test]
    fn too_much_is_refused_before_anything_is_sent() {
        let many: Vec<String> =
            (0..9).map(|n| format!("f{n}")).chain(["Dockerfile".to_owned()]).collect();
        let tree = Tree::with(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(tree.sent(&Recipe::default()).expect_err("too many").contains("entries"));

        let tree = Tree::with(&["Dockerfile"]);
        std::fs::write(tree.0.join("large"), [0; 200]).expect("written");
        assert!(tree.sent(&Recipe::default()).expect_err("too large").contains("larger"));
    }
}
