//! Rows by time instead of as they were appended, and any rows of an array.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_buffer::{BooleanBuffer, NullBuffer};

use arrow_schema::DataType;

use crate::error::{Result, SynaError};
use crate::format::chunk::BLOB_RUN_LEN_MAX;

use super::cache::Column;
use super::columns::KeyReader;
use super::schema::arrow_error;

/// The rows of an array by timestamp, rows with equal ones in their order. The
/// array holds stretches of `lens` rows, one after the other, and each keeps its place.
pub(crate) fn time_order(
    timestamps: &ArrayRef,
    lens: impl IntoIterator<Item = usize>,
) -> Result<Vec<u64>> {
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
    Ok(by_time.into_iter().map(|(_, row)| row).collect())
}

/// The bytes of texts and byte strings in these rows of an array.
fn blob_bytes(array: &ArrayRef, rows: &[u64]) -> u64 {
    let of_offsets = |offsets: &[i32]| {
        let len = |row: &u64| {
            let row = usize::try_from(*row).ok()?;
            let (start, end) = (offsets.get(row)?, offsets.get(row.checked_add(1)?)?);
            u64::try_from(end.checked_sub(*start)?).ok()
        };
        rows.iter().filter_map(len).fold(0, u64::saturating_add)
    };
    match array.data_type() {
        DataType::Utf8 => of_offsets(array.as_string::<i32>().value_offsets()),
        DataType::Binary => of_offsets(array.as_binary::<i32>().value_offsets()),
        DataType::Struct(_) => {
            let fields = array.as_struct().columns().iter();
            fields.map(|field| blob_bytes(field, rows)).max().unwrap_or(0)
        }
        _ => 0,
    }
}

impl KeyReader {
    /// These rows of an array, in this order, any number of times each. A row that the array does
    /// not have is a null; in columns of numbers nulls become `fill`, if there is one.
    pub(crate) fn taken(
        &self,
        array: &ArrayRef,
        column: Column,
        rows: &[u64],
        fill: Option<u64>,
    ) -> Result<ArrayRef> {
        if let Some(array) = self.gathered(array, column, rows, fill)? {
            return Ok(array);
        }
        let (key, bytes) = (self.key.to_string(), blob_bytes(array, rows));
        if bytes > BLOB_RUN_LEN_MAX {
            return Err(SynaError::ColumnTooLarge { key, bytes, max: BLOB_RUN_LEN_MAX });
        }
        let is_there = |at| rows.get(at).is_some_and(|row| *row < array.len() as u64);
        let there = NullBuffer::new(BooleanBuffer::collect_bool(rows.len(), is_there));
        let rows = UInt64Array::new(rows.to_vec().into(), Some(there));
        arrow_select::take::take(array, &rows, None).map_err(arrow_error)
    }
}
