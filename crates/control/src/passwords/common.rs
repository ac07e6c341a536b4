//! Passwords that are tried first: common words with digits around them, rows of the keyboard,
//! repetitions. A list of whole passwords would miss most of them at 12 characters and more.

use std::{collections::HashSet, sync::LazyLock};

/// Words and phrases that common passwords are made of, lower case, letters only.
static WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("common.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect()
});

/// The longest word there is, in bytes.
static LONGEST: LazyLock<usize> =
    LazyLock::new(|| WORDS.iter().map(|word| word.len()).max().unwrap_or(0));

/// Ways over the keyboard and the alphabet, each repeated by whoever types on.
const ROWS: [&str; 9] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1q2w3e4r5t6y7u8i9o0p",
    "a1b2c3d4e5f6g7h8i9j0",
];

/// Whether whoever guesses tries this among the first.
pub(super) fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    let tight: String = lower.chars().filter(|c| !c.is_whitespace()).collect();
    let mut different: Vec<char> = tight.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < 5 || is_repeated(&tight) || is_rows(&tight) {
        return true;
    }
    let core = tight.trim_matches(|c: char| !c.is_alphabetic());
    let bare: String = tight.chars().filter(|c| c.is_alphabetic()).collect();
    let read: String = core.chars().map(letter).filter(|c| c.is_alphabetic()).collect();
    [core, &bare, &read].into_iter().any(|text| !text.is_empty() && is_words(text))
}

/// `p4$$w0rd` reads as `password`.
const fn letter(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' | '+' => 't',
        '8' => 'b',
        '9' => 'g',
        other => other,
    }
}

/// `abc1abc1abc1`: at most half of it, over and over.
fn is_repeated(text: &str) -> bool {
    let all: Vec<char> = text.chars().collect();
    (1..=all.len() / 2).any(|period| (period..all.len()).all(|at| all[at] == all[at - period]))
}

/// Nothing but pieces of at least four keys in a row, forth or back, with at most three others.
fn is_rows(text: &str) -> bool {
    let all: Vec<char> = text.chars().collect();
    let mut at = 0;
    let mut others = 0;
    while at < all.len() {
        let run = longest_run(&all[at..]);
        if run >= 4 {
            at += run;
        } else {
            at += 1;
            others += 1;
        }
    }
    others <= 3 && others < all.len()
}

fn longest_run(text: &[char]) -> usize {
    let mut longest = 0;
    for row in ROWS {
        let forth: Vec<char> = row.chars().collect();
        let back: Vec<char> = row.chars().rev().collect();
        for way in [forth, back] {
            for start in 0..way.len() {
                let run = text
                    .iter()
                    .zip(way.iter().cycle().skip(start))
                    .take_while(|(typed, key)| typed == key)
                    .count();
                longest = longest.max(run);
            }
        }
    }
    longest
}

/// Nothing but common words, one after the other.
fn is_words(text: &str) -> bool {
    let mut reachable = vec![false; text.len() + 1];
    reachable[0] = true;
    for end in 1..=text.len() {
        reachable[end] = (end.saturating_sub(*LONGEST)..end).any(|start| {
            reachable[start] && text.get(start..end).is_some_and(|word| WORDS.contains(word))
        });
    }
    reachable[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_known() {
        for password in [
            "password1234",
            "P4$$w0rd2024",
            "PasswordPassword",
            "Welcome12345!",
            "letmein-letmein",
            "administrator1",
            "iloveyou2024!",
            "correct horse battery staple",
            "qwertyuiop[]",
            "123456789012",
            "1qaz2wsx3edc",
            "abcdefghijkl",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "changeme1234",
            "SuperSecret123",
            "summer-2026-summer",
            "987654321qwerty",
        ] {
            assert!(is_common(password), "{password}");
        }
    }

    #[test]
    fn what_nobody_tries_is_not() {
        for password in [
            "violet tractor moss",
            "a long test phrase 1",
            "kQ8#vT2m!zR5",
            "seven-wet-lanterns",
            "tr0ub4dor&3 and more",
            "ünïcödé-wörds",
        ] {
            assert!(!is_common(password), "{password}");
        }
    }

    #[test]
    fn there_are_several_hundred_words() {
        assert!(WORDS.len() > 400, "{}", WORDS.len());
        assert!(WORDS.iter().all(|word| word.chars().all(|c| c.is_ascii_lowercase())));
    }
}
