//! The directory that the server hands out, written aside and put in place whole.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What compression makes smaller. Fonts and images are compressed already.
const COMPRESSIBLE: &[&str] = &["css", "html", "js", "json", "svg", "txt", "wasm", "webmanifest"];

/// A site that is being written.
pub struct Site {
    root: PathBuf,
    /// The lines of `hash.txt`.
    hashes: String,
}

impl Site {
    /// Begins a site in a fresh directory beside its later place.
    pub fn beside(place: &Path) -> Result<Self> {
        let root = place.with_extension("new");
        clear(&root)?;
        fs::create_dir_all(root.join("pkg"))
            .with_context(|| format!("making {}", root.display()))?;
        Ok(Self { root, hashes: String::new() })
    }

    /// An empty directory for files on the way. It is gone when the site takes its place.
    pub fn scratch(&self) -> Result<PathBuf> {
        let scratch = self.root.join("scratch");
        fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
        Ok(scratch)
    }

    /// Copies everything under `directory`, keeping its structure.
    pub fn copy_all(&mut self, directory: &Path) -> Result<()> {
        for file in files_under(directory)? {
            let place = file.strip_prefix(directory).context("a file under the directory")?;
            self.copy(place, &file)?;
        }
        Ok(())
    }

    /// Copies one file to `place`, which is relative to the site.
    pub fn copy(&mut self, place: &Path, file: &Path) -> Result<()> {
        ensure!(
            place.components().all(|part| matches!(part, std::path::Component::Normal(_))),
            "{} is not a place in the site",
            place.display()
        );
        let to = self.root.join(place);
        let directory = to.parent().context("a file lies in a directory")?;
        fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        fs::copy(file, &to)
            .with_context(|| format!("copying {} to {}", file.display(), to.display()))?;
        Ok(())
    }

    /// Writes `pkg/app.HASH.KIND` and remembers the hash.
    pub fn put_hashed(&mut self, kind: &str, content: &[u8]) -> Result<()> {
        let hash: String =
            Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let file = self.root.join("pkg").join(format!("app.{hash}.{kind}"));
        fs::write(&file, content).with_context(|| format!("writing {}", file.display()))?;
        self.hashes.push_str(&format!("{kind}: {hash}\n"));
        Ok(())
    }

    /// Puts a `.br` and a `.gz` beside each file that gets smaller, with Debian's own programs:
    /// as crates they cost more time to compile than they ever save here.
    pub fn compress(&self) -> Result<()> {
        for file in files_under(&self.root)? {
            let kind = file.extension().and_then(OsStr::to_str).unwrap_or_default();
            if !COMPRESSIBLE.contains(&kind) || file.starts_with(self.root.join("scratch")) {
                continue;
            }
            for (program, best) in [("brotli", "--best"), ("gzip", "--best")] {
                let done = Command::new(program)
                    .args([best, "--keep", "--force", "--"])
                    .arg(&file)
                    .status()
                    .with_context(|| format!("starting {program}; is it installed?"))?;
                ensure!(done.success(), "{program} could not compress {}", file.display());
            }
        }
        Ok(())
    }

    /// Replaces what is at `place` by this site.
    pub fn take_place(self, place: &Path) -> Result<()> {
        clear(&self.root.join("scratch"))?;
        // Read by the page shell on every request, so it is there before the site is.
        fs::write(self.root.join("hash.txt"), &self.hashes).context("writing hash.txt")?;
        let old = place.with_extension("old");
        clear(&old)?;
        if place.exists() {
            fs::rename(place, &old).with_context(|| format!("moving {} away", place.display()))?;
        }
        fs::rename(&self.root, place)
            .with_context(|| format!("putting the site at {}", place.display()))?;
        clear(&old)
    }
}

fn clear(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("clearing {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// Every file under `directory`, in a fixed order. Links are not followed out of it.
fn files_under(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("reading {}", next.display()))? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => left.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_takes_its_place_whole_and_leaves_nothing_of_the_old_one() {
        let home = std::env::temp_dir().join(format!("bundle-site-{}", std::process::id()));
        let place = home.join("site");
        fs::create_dir_all(place.join("pkg")).unwrap();
        fs::write(place.join("pkg/app.old.js"), "old").unwrap();

        let mut site = Site::beside(&place).unwrap();
        site.put_hashed("js", b"let a = 1;").unwrap();
        fs::write(site.scratch().unwrap().join("left-over"), "").unwrap();
        site.take_place(&place).unwrap();

        let files: Vec<_> = files_under(&place).unwrap();
        let hashes = fs::read_to_string(place.join("hash.txt")).unwrap();
        let others = fs::read_dir(&home).unwrap().count();
        fs::remove_dir_all(&home).unwrap();
        let hash = hashes.trim().strip_prefix("js: ").unwrap();
        assert_eq!(files, [place.join("hash.txt"), place.join(format!("pkg/app.{hash}.js"))]);
        assert_eq!(others, 1);
    }

    #[test]
    fn a_place_outside_the_site_is_refused() {
        let home = std::env::temp_dir().join(format!("bundle-place-{}", std::process::id()));
        fs::create_dir_all(&home).unwrap();

        let mut site = Site::beside(&home.join("site")).unwrap();
        let refused = ["../x", "/x", "a/../../x"]
            .map(|place| site.copy(Path::new(place), Path::new("/dev/null")).is_err());

        fs::remove_dir_all(&home).unwrap();
        assert_eq!(refused, [true; 3]);
    }
}
