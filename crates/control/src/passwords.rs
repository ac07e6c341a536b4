//! Passwords: which are accepted, how they are hashed, and how many at a time.
//!
//! A hash takes 19 MiB and some 30 ms of a core, on purpose. So there is a short queue, and requests
//! that are not about passwords do not stand in it.

mod common;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use domain::error::Problem;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task, time,
};

/// Memory in KiB, passes and lanes: the second choice of OWASP's password storage cheat sheet.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What an unknown name is compared with, so that it takes as long as a known one. Nobody has the
/// password: the hash was not made from one.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$cGlsb3Rob3VzZSBkZWNveQ$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// Hashes at a time, where there are cores enough that others notice nothing.
const AT_A_TIME: usize = 4;
/// How many may wait, and how long.
const WAITING: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);

/// The queue for hashing.
#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// The right to hash now. Kept until the work is done, also when the request is given up.
#[derive(Debug)]
pub(crate) struct Turn {
    _turn: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

/// What came of comparing a password.
#[derive(Debug)]
pub(crate) struct Compared {
    pub right: bool,
    /// It was right, and is stored with weaker parameters than today's: store this instead.
    pub rehashed: Option<String>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let at_a_time = (cores / 2).clamp(1, AT_A_TIME);
        Self {
            turns: Arc::new(Semaphore::new(at_a_time)),
            places: Arc::new(Semaphore::new(at_a_time + WAITING)),
        }
    }

    /// Waits for a turn, not for ever.
    pub(crate) async fn turn(&self) -> Result<Turn, Problem> {
        let busy = || Problem::TooMany { seconds: 5 };
        let place = self.places.clone().try_acquire_owned().map_err(|_| busy())?;
        let turn = time::timeout(PATIENCE, self.turns.clone().acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        Ok(Turn { _turn: turn, _place: place })
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Problem> {
        let turn = self.turn().await?;
        let password = password.to_owned();
        let (_, hash) = off_thread(turn, move || hash(&password)).await?;
        hash.ok_or_else(fault)
    }
}

impl Turn {
    /// Compares a password with what is stored, or with nothing in the same time.
    pub(crate) async fn compare(
        self,
        password: &str,
        stored: Option<&str>,
    ) -> Result<(Self, Compared), Problem> {
        let known = stored.is_some();
        let stored = stored.unwrap_or(DECOY).to_owned();
        let password = password.to_owned();
        off_thread(self, move || {
            let right = argon2().verify_password(password.as_bytes(), stored.as_str()).is_ok();
            let rehashed = (right && is_weaker(&stored)).then(|| hash(&password)).flatten();
            Compared { right: right && known, rehashed }
        })
        .await
    }
}

async fn off_thread<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<(Turn, T), Problem> {
    task::spawn_blocking(move || (turn, work())).await.map_err(|_| fault())
}

fn fault() -> Problem {
    Problem::Unavailable {
        sentence: "Passwords can not be checked now. Try again soon.".to_owned(),
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY, PASSES, LANES, None).expect("these parameters are allowed");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str) -> Option<String> {
    argon2().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
}

/// Whether a stored hash was made with less than today's parameters.
fn is_weaker(stored: &str) -> bool {
    let Ok(hash) = PasswordHash::new(stored) else { return true };
    let Ok(params) = Params::try_from(&hash) else { return true };
    hash.algorithm.as_str() != "argon2id"
        || params.m_cost() < MEMORY
        || params.t_cost() < PASSES
        || params.p_cost() < LANES
}

/// Whether `password` may be chosen by somebody of this name. `field` is the form's.
pub(crate) fn accept(field: &str, password: &str, name: &str) -> Result<(), Problem> {
    let wrong = |sentence: &str| Err(Problem::invalid(field, sentence));
    match password.chars().count() {
        0..12 => {
            return wrong("A password has at least 12 characters. Four unrelated words are fine.");
        }
        12..=128 => {}
        _ => return wrong("A password has at most 128 characters."),
    }
    // Shorter ones are in many words by chance: Eve is in "seven".
    if name.chars().count() >= 4 && password.to_lowercase().contains(&name.to_lowercase()) {
        return wrong("The password contains the name: whoever guesses tries that first.");
    }
    if common::is_common(password) {
        return wrong(
            "This password is among the first that are tried. Choose another, for example four unrelated words.",
        );
    }
    Ok(())
}

/// Whether both fields of a new password say the same.
pub(crate) fn same(password: &str, again: &str) -> Result<(), Problem> {
    if password == again {
        Ok(())
    } else {
        Err(Problem::invalid("again", "The two passwords differ. Type the new one twice."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_of_today_is_right_and_not_weaker_and_the_decoy_is_never_right() {
        let stored = hash("violet tractor moss 71").expect("hashes");
        let right = |password: &str, stored: &str| {
            argon2().verify_password(password.as_bytes(), stored).is_ok()
        };

        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(right("violet tractor moss 71", &stored));
        assert!(!right("violet tractor moss 72", &stored));
        assert!(!is_weaker(&stored));
        assert!(is_weaker(&stored.replace("m=19456", "m=8192")));
        assert!(PasswordHash::new(DECOY).is_ok() && !is_weaker(DECOY));
        assert!(!right("", DECOY));
    }

    #[test]
    fn length_name_and_common_ones_are_refused_with_the_field() {
        let refused = |password: &str| {
            let problem = accept("password", password, "Anna").expect_err(password);
            assert_eq!(problem.field(), Some("password"));
        };

        refused("short");
        refused("elevenchars");
        refused(&"x".repeat(129));
        refused("i am ANNA and old");
        refused("Password1234!");
        refused("qwertyuiop12");
        assert_eq!(accept("password", "violet tractor moss", "Ana"), Ok(()));
        assert_eq!(accept("password", "ünïcödé-wörds", "Ana"), Ok(()));
    }
}
