//! Under which tags an image goes to its repository: lines of a pattern, filled with what it was built
//! from.
//!
//! | pattern     | built from                       | tag           |
//! |-------------|----------------------------------|---------------|
//! | `{version}` | the git tag `v1.2.3`             | `1.2.3`       |
//! | `{branch}`  | the branch `feature/login`       | `feature-login` |
//! | `{commit}`  | the commit                       | as the release is named by it |
//! | `latest`    | a git tag that is a whole version | `latest`     |
//!
//! A line of which a part is missing gives no tag: a build of a branch has no version. `latest` is
//! given by whole versions alone, so that no branch and no pre-release moves it.

use crate::name::{ImageTag, Wrong};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The most lines of a pattern.
pub const MOST: usize = 10;

/// The lines a new rule begins with.
pub const USUAL: &str = "{version}\n{branch}\n{commit}\nlatest";

/// What an image was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltFrom {
    /// Short, as the release is named by it.
    pub commit: String,
    pub branch: Option<String>,
    pub tag: Option<String>,
}

/// One line: letters with `{version}`, `{branch}` and `{commit}` among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagPattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Version,
    Branch,
    Commit,
}

/// What a line comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub pattern: TagPattern,
    /// The tag, or why there is none.
    pub tag: Result<ImageTag, String>,
}

impl TagPattern {
    /// The tag for what was built, or why there is none.
    pub fn tag(&self, built: &BuiltFrom) -> Result<ImageTag, String> {
        let version = built.tag.as_deref().and_then(version);
        if self.is_latest() {
            return match &version {
                Some(version) if !version.contains('-') => self.joined(&[]),
                _ => Err("only a version that is no pre-release moves it".to_owned()),
            };
        }
        let parts = self
            .0
            .iter()
            .map(|piece| match piece {
                Piece::Text(_) => Ok(None),
                Piece::Version => version
                    .clone()
                    .map(Some)
                    .ok_or_else(|| "what is built has no tag like v1.2.3".to_owned()),
                Piece::Branch => {
                    let branch = built.branch.as_deref().map(plain).filter(|b| !b.is_empty());
                    branch.map(Some).ok_or_else(|| "what is built is no branch".to_owned())
                }
                Piece::Commit => Ok(Some(plain(&built.commit))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.joined(&parts)
    }

    fn joined(&self, parts: &[Option<String>]) -> Result<ImageTag, String> {
        let mut tag = String::new();
        for (at, piece) in self.0.iter().enumerate() {
            match (piece, parts.get(at)) {
                (Piece::Text(text), _) => tag.push_str(text),
                (_, Some(Some(part))) => tag.push_str(part),
                (_, _) => {}
            }
        }
        let cut: String = tag.trim_start_matches(['.', '-']).chars().take(128).collect();
        cut.parse().map_err(|wrong: Wrong| wrong.to_string())
    }

    fn is_latest(&self) -> bool {
        matches!(self.0.as_slice(), [Piece::Text(text)] if text == "latest")
    }
}

/// What each line comes to, shown before a build starts.
#[must_use]
pub fn planned(patterns: &[TagPattern], built: &BuiltFrom) -> Vec<Planned> {
    let plan = |pattern: &TagPattern| Planned { pattern: pattern.clone(), tag: pattern.tag(built) };
    patterns.iter().map(plan).collect()
}

/// All tags that come of it, each once, in order.
#[must_use]
pub fn tags(patterns: &[TagPattern], built: &BuiltFrom) -> Vec<ImageTag> {
    let mut tags = Vec::new();
    for tag in planned(patterns, built).into_iter().filter_map(|planned| planned.tag.ok()) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// The tag of a release that was not built here: its name.
#[must_use]
pub fn of_name(name: &str) -> Option<ImageTag> {
    plain(name).parse().ok()
}

/// Lines as typed, without empty ones.
pub fn read(typed: &str) -> Result<Vec<TagPattern>, Wrong> {
    let lines = typed.lines().map(str::trim).filter(|line| !line.is_empty());
    let patterns = lines.map(str::parse).collect::<Result<Vec<TagPattern>, Wrong>>()?;
    if patterns.is_empty() {
        return Err(Wrong::new("At least one tag is needed, for example {version}."));
    }
    if patterns.len() > MOST {
        return Err(Wrong::new(format!("At most {MOST} tags.")));
    }
    Ok(patterns)
}

/// A git tag that is a version, without the `v`: `1.2.3`, `1.2.3-rc.1`. What is built into it after a
/// `+` can not be in a tag of an image.
fn version(tag: &str) -> Option<String> {
    let version = tag.strip_prefix('v').unwrap_or(tag);
    let version = version.split('+').next()?;
    let (core, rest) = version.split_once('-').map_or((version, None), |(c, r)| (c, Some(r)));
    let number = |part: &str| {
        !part.is_empty()
            && part.len() <= 20
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let three = core.split('.').count() == 3 && core.split('.').all(number);
    let rest_is_good = rest.is_none_or(|rest| {
        let word =
            |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        rest.split('.').all(word)
    });
    (three && rest_is_good && version.len() <= 128).then(|| version.to_owned())
}

/// What of a name can be in a tag: other characters become one dash. `feature/login` and
/// `feature-login` become the same; the digest tells them apart.
fn plain(name: &str) -> String {
    let mut tag = String::with_capacity(name.len().min(100));
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') {
            tag.push(c);
        } else if !tag.ends_with('-') {
            tag.push('-');
        }
        if tag.len() >= 100 {
            break;
        }
    }
    tag.trim_start_matches(['.', '-']).trim_end_matches('-').to_owned()
}

impl FromStr for TagPattern {
    type Err = Wrong;

    fn from_str(typed: &str) -> Result<Self, Wrong> {
        let typed = typed.trim();
        if typed.is_empty() || typed.len() > 100 {
            return Err(Wrong::new("A tag has 1 to 100 characters here."));
        }
        let mut pieces = Vec::new();
        let mut rest = typed;
        while !rest.is_empty() {
            let (piece, after) = if let Some(inside) = rest.strip_prefix('{') {
                let (word, after) = inside.split_once('}').ok_or_else(unknown)?;
                let piece = match word {
                    "version" => Piece::Version,
                    "branch" => Piece::Branch,
                    "commit" => Piece::Commit,
                    _ => return Err(unknown()),
                };
                (piece, after)
            } else {
                let end = rest.find('{').unwrap_or(rest.len());
                let text = &rest[..end];
                if !text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
                {
                    return Err(Wrong::new(
                        "Between the braces a tag is letters, digits and . _ -",
                    ));
                }
                (Piece::Text(text.to_owned()), &rest[end..])
            };
            pieces.push(piece);
            rest = after;
        }
        if matches!(pieces.first(), Some(Piece::Text(text)) if text.starts_with(['.', '-'])) {
            return Err(Wrong::new("A tag does not begin with . or -"));
        }
        Ok(Self(pieces))
    }
}

fn unknown() -> Wrong {
    Wrong::new("In braces stand {version}, {branch} or {commit}.")
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            f.write_str(match piece {
                Piece::Text(text) => text,
                Piece::Version => "{version}",
                Piece::Branch => "{branch}",
                Piece::Commit => "{commit}",
            })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for TagPattern {
    type Error = Wrong;

    fn try_from(typed: String) -> Result<Self, Wrong> {
        typed.parse()
    }
}

impl From<TagPattern> for String {
    fn from(pattern: TagPattern) -> Self {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(branch: &str, tag: &str) -> BuiltFrom {
        let some = |word: &str| (!word.is_empty()).then(|| word.to_owned());
        BuiltFrom { commit: "3f9c1a2b7d01".to_owned(), branch: some(branch), tag: some(tag) }
    }

    fn of(branch: &str, tag: &str) -> Vec<String> {
        let patterns = read(USUAL).unwrap();
        tags(&patterns, &built(branch, tag)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_usual_pattern_gives_what_there_is() {
        assert_eq!(of("main", ""), ["main", "3f9c1a2b7d01"]);
        assert_eq!(of("", "v1.2.3"), ["1.2.3", "3f9c1a2b7d01", "latest"]);
        assert_eq!(of("main", "1.2.3"), ["1.2.3", "main", "3f9c1a2b7d01", "latest"]);
        assert_eq!(of("", ""), ["3f9c1a2b7d01"]);
    }

    #[test]
    fn latest_moves_with_whole_versions_alone() {
        for no in ["v1.2.3-rc.1", "nightly", "v1.2", "v01.2.3", "v1.2.3-", "v1..3", ""] {
            assert!(!of("main", no).contains(&"latest".to_owned()), "{no}");
        }
        assert_eq!(of("", "v1.2.3+build.7")[0], "1.2.3");
        assert_eq!(of("", "v1.2.3-rc.1")[0], "1.2.3-rc.1");
    }

    #[test]
    fn whatever_a_branch_is_called_its_tag_is_one() {
        let long = "x/".repeat(300);
        let odd = [
            "feature/login",
            "../../etc",
            "--force",
            "-",
            "über-größe",
            "a b\tc",
            "{version}",
            "..",
            "HEAD",
            "refs/heads/x",
            long.as_str(),
            "💥",
            "a:b@sha256:c",
            "$(reboot)",
        ];
        for branch in odd {
            for pattern in ["{branch}", "{branch}-{commit}", "b.{branch}"] {
                let tag = pattern.parse::<TagPattern>().unwrap().tag(&built(branch, ""));
                let plain = plain(branch);
                assert_eq!(tag.is_err(), plain.is_empty(), "{branch} {tag:?}");
                if let Ok(tag) = tag {
                    assert_eq!(tag.as_str().parse::<ImageTag>(), Ok(tag.clone()), "{branch}");
                }
            }
        }
        assert_eq!(of("feature/login", "")[0], "feature-login");
        assert_eq!(of("../../etc", "")[0], "etc");
    }

    #[test]
    fn a_line_says_why_it_gives_no_tag() {
        let said: Vec<_> = planned(&read(USUAL).unwrap(), &built("", ""))
            .into_iter()
            .map(|planned| planned.tag.err().unwrap_or_default())
            .collect();
        assert!(said[0].contains("v1.2.3") && said[1].contains("branch"), "{said:?}");
        assert!(said[2].is_empty() && said[3].contains("pre-release"), "{said:?}");
    }

    #[test]
    fn a_pattern_is_read_as_it_is_written_or_refused() {
        for good in
            ["{version}", "v{version}", "{branch}-{commit}", "latest", "edge", "{commit}.{commit}"]
        {
            assert_eq!(good.parse::<TagPattern>().unwrap().to_string(), good);
        }
        for bad in ["", "{tag}", "{version", "a b", "-x", ".x", "a/b", "a:b", "}", "{}"] {
            assert!(bad.parse::<TagPattern>().is_err(), "{bad}");
        }
        assert!(read("\n \n").is_err());
        assert!(read(&"a\n".repeat(11)).is_err());
    }

    #[test]
    fn a_release_that_was_not_built_here_goes_by_its_name() {
        assert_eq!(of_name("1.0.0+3").unwrap().as_str(), "1.0.0-3");
        assert_eq!(of_name("1.0.0-2").unwrap().as_str(), "1.0.0-2");
    }
}
