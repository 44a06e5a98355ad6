//! The batches of a history, one at a time.

use std::fmt;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::error::Result;
use crate::materialize::{Batches, Explain};

use super::history::{History, Selected};

/// The batches of a history, oldest first. A [`RecordBatchReader`].
///
/// No lock is held between batches, and what it reads stays as it is, however slowly it is pulled.
/// After an error there are no more batches. Another stream of the same points comes from
/// [`History::stream`] of [`HistoryStream::history`].
pub struct HistoryStream {
    history: History,
    schema: SchemaRef,
    selected: Arc<Selected>,
    batches: Batches,
    next: usize,
    /// All rows in the order of time, if they had to be moved.
    whole: Option<RecordBatch>,
    failed: bool,
}

impl fmt::Debug for HistoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryStream")
            .field("history", &self.history)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Rows of a batch cut from one that was sorted.
const SORTED_BATCH_ROWS: usize = 1 << 20;

impl HistoryStream {
    /// A stream of these batches, or of one that is cut here.
    pub(super) fn new(
        history: History,
        selected: Arc<Selected>,
        batches: Batches,
        whole: Option<RecordBatch>,
    ) -> HistoryStream {
        let schema = selected.schema();
        HistoryStream { history, schema, selected, batches, next: 0, whole, failed: false }
    }

    /// The history it streams.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Rows of all batches together.
    pub fn len(&self) -> u64 {
        self.selected.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What reading the batches that are left would cost now, as [`History::explain`].
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn explain(&self) -> Result<Explain> {
        let left = self.batches.get(self.next..).unwrap_or_default().to_vec();
        self.history.explain_batches(&self.selected, &left)
    }

    /// The next batch, `None` behind the last one.
    ///
    /// # Errors
    ///
    /// As [`History::read`]. After an error there is no more.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.failed {
            return Ok(None);
        }
        let batch = self.try_next();
        self.failed = batch.is_err();
        batch
    }

    fn try_next(&mut self) -> Result<Option<RecordBatch>> {
        self.history.check()?;
        if let Some(whole) = &self.whole {
            let first = self.next.saturating_mul(SORTED_BATCH_ROWS);
            let len = whole.num_rows().saturating_sub(first).min(SORTED_BATCH_ROWS);
            if len == 0 {
                return Ok(None);
            }
            self.next += 1;
            return Ok(Some(whole.slice(first, len)));
        }
        let Some(rows) = self.batches.get(self.next) else { return Ok(None) };
        let batch = self.selected.batch_of(&self.history, rows)?;
        self.next += 1;
        Ok(Some(batch))
    }
}

impl Iterator for HistoryStream {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().map_err(|error| ArrowError::ExternalError(Box::new(error))).transpose()
    }
}

impl RecordBatchReader for HistoryStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
