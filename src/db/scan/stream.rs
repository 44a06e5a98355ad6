//! The batches of a scan, one at a time.

use std::fmt;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::error::Result;
use crate::materialize::schema::ValueType;

use super::Scan;
use super::cursor::Cursor;

/// The batches of a scan. A [`RecordBatchReader`].
///
/// No lock is held between batches, and what it reads stays as it is, however slowly it is pulled.
/// After an error there are no more batches. Another stream of the same rows comes from
/// [`Scan::stream`] of [`ScanStream::scan`].
pub struct ScanStream {
    scan: Scan,
    schema: SchemaRef,
    values: ValueType,
    cursor: Cursor,
    /// A key that had to be sorted as a whole and has more rows than a batch, and how many of them
    /// have left.
    whole: Option<(RecordBatch, usize)>,
    failed: bool,
}

impl fmt::Debug for ScanStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanStream").field("scan", &self.scan).finish_non_exhaustive()
    }
}

impl ScanStream {
    pub(super) fn new(scan: Scan, schema: SchemaRef, values: ValueType) -> ScanStream {
        ScanStream { scan, schema, values, cursor: Cursor::new(), whole: None, failed: false }
    }

    /// The scan it streams.
    pub fn scan(&self) -> &Scan {
        &self.scan
    }

    /// The next batch, `None` behind the last one.
    ///
    /// # Errors
    ///
    /// As [`Scan::read`]. After an error there is no more.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.failed {
            return Ok(None);
        }
        let batch = self.try_next();
        self.failed = batch.is_err();
        batch
    }

    fn try_next(&mut self) -> Result<Option<RecordBatch>> {
        self.scan.check()?;
        let batch_rows = usize::try_from(self.scan.asked.batch_rows).unwrap_or(usize::MAX);
        if let Some((whole, done)) = &mut self.whole {
            let len = whole.num_rows().saturating_sub(*done).min(batch_rows);
            let batch = whole.slice(*done, len);
            *done += len;
            if *done == whole.num_rows() {
                self.whole = None;
            }
            return Ok(Some(batch));
        }
        let room = self.scan.room();
        let mut keys = self.scan.next_batch(&mut self.cursor, self.values, room)?;
        if keys.is_empty() {
            return Ok(None);
        }
        let batch = self.scan.batch(&mut keys, self.values)?;
        if batch.num_rows() <= batch_rows {
            return Ok(Some(batch));
        }
        let first = batch.slice(0, batch_rows);
        self.whole = Some((batch, batch_rows));
        Ok(Some(first))
    }
}

impl Iterator for ScanStream {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().map_err(|error| ArrowError::ExternalError(Box::new(error))).transpose()
    }
}

impl RecordBatchReader for ScanStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
