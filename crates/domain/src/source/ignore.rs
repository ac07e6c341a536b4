//! Ignore files as Docker reads them: which files of a folder are sent to be built.
//!
//! Patterns are relative to the folder's root, so `*.env` means those in the root only; `**` is any
//! number of folders; a folder that matches takes all that is in it along; a line with `!` takes
//! things back in. The last line that matches decides. (The rules of Docker's reference of
//! `.dockerignore`; those of git's files differ.)

/// The most lines that are read.
const PATTERNS: usize = 1000;

/// What is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    takes_back: bool,
    /// Characters of the cleaned pattern.
    text: Vec<char>,
}

impl Ignore {
    /// Reads a file's text. Lines beyond the first thousand are not read.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let patterns =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(Pattern::parse);
        Self { patterns: patterns.take(PATTERNS).collect() }
    }

    /// Whether `path`, relative to the root and with `/` between its parts, is left out.
    #[must_use]
    pub fn leaves_out(&self, path: &str) -> bool {
        let parents: Vec<&str> =
            path.match_indices('/').map(|(at, _)| &path[..at]).chain([path]).collect();
        let mut out = false;
        for pattern in &self.patterns {
            // A line that could change nothing need not be tried.
            if pattern.takes_back == out && parents.iter().any(|part| pattern.matches(part)) {
                out = !pattern.takes_back;
            }
        }
        out
    }

    /// Whether nothing inside of a folder that is left out can be taken back in.
    #[must_use]
    pub fn leaves_out_all_of(&self, folder: &str) -> bool {
        self.leaves_out(folder) && !self.patterns.iter().any(|pattern| pattern.takes_back)
    }
}

impl Pattern {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let (takes_back, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let text = clean(line);
        (!text.is_empty()).then(|| Self { takes_back, text: text.chars().collect() })
    }

    fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        // Each state is tried once, so that no pattern takes long.
        let mut seen = vec![false; (self.text.len() + 1) * (path.len() + 1)];
        matches(&self.text, 0, &path, 0, &mut seen)
    }
}

/// Without empty and `.` parts, `..` taken back, and no slash at its ends.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn matches(pattern: &[char], p: usize, path: &[char], at: usize, seen: &mut [bool]) -> bool {
    let state = p * (path.len() + 1) + at;
    if std::mem::replace(&mut seen[state], true) {
        return false;
    }
    match pattern.get(p) {
        None => at == path.len(),
        Some('*') if pattern.get(p + 1) == Some(&'*') => {
            // `**/` is any number of whole parts, none too; `**` elsewhere is anything.
            let mut next = p + 2;
            if pattern.get(next) == Some(&'/') {
                next += 1;
                if matches(pattern, next, path, at, seen) {
                    return true;
                }
                return (at..path.len())
                    .any(|end| path[end] == '/' && matches(pattern, next, path, end + 1, seen));
            }
            (at..=path.len()).any(|end| matches(pattern, next, path, end, seen))
        }
        Some('*') => {
            let end = path[at..].iter().position(|c| *c == '/').map_or(path.len(), |n| at + n);
            (at..=end).any(|next| matches(pattern, p + 1, path, next, seen))
        }
        Some('?') => {
            path.get(at).is_some_and(|c| *c != '/') && matches(pattern, p + 1, path, at + 1, seen)
        }
        Some('[') => match class(&pattern[p..]) {
            Some((length, accepts)) => {
                path.get(at).is_some_and(|c| *c != '/' && accepts.accept(*c))
                    && matches(pattern, p + length, path, at + 1, seen)
            }
            None => path.get(at) == Some(&'[') && matches(pattern, p + 1, path, at + 1, seen),
        },
        Some('\\') if p + 1 < pattern.len() => {
            path.get(at) == Some(&pattern[p + 1]) && matches(pattern, p + 2, path, at + 1, seen)
        }
        Some(c) => path.get(at) == Some(c) && matches(pattern, p + 1, path, at + 1, seen),
    }
}

struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    fn accept(&self, c: char) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != self.negated
    }
}

/// `[a-z]` or `[^a-z]`, and how long it is.
fn class(pattern: &[char]) -> Option<(usize, Class)> {
    let negated = pattern.get(1) == Some(&'^');
    let first = if negated { 2 } else { 1 };
    let end = first + 1 + pattern.get(first + 1..)?.iter().position(|c| *c == ']')?;
    let mut ranges = Vec::new();
    let mut at = first;
    while at < end {
        if at + 2 < end && pattern[at + 1] == '-' {
            ranges.push((pattern[at], pattern[at + 2]));
            at += 3;
        } else {
            ranges.push((pattern[at], pattern[at]));
            at += 1;
        }
    }
    Some((end + 1, Class { negated, ranges }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(file: &str, paths: &[&str]) -> Vec<String> {
        let ignore = Ignore::parse(file);
        paths.iter().filter(|path| ignore.leaves_out(path)).map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn a_pattern_is_of_the_root_unless_it_says_otherwise() {
        let paths = [".env", "a.env", "sub/a.env", "sub/deep/a.env"];
        assert_eq!(left("*.env", &paths), [".env", "a.env"]);
        assert_eq!(left("/*.env", &paths), [".env", "a.env"]);
        assert_eq!(left("*/*.env", &paths), ["sub/a.env"]);
        assert_eq!(left("**/*.env", &paths), paths);
        assert_eq!(left("**/a.env", &paths), ["a.env", "sub/a.env", "sub/deep/a.env"]);
        assert_eq!(left("sub/**", &paths), ["sub/a.env", "sub/deep/a.env"]);
        assert_eq!(left("sub/**/a.env", &paths), ["sub/a.env", "sub/deep/a.env"]);
    }

    #[test]
    fn a_folder_takes_along_what_is_in_it_and_the_last_line_decides() {
        let paths = ["node_modules/a/b", "docs/README.md", "docs/secret.md", "README.md"];
        assert_eq!(left("node_modules/\n", &paths), ["node_modules/a/b"]);
        assert_eq!(left("docs\n!docs/README.md\n", &paths), ["docs/secret.md"]);
        assert_eq!(left("*.md\n!README*.md\n**/secret.md", &paths), ["docs/secret.md"]);
        assert_eq!(left("*\n!docs", &paths), ["node_modules/a/b", "README.md"]);
        assert_eq!(left("!docs\n*", &paths), paths);
    }

    #[test]
    fn comments_blanks_classes_and_escapes_are_read() {
        let paths = ["a1", "ab", "#x", "x y", "a/../b", "[z"];
        assert_eq!(left("\u{feff}# no\n\n  \na[0-9]\n", &paths), ["a1"]);
        assert_eq!(left("a[^0-9]\n\\#x", &paths), ["ab", "#x"]);
        assert_eq!(left("  x y  \n./q/../a?", &paths), ["a1", "ab", "x y"]);
        assert_eq!(left("[z", &paths), ["[z"]);
    }

    #[test]
    fn no_pattern_takes_long() {
        let long = "a".repeat(400);
        assert!(!Ignore::parse(&format!("{}b", "*a".repeat(100))).leaves_out(&long));
        assert!(!Ignore::parse(&format!("{}b", "**a".repeat(50))).leaves_out(&long));
    }
}
