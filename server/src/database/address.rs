//! Where a role connects to. It may hold a password, so it is never printed.

use std::{fmt, fmt::Write as _, path::Path};

/// An address of a Postgres with a role and a database.
#[derive(Clone)]
pub struct Address(String);

impl Address {
    /// One that was given in the settings.
    #[must_use]
    pub fn of_url(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// A role of the private Postgres, by the directory of its socket.
    #[must_use]
    pub fn of_socket(directory: &Path, role: &str, database: &str) -> Self {
        let mut path = String::new();
        for byte in directory.as_os_str().as_encoded_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => {
                    path.push(char::from(*byte));
                }
                // Writing to a string can not fail.
                other => drop(write!(path, "%{other:02X}")),
            }
        }
        Self(format!("postgres://{role}@localhost/{database}?host={path}"))
    }

    /// The whole of it, password included.
    #[must_use]
    pub fn as_url(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_odd_letters_stays_one_parameter() {
        let address = Address::of_socket(Path::new("/a b/&c?"), "app", "db");

        assert_eq!(address.as_url(), "postgres://app@localhost/db?host=/a%20b/%26c%3F");
    }
}
