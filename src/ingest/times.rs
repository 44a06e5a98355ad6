//! A column of timestamps, as microseconds since 1970-01-01 UTC.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, TimeUnit};

use crate::error::{CellFault, Result};

use super::table::Place;

/// The timestamps of an array that belongs to no table; errors call its column `timestamp`.
///
/// # Errors
///
/// `UnsupportedColumn` for another type, `InvalidCell`.
pub fn micros_of(array: &dyn Array, floor: bool) -> Result<ScalarBuffer<i64>> {
    let data_type = array.data_type();
    let place = Place { column: "timestamp", data_type, first_row: 0, value_size_max: 0 };
    read(array, &place, floor)
}

/// The timestamps of all rows. Those in microseconds are not copied. A zone does not change which
/// instant a timestamp means; one without a zone is taken for UTC.
pub(super) fn read(array: &dyn Array, place: &Place<'_>, floor: bool) -> Result<ScalarBuffer<i64>> {
    if let Some(row) = place.first_null(array) {
        return Err(place.fault(row, CellFault::NullTimestamp));
    }
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(array.as_primitive::<TimestampMicrosecondType>().values().clone())
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            multiplied(array.as_primitive::<TimestampSecondType>(), place, 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            multiplied(array.as_primitive::<TimestampMillisecondType>(), place, 1_000)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            divided(array.as_primitive::<TimestampNanosecondType>().values(), place, floor)
        }
        DataType::Date32 => {
            multiplied(array.as_primitive::<Date32Type>(), place, 24 * 3_600 * 1_000_000)
        }
        DataType::Date64 => multiplied(array.as_primitive::<Date64Type>(), place, 1_000),
        // Tables without rows often have no types either.
        DataType::Null => Ok(ScalarBuffer::from(Vec::new())),
        _ => Err(place.unfit("a column of timestamps has the type timestamp or date: cast it")),
    }
}

/// Coarser stamps: every one of them is so many microseconds long.
fn multiplied<T: ArrowPrimitiveType<Native: Into<i64>>>(
    array: &PrimitiveArray<T>,
    place: &Place<'_>,
    micros: i64,
) -> Result<ScalarBuffer<i64>> {
    let mut stamps = Vec::with_capacity(array.len());
    for (row, stamp) in array.values().iter().enumerate() {
        let stamp: i64 = (*stamp).into();
        let Some(stamp) = stamp.checked_mul(micros) else {
            return Err(place.fault(row, CellFault::TimestampOutOfRange));
        };
        stamps.push(stamp);
    }
    Ok(stamps.into())
}

/// Nanoseconds.
fn divided(stamps: &[i64], place: &Place<'_>, floor: bool) -> Result<ScalarBuffer<i64>> {
    let mut micros = Vec::with_capacity(stamps.len());
    let mut rest = 0;
    for stamp in stamps {
        micros.push(stamp.div_euclid(1_000));
        rest |= stamp.rem_euclid(1_000);
    }
    if rest != 0
        && !floor
        && let Some(row) = stamps.iter().position(|stamp| stamp % 1_000 != 0)
    {
        return Err(place.fault(row, CellFault::FineTimestamp));
    }
    Ok(micros.into())
}
