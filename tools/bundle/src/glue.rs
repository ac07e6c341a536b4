//! The JavaScript between the browser and the app, made by wasm-bindgen.
//!
//! The library is used in place of its command because no package carries that command, and
//! its version must equal the one the app is linked with. `wasm-opt` is left out on purpose:
//! Debian's makes a page that does not start, and what newer ones save, compression loses.

use anyhow::{Context, Result};
use std::{fs, path::Path};
use wasm_bindgen_cli_support::Bindgen;

/// The two files a page loads.
pub struct Glue {
    pub js: Vec<u8>,
    pub wasm: Vec<u8>,
}

/// Makes both from what cargo compiled, using `scratch` for files on the way.
pub fn make(wasm: &Path, release: bool, scratch: &Path) -> Result<Glue> {
    Bindgen::new()
        .input_path(wasm)
        .web(true)?
        .typescript(false)
        // The page names the wasm file itself, by its hash.
        .omit_default_module_path(true)
        .remove_name_section(release)
        .remove_producers_section(release)
        .out_name("app")
        .generate(scratch)
        .with_context(|| format!("making the glue for {}", wasm.display()))?;
    let read = |name: &str| fs::read(scratch.join(name)).with_context(|| format!("reading {name}"));
    Ok(Glue { js: read("app.js")?, wasm: read("app_bg.wasm")? })
}
