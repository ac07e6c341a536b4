//! The file of keys: made once, private, added to when a key is to be followed by another.

use crate::{ID, NoVault, hex};
use sha2::{Digest, Sha256};
use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};
use zeroize::Zeroizing;

/// The name of the file in the data directory.
const FILE: &str = "secrets.key";
/// The longest a file of keys is: some hundred keys.
const LONGEST: u64 = 64 * 1024;

/// One key.
pub(crate) struct Key {
    /// The beginning of its hash: names it and says nothing of it.
    pub id: [u8; ID],
    pub bytes: Zeroizing<[u8; 32]>,
}

impl Key {
    /// By chance.
    pub fn new() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).expect("the kernel gives random bytes once it has started");
        Self::of(bytes)
    }

    fn of(bytes: Zeroizing<[u8; 32]>) -> Self {
        let hash: [u8; 32] =
            Sha256::new().chain_update(b"pilothouse key\0").chain_update(*bytes).finalize().into();
        let mut id = [0; ID];
        id.copy_from_slice(&hash[..ID]);
        Self { id, bytes }
    }

    /// Exactly 64 hexadecimal digits.
    fn parse(line: &str) -> Option<Self> {
        let line = line.as_bytes();
        if line.len() != 64 {
            return None;
        }
        let mut bytes = Zeroizing::new([0; 32]);
        for (byte, pair) in bytes.iter_mut().zip(line.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
        }
        Some(Self::of(bytes))
    }
}

/// All keys, the newest last. Never none.
pub(crate) struct Keys(Vec<Key>);

impl Keys {
    pub fn of(key: Key) -> Self {
        Self(vec![key])
    }

    pub fn newest(&self) -> &Key {
        self.0.last().expect("keys are never none: they begin with one")
    }

    pub fn by_id(&self, id: &[u8]) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }

    /// Reads the file, or makes it with a first key.
    pub fn open(data_dir: &Path) -> Result<Self, NoVault> {
        let path = data_dir.join(FILE);
        let shown = path.display().to_string();
        let failed = |source| NoVault::File { path: shown.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return make(&path).map(Self::of).map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(NoVault::Open { path: shown, mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let key = Key::parse(line.trim())
                .ok_or_else(|| NoVault::NoKey { path: shown.clone(), line: index + 1 })?;
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(NoVault::NoKey { path: shown, line: 1 });
        }
        Ok(Self(keys))
    }
}

/// Written beside and renamed, so that a crash leaves no half of a key; and on the disk before
/// anything is sealed with it.
fn make(path: &Path) -> std::io::Result<Key> {
    let key = Key::new();
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    let line = Zeroizing::new(format!("{}\n", *Zeroizing::new(hex(&*key.bytes))));
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("vault-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("made");
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join(FILE)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_key_is_made_once_and_only_its_owner_can_read_it() {
        let directory = Directory::new("made");

        let first = Keys::open(&directory.0).expect("made").newest().id;
        let again = Keys::open(&directory.0).expect("read").newest().id;

        assert_eq!(first, again);
        let mode = std::fs::metadata(directory.file()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_was_added_seals_and_the_older_still_opens() {
        let directory = Directory::new("added");
        let old = Keys::open(&directory.0).expect("made").newest().id;
        let line = format!("{}\n", "5a".repeat(32));
        let mut file = OpenOptions::new().append(true).open(directory.file()).expect("there");
        file.write_all(line.as_bytes()).expect("written");

        let keys = Keys::open(&directory.0).expect("read");

        assert_ne!(keys.newest().id, old);
        assert!(keys.by_id(&old).is_some());
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused_and_kept() {
        let directory = Directory::new("broken");
        Keys::open(&directory.0).expect("made");
        std::fs::write(directory.file(), "").expect("emptied");

        assert!(matches!(Keys::open(&directory.0), Err(NoVault::NoKey { line: 1, .. })));
        std::fs::write(directory.file(), format!("{}\nzz\n", "5a".repeat(32))).expect("broken");
        assert!(matches!(Keys::open(&directory.0), Err(NoVault::NoKey { line: 2, .. })));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let directory = Directory::new("open");
        Keys::open(&directory.0).expect("made");
        let all = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(directory.file(), all).expect("opened");

        assert!(matches!(Keys::open(&directory.0), Err(NoVault::Open { mode: 0o644, .. })));
    }
}
