//! One style sheet out of many: every `@import` is replaced by the file it names.
//!
//! Two forms are understood, each on a line of its own: `@import "file.css";` and
//! `@import "file.css" layer(name);`. Any other is an error, because it would be a request
//! that the browser makes late or, under our content policy, not at all.

use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Reads `entry` and everything it imports.
pub fn inline(entry: &Path) -> Result<String> {
    let mut open = Vec::new();
    let mut out = String::new();
    inline_into(&mut out, entry, &mut open)?;
    Ok(out)
}

/// `open` are the files that are being read, outermost first, by which a circle is noticed.
fn inline_into(out: &mut String, file: &Path, open: &mut Vec<PathBuf>) -> Result<()> {
    let file =
        file.canonicalize().with_context(|| format!("the style sheet {}", file.display()))?;
    ensure!(!open.contains(&file), "{} imports itself", file.display());
    let directory = file.parent().context("a file lies in a directory")?;
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;

    open.push(file.clone());
    for (index, line) in text.lines().enumerate() {
        if !line.trim_start().starts_with("@import") {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let Some((name, layer)) = import(line) else {
            bail!(
                "{}, line {}: not an import that can be inlined: {line}",
                file.display(),
                index + 1
            );
        };
        if let Some(layer) = layer {
            out.push_str(&format!("@layer {layer} {{\n"));
        }
        inline_into(out, &directory.join(name), open)?;
        if layer.is_some() {
            out.push_str("}\n");
        }
    }
    open.pop();
    Ok(())
}

/// The file and, if there is one, the layer of an import.
fn import(line: &str) -> Option<(&str, Option<&str>)> {
    let rest = line.trim().strip_prefix("@import")?.trim().strip_suffix(';')?;
    let (name, rest) = rest.strip_prefix('"')?.split_once('"')?;
    match rest.trim() {
        "" => Some((name, None)),
        layer => Some((name, Some(layer.strip_prefix("layer(")?.strip_suffix(')')?.trim()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_understood_is_an_import() {
        assert_eq!(import(r#"@import "a.css";"#), Some(("a.css", None)));
        assert_eq!(import(r#"@import "b/a.css" layer(parts);"#), Some(("b/a.css", Some("parts"))));
        assert_eq!(import(r#"@import url(a.css);"#), None);
        assert_eq!(import(r#"@import "a.css" screen;"#), None);
        assert_eq!(import(r#"@import "a.css" layer(parts)"#), None);
    }

    #[test]
    fn imports_are_inlined_in_their_layers_and_circles_are_refused() {
        let directory = std::env::temp_dir().join(format!("bundle-css-{}", std::process::id()));
        fs::create_dir_all(directory.join("parts")).unwrap();
        let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
        write(
            "main.css",
            "@layer base, parts;\n@import \"base.css\" layer(base);\n@import \"parts/all.css\";\n",
        );
        write("base.css", "body { margin: 0 }\n");
        write("parts/all.css", "@import \"button.css\" layer(parts);\n");
        write("parts/button.css", "button { border: 0 }\n");
        write("circle.css", "@import \"circle.css\";\n");

        let whole = inline(&directory.join("main.css")).unwrap();
        let circle = inline(&directory.join("circle.css"));
        fs::remove_dir_all(&directory).unwrap();

        let expected = "@layer base, parts;\n@layer base {\nbody { margin: 0 }\n}\n@layer parts {\nbutton { border: 0 }\n}\n";
        assert_eq!(whole, expected);
        assert!(circle.unwrap_err().to_string().contains("imports itself"));
    }
}
