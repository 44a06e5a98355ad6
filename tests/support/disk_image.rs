//! What a disk holds while no process runs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::content::Content;
use super::crash_states::Origin;
use super::simulated::SimulatedStorage;

/// Files by name.
#[derive(Debug, Clone, Default)]
pub struct DiskImage {
    files: BTreeMap<PathBuf, Content>,
    origin: Option<Box<Origin>>,
}

impl DiskImage {
    pub fn new() -> Self {
        DiskImage::default()
    }

    /// Adds or replaces a file. `path` must be absolute.
    #[must_use]
    pub fn with_file(self, path: impl Into<PathBuf>, bytes: &[u8]) -> Self {
        self.with_content(path, Content::new(bytes))
    }

    #[must_use]
    pub fn with_content(mut self, path: impl Into<PathBuf>, content: Content) -> Self {
        self.files.insert(path.into(), content);
        self
    }

    /// Remembers how the image came about, for the message of a failing test.
    pub(super) fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = Some(Box::new(origin));
        self
    }

    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    pub fn files(&self) -> impl Iterator<Item = (&Path, &Content)> {
        self.files.iter().map(|(path, content)| (path.as_path(), content))
    }

    pub fn content(&self, path: impl AsRef<Path>) -> Option<&Content> {
        self.files.get(path.as_ref())
    }

    pub fn bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.content(path).map(Content::bytes)
    }

    /// Whether both hold the same names and bytes.
    pub fn same_files(&self, other: &DiskImage) -> bool {
        self.files.len() == other.files.len()
            && self.files.iter().zip(&other.files).all(|(one, other)| {
                one.0 == other.0 && one.1.len() == other.1.len() && one.1.bytes() == other.1.bytes()
            })
    }

    /// A storage that finds these files, all durable, with an empty trace.
    pub fn into_storage(self) -> SimulatedStorage {
        SimulatedStorage::with_image(&self)
    }
}

impl fmt::Display for DiskImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            writeln!(f, "{origin}")?;
        }
        for (path, content) in &self.files {
            writeln!(f, "  {}: {} bytes", path.display(), content.len())?;
        }
        Ok(())
    }
}
