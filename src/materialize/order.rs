//! Rows by time instead of as they were appended.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, UInt64Array};

use crate::error::{Result, SynaError};

use super::cache::Column;
use super::columns::KeyReader;
use super::schema::arrow_error;

/// Where each row of an array goes from, by timestamp, rows with equal ones in their order. The
/// array holds stretches of `lens` rows, one after the other, and each keeps its place.
pub(crate) fn time_order(
    timestamps: &ArrayRef,
    lens: impl IntoIterator<Item = usize>,
) -> Result<Vec<(i64, u64)>> {
    let stamps = timestamps.as_primitive::<TimestampMicrosecondType>().values();
    let bytes = stamps.len() as u64 * 16;
    let mut by_time: Vec<(i64, u64)> = Vec::new();
    by_time.try_reserve_exact(stamps.len()).map_err(|_| SynaError::OutOfMemory { bytes })?;
    by_time.extend(stamps.iter().copied().zip(0..));
    let mut rest = by_time.as_mut_slice();
    for len in lens {
        let Some((stretch, behind)) = rest.split_at_mut_checked(len) else { break };
        // The row is part of what is compared, so an unstable sort keeps equal stamps in order.
        stretch.sort_unstable();
        rest = behind;
    }
    Ok(by_time)
}

impl KeyReader {
    /// The rows of an array in another order.
    pub(crate) fn reordered(
        &self,
        array: &ArrayRef,
        column: Column,
        by_time: &[(i64, u64)],
    ) -> Result<ArrayRef> {
        if let Some(array) = self.gathered(array, column, by_time)? {
            return Ok(array);
        }
        let rows: UInt64Array = by_time.iter().map(|(_, row)| *row).collect();
        arrow_select::take::take(array, &rows, None).map_err(arrow_error)
    }
}
