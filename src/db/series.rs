//! A handle on one key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::atom::{Atom, Point};
use crate::error::Result;
use crate::index::KeyId;
use crate::mutex::Mutex;

use super::SynaDB;
use super::core::Generation;
use super::read::{newest_atom, newest_point};

/// One key of a database, looked up once.
///
/// Clones are independent, so that threads with a clone each share nothing. The key need not exist
/// yet.
#[derive(Debug)]
pub struct Series {
    db: SynaDB,
    key: Box<str>,
    /// Where the key was found; looked up again after a rewrite, or while it was nowhere.
    found: Option<Found>,
    refound: Mutex<Option<Found>>,
}

#[derive(Debug, Clone)]
struct Found {
    generation: Arc<Generation>,
    id: KeyId,
}

impl Found {
    fn is_current(&self) -> bool {
        !self.generation.superseded.load(Ordering::Acquire)
    }
}

impl Clone for Series {
    fn clone(&self) -> Self {
        Series::new(self.db.clone(), &self.key)
    }
}

impl Series {
    pub(super) fn new(db: SynaDB, key: &str) -> Series {
        let found = Self::look_up(&db, key);
        Series { db, key: key.into(), found, refound: Mutex::new(None) }
    }

    fn look_up(db: &SynaDB, key: &str) -> Option<Found> {
        let generation = db.open.core.generation.load_full();
        let id = generation.index.find(key)?;
        Some(Found { generation, id })
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The latest value, as [`SynaDB::get`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get`].
    #[inline]
    pub fn get(&self) -> Result<Option<Atom>> {
        self.db.reading()?;
        if let Some(Found { generation, id }) = self.found.as_ref().filter(|f| f.is_current()) {
            return match generation.index.slot(*id) {
                Some(slot) => newest_atom(generation, slot),
                None => Ok(None),
            };
        }
        Ok(self.get_point()?.map(|point| point.value))
    }

    /// The latest value with its timestamp.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get`].
    pub fn get_point(&self) -> Result<Option<Point>> {
        self.db.reading()?;
        let found = match self.found.as_ref().filter(|found| found.is_current()) {
            Some(found) => Some(found.clone()),
            None => {
                let mut refound = self.refound.lock();
                if !refound.as_ref().is_some_and(Found::is_current) {
                    *refound = Self::look_up(&self.db, &self.key);
                }
                refound.clone()
            }
        };
        match found.as_ref().and_then(|f| Some((f, f.generation.index.slot(f.id)?))) {
            Some((found, slot)) => newest_point(&found.generation, slot),
            None => Ok(None),
        }
    }

    /// Appends a value with the present time, as [`SynaDB::append`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::append`].
    pub fn append(&self, value: impl Into<Atom>) -> Result<u64> {
        self.db.append(&self.key, value)
    }

    /// Appends a value with the caller's timestamp, as [`SynaDB::append_at`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::append`].
    pub fn append_at(&self, timestamp: i64, value: impl Into<Atom>) -> Result<u64> {
        self.db.append_at(&self.key, timestamp, value)
    }
}
