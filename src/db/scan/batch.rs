//! Rows of many keys as one batch.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, new_empty_array,
};
use arrow_buffer::ScalarBuffer;

use crate::error::{Result, SynaError};
use crate::materialize::cache::{Column, PackKey, PackRows};
use crate::materialize::schema::{ValueType, arrow_error};
use crate::materialize::{
    Costs, How, Materializer, OnMismatch, Piece, Source, put_together, time_order,
};

use super::cursor::{KeyRows, Lies};
use super::{Scan, ScanColumn};

/// What the rows of a batch are found by in the cache.
fn pack_rows(keys: &[KeyRows]) -> PackRows {
    keys.iter().flat_map(|key| key.rows.iter().map(|rows| (key.id, rows.clone()))).collect()
}

fn usize_of(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| SynaError::OutOfMemory { bytes: number })
}

/// The column of keys: each row has the place of its key in the dictionary. `runs` are the places
/// with the number of rows that have each.
pub(super) fn index_column(
    shared: &Materializer,
    dictionary: &ArrayRef,
    rows: usize,
    runs: impl Iterator<Item = (usize, usize)>,
) -> Result<ArrayRef> {
    let bytes = rows.checked_mul(4).ok_or(SynaError::OutOfMemory { bytes: u64::MAX })?;
    let mut out = shared.pool.take(bytes)?;
    let mut rest = out.as_mut_slice().as_chunks_mut::<4>().0;
    for (place, len) in runs {
        let (own, behind) = rest.split_at_mut(len.min(rest.len()));
        // There are fewer keys than 2^31.
        own.fill(i32::try_from(place).unwrap_or(i32::MAX).to_le_bytes());
        rest = behind;
    }
    shared.account(How::Copied, bytes as u64);
    let indices = Int32Array::new(ScalarBuffer::new(out.into_buffer(), 0, rows), None);
    let keys = DictionaryArray::<Int32Type>::try_new(indices, ArrayRef::clone(dictionary));
    Ok(Arc::new(keys.map_err(arrow_error)?))
}

impl Scan {
    fn shared(&self) -> &Materializer {
        &self.db.open.core.materializer
    }

    /// The columns asked for of these rows.
    pub(super) fn batch(&self, keys: &mut [KeyRows], values: ValueType) -> Result<RecordBatch> {
        let lens = keys.iter().map(|key| usize_of(key.len())).collect::<Result<Vec<_>>>()?;
        let rows = lens.iter().fold(0, |rows: usize, len| rows.saturating_add(*len));
        let pack = if keys.len() > 1 { pack_rows(keys) } else { PackRows::from([]) };
        let by_time = if keys.iter().any(KeyRows::sorts) {
            let stamps = self.column(keys, &pack, Column::Timestamps)?;
            Some(time_order(&stamps, lens.iter().copied())?)
        } else {
            None
        };
        let mut columns = Vec::with_capacity(3);
        for column in ScanColumn::ALL.into_iter().filter(|column| self.wants(*column)) {
            let column = match column {
                ScanColumn::Key => {
                    let runs = keys.iter().zip(&lens).map(|(key, len)| (key.place(), *len));
                    columns.push(index_column(self.shared(), &self.keys.names, rows, runs)?);
                    continue;
                }
                ScanColumn::Timestamp => Column::Timestamps,
                ScanColumn::Value => Column::Values(values),
            };
            let array = self.column(keys, &pack, column)?;
            columns.push(match (&by_time, keys.first_mut()) {
                (Some(by_time), Some(key)) => {
                    key.lies(self)?.reader.taken(&array, column, by_time, None)?
                }
                _ => array,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema_of(values), columns, &options)
            .map_err(arrow_error)
    }

    /// A column of these rows in append order.
    fn column(&self, keys: &mut [KeyRows], pack: &PackRows, column: Column) -> Result<ArrayRef> {
        let on_mismatch = match column {
            Column::Timestamps => OnMismatch::Raise,
            Column::Values(_) => self.asked.on_mismatch,
        };
        let (generation, rows) = (self.pinned.generation.number, Arc::clone(pack));
        let pack = PackKey { generation, column, rows };
        match keys {
            [] => return Ok(new_empty_array(&column.data_type())),
            [key] => {
                let lies = key.lies(self)?;
                return lies.reader.column(&lies.pieces(&key.rows), column, on_mismatch);
            }
            _ => {}
        }
        let shared = self.shared();
        if let Some(array) = shared.cache.get_pack(&pack) {
            let bytes = array.get_array_memory_size() as u64;
            shared.account(How::Cached, bytes);
            return Ok(array);
        }
        let made =
            self.with_sources(keys, |sources| put_together(shared, sources, column, on_mismatch))?;
        if made.is_exact {
            shared.cache.insert_pack(pack, ArrayRef::clone(&made.array));
        }
        Ok(made.array)
    }

    /// Calls `read` with where the rows lie.
    fn with_sources<T>(
        &self,
        keys: &mut [KeyRows],
        read: impl FnOnce(&[Source<'_>]) -> Result<T>,
    ) -> Result<T> {
        let mut lie: Vec<Arc<Lies>> = Vec::with_capacity(keys.len());
        for key in keys.iter_mut() {
            lie.push(key.lies(self)?);
        }
        let of_keys = lie.iter().zip(keys.iter());
        let pieces: Vec<Vec<Piece<'_>>> =
            of_keys.map(|(lies, key)| lies.pieces(&key.rows)).collect();
        let sources: Vec<Source<'_>> =
            lie.iter().zip(&pieces).map(|(lies, pieces)| lies.source(pieces)).collect();
        read(&sources)
    }

    /// Adds what a batch costs to the costs of its columns.
    pub(super) fn explain_batch(
        &self,
        keys: &mut [KeyRows],
        values: ValueType,
        costs: &mut [Costs; 3],
    ) -> Result<()> {
        let generation = self.pinned.generation.number;
        let rows = pack_rows(keys);
        let [of_keys, of_timestamps, of_values] = costs;
        of_keys.add_indices(keys.iter().map(KeyRows::len).sum());
        self.with_sources(keys, |sources| {
            for (costs, column) in
                [(of_timestamps, Column::Timestamps), (of_values, Column::Values(values))]
            {
                match sources {
                    [source] => costs.add_batch(source.reader, source.pieces, column),
                    _ => {
                        let pack = PackKey { generation, column, rows: Arc::clone(&rows) };
                        costs.add_pack(self.shared(), sources, &pack);
                    }
                }
            }
            Ok(())
        })
    }
}
