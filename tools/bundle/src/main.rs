//! `bundle` makes the site that the server hands out, from what cargo compiled for the browser.
//!
//! ```text
//! app.wasm   -> pkg/app.HASH.js, pkg/app.HASH.wasm     glue by wasm-bindgen
//! main.css   -> pkg/app.HASH.css                       with its @imports in it
//! public/ .. -> as they are
//! hash.txt      which HASH is the present one; the server's page shell reads it
//! ```
//!
//! Names carry a hash of the content, so a browser may keep a file for ever. With
//! `--release` every file that shrinks also lies beside itself as `.br` and `.gz`. The site is
//! made aside and takes its place whole. Compiling is cargo's matter, not this tool's.

mod css;
mod glue;
mod site;

use anyhow::{Context, Result};
use clap::Parser;
use site::Site;
use std::path::PathBuf;

/// Makes the site from the compiled app, the style sheet and files.
#[derive(Parser)]
struct Arguments {
    /// The app as cargo compiled it for wasm32-unknown-unknown.
    #[arg(long)]
    wasm: PathBuf,
    /// The style sheet that imports all others.
    #[arg(long)]
    style: PathBuf,
    /// A directory whose files are served as they are. Can be given more than once.
    #[arg(long)]
    public: Vec<PathBuf>,
    /// A file to serve at a place of the site, as PLACE=FILE. Can be given more than once.
    #[arg(long, value_parser = place_and_file)]
    file: Vec<(PathBuf, PathBuf)>,
    /// Where the site goes. What is there is replaced.
    #[arg(long)]
    site: PathBuf,
    /// Leaves out what only a debugger reads, and compresses.
    #[arg(long)]
    release: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut site = Site::beside(&arguments.site)?;

    for directory in &arguments.public {
        site.copy_all(directory)?;
    }
    for (place, file) in &arguments.file {
        site.copy(place, file)?;
    }
    let glue = glue::make(&arguments.wasm, arguments.release, &site.scratch()?)?;
    site.put_hashed("js", &glue.js)?;
    site.put_hashed("wasm", &glue.wasm)?;
    let style = css::inline(&arguments.style)?;
    site.put_hashed("css", style.as_bytes())?;
    if arguments.release {
        site.compress()?;
    }
    site.take_place(&arguments.site)
}

fn place_and_file(argument: &str) -> Result<(PathBuf, PathBuf)> {
    let (place, file) = argument.split_once('=').context("is not PLACE=FILE")?;
    Ok((place.into(), file.into()))
}
