//! Copies a database file as it lies on the disk, holes and preallocated space included.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write, copy};
use std::path::Path;

use rustix::fs::{FallocateFlags, SeekFrom as Sparse, fallocate, seek};
use rustix::io::Errno;

use crate::run::{Result, remove};

/// Copies `from` to `to` and leaves the copy in the page cache, written back.
///
/// Space that was only preallocated is preallocated in the copy too: written out as zeros it would
/// be something else to a store that asks where the data ends.
pub fn sparse(from: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(to)?;
    let len = source.metadata()?.len();
    let mut at = 0;
    while at < len {
        let start = match seek(&source, Sparse::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(&source, Sparse::Hole(start))?;
        source.seek(SeekFrom::Start(start))?;
        target.seek(SeekFrom::Start(start))?;
        copy(&mut (&mut source).take(end - start), &mut target)?;
        at = end;
    }
    fallocate(&target, FallocateFlags::empty(), 0, len)?;
    target.flush()?;
    target.sync_all()?;
    Ok(())
}
