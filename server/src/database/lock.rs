//! One server a data directory: a locked file, which also holds this node's id.
//!
//! The lock is the kernel's, so it goes with the process, however that ends. The id stays: a server
//! that is started again is the same node, and goes on at once with what it held.

use anyhow::{Context, bail};
use domain::id::NodeId;
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError, create_dir_all},
    io::{ErrorKind, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// The right to use a data directory. Given back when this is dropped.
#[derive(Debug)]
pub struct Lock {
    /// Who we are, the same after each start.
    pub node: NodeId,
    _file: File,
}

impl Lock {
    /// Takes the directory, making it if it is not there. Fails when another server has it.
    pub fn take(data_dir: &Path) -> anyhow::Result<Self> {
        make_private(data_dir)?;
        let path = data_dir.join("node.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "Another server uses {}. Stop it, or give this one a directory of its own \
                 (--data-dir).",
                data_dir.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
        let node = read_or_make(&mut file)
            .with_context(|| format!("reading the node's id in {}", path.display()))?;
        Ok(Self { node, _file: file })
    }
}

/// Makes a directory that only its owner can look into. Parents that are missing are made as usual.
pub fn make_private(directory: &Path) -> anyhow::Result<()> {
    let making = || format!("making {}", directory.display());
    if let Some(parent) = directory.parent() {
        create_dir_all(parent).with_context(making)?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !directory.is_dir() => {
            Err(error).with_context(making)
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn read_or_make(file: &mut File) -> anyhow::Result<NodeId> {
    let mut text = String::new();
    file.take(100).read_to_string(&mut text)?;
    // Cut off while it was written, or empty: nothing was ever held under it.
    if let Ok(node) = text.trim().parse() {
        return Ok(node);
    }
    let node = NodeId(uuid::Uuid::now_v7());
    file.rewind()?;
    file.set_len(0)?;
    writeln!(file, "{node}")?;
    file.sync_all()?;
    Ok(node)
}
