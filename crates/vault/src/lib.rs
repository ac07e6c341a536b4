//! The vault: secrets are sealed with a key that lies outside the database, so that who reads the
//! database, or a copy of it, reads none of them.
//!
//! ```text
//! DATA_DIR/secrets.key     0600; a key a line, the newest last
//! sealed value             format, id of the key, nonce, ciphertext (XChaCha20-Poly1305)
//! ```
//!
//! A value is sealed *about* something, the row it belongs to, and opens for nothing else: moved into
//! another row it is as good as lost. What can not be opened says so ([`Lost`]) and is set anew by a
//! person; everything else goes on. Who may set a secret, and where it is kept, is not decided here.

mod keys;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use keys::{Key, Keys};
use std::{fmt, path::Path};
use zeroize::Zeroizing;

/// The format of what is sealed now.
const FORMAT: u8 = 1;
/// Bytes of a key's id.
const ID: usize = 8;
/// Bytes of a nonce: long enough to be drawn by chance for each value.
const NONCE: usize = 24;
/// What comes before the ciphertext.
const HEAD: usize = 1 + ID + NONCE;

/// Seals and opens. Holds the keys in memory only.
pub struct Vault {
    keys: Keys,
}

impl Vault {
    /// Opens the vault of a data directory. Its key is made when there is none.
    pub fn open(data_dir: &Path) -> Result<Self, NoVault> {
        Ok(Self { keys: Keys::open(data_dir)? })
    }

    /// A vault whose key nobody keeps: what it seals can not be opened by another.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { keys: Keys::of(Key::new()) }
    }

    /// Seals `plain` about one thing, for example `registry/ID/password`.
    #[must_use]
    pub fn seal(&self, about: &str, plain: &str) -> Vec<u8> {
        let key = self.keys.newest();
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the kernel gives random bytes once it has started");
        let text = cipher(key)
            .encrypt(&nonce.into(), Payload { msg: plain.as_bytes(), aad: &bound(about) })
            .expect("a text that fits into memory is short enough for the cipher");
        let mut sealed = Vec::with_capacity(HEAD + text.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        sealed
    }

    /// Opens what was sealed about the same thing.
    pub fn unseal(&self, about: &str, sealed: &[u8]) -> Result<Plain, Lost> {
        let (Some((&FORMAT, rest)), true) = (sealed.split_first(), sealed.len() >= HEAD) else {
            return Err(Lost::Broken);
        };
        let (id, rest) = rest.split_at(ID);
        let (nonce, text) = rest.split_at(NONCE);
        let key = self.keys.by_id(id).ok_or_else(|| Lost::NoKey { key: hex(id) })?;
        let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| Lost::Broken)?;
        let plain = cipher(key)
            .decrypt(&nonce.into(), Payload { msg: text, aad: &bound(about) })
            .map(Zeroizing::new)
            .map_err(|_| Lost::Broken)?;
        let plain = std::str::from_utf8(&plain).map_err(|_| Lost::Broken)?;
        Ok(Plain(Zeroizing::new(plain.to_owned())))
    }

    /// Whether the key of a value is there, without opening it.
    #[must_use]
    pub fn can_open(&self, sealed: &[u8]) -> bool {
        sealed.len() >= HEAD && sealed[0] == FORMAT && self.keys.by_id(&sealed[1..=ID]).is_some()
    }

    /// The id of the key that seals now, as it is shown to people.
    #[must_use]
    pub fn key(&self) -> String {
        hex(&self.keys.newest().id)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// A secret in the clear. Overwritten in memory when it is dropped, and never printed.
#[derive(Clone)]
pub struct Plain(Zeroizing<String>);

impl Plain {
    /// The secret itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Why a value can not be opened. It has to be set anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It was sealed with a key that is not in this data directory.
    #[error("it was sealed with the key {key}, which is not in secrets.key")]
    NoKey { key: String },
    /// It is not what was sealed, or was sealed about something else.
    #[error("it is not what was sealed here")]
    Broken,
}

/// Why there is no vault. The message names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum NoVault {
    #[error("secrets.key: {path} can not be read or made")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "secrets.key: line {line} of {path} is no key. Bring the file back from a copy, or move it \
         away: then a new key is made, and all secrets have to be set anew"
    )]
    NoKey { path: String, line: usize },
    #[error("secrets.key: {path} can be read by others (mode {mode:o}). Set its mode to 0600")]
    Open { path: String, mode: u32 },
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.bytes).into())
}

/// What a value is bound to.
fn bound(about: &str) -> Vec<u8> {
    [b"pilothouse secret\0", about.as_bytes()].concat()
}

/// Lower case, two digits a byte.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_about_the_same_thing_only() {
        let vault = Vault::in_memory();
        let sealed = vault.seal("registry/1/password", "hunter2");

        assert_eq!(
            vault.unseal("registry/1/password", &sealed).expect("its own").expose(),
            "hunter2"
        );
        assert_eq!(vault.unseal("registry/2/password", &sealed).unwrap_err(), Lost::Broken);
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let vault = Vault::in_memory();
        let sealed = vault.seal("a", "hunter2");

        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(vault.unseal("a", &changed).is_err(), "byte {at}");
            assert!(vault.unseal("a", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_alike() {
        let vault = Vault::in_memory();

        assert_ne!(vault.seal("a", "hunter2"), vault.seal("a", "hunter2"));
    }

    #[test]
    fn a_value_of_a_lost_key_names_the_key() {
        let (lost, vault) = (Vault::in_memory(), Vault::in_memory());
        let sealed = lost.seal("a", "hunter2");

        assert_eq!(vault.unseal("a", &sealed).unwrap_err(), Lost::NoKey { key: lost.key() });
        assert!(!vault.can_open(&sealed));
        assert!(lost.can_open(&sealed));
    }

    #[test]
    fn a_secret_is_never_printed() {
        let vault = Vault::in_memory();
        let plain = vault.unseal("a", &vault.seal("a", "hunter2")).expect("its own");

        assert_eq!(format!("{plain:?}"), "(secret)");
        assert!(!format!("{vault:?}").contains(&hex(&*vault.keys.newest().bytes)));
    }
}
