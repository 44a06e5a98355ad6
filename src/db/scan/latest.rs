//! The latest points of many keys as one batch.

use std::sync::Arc;

use arrow_array::RecordBatch;

use crate::column::Points;
use crate::error::Result;
use crate::index::{Glob, HeldPoints, Part, Place};
use crate::materialize::cache::Column;
use crate::materialize::schema::{ValueType, arrow_error};
use crate::materialize::{AsType, Kinds, OnMismatch, Piece, Source, put_together};

use super::super::SynaDB;
use super::super::core::Pinned;
use super::{Keys, index_column, schema_of};

/// `key`, `timestamp`, `value` of the latest point of every live key that matches.
pub(in crate::db) fn latest_batch(
    db: &SynaDB,
    pinned: &Pinned,
    pattern: &str,
) -> Result<RecordBatch> {
    let latest = pinned.view().latest(&Glob::new(pattern)?)?;
    let mut points = Points::new();
    let mut names = Vec::with_capacity(latest.len());
    for (key, point) in latest {
        points.push(point.timestamp, &point.value);
        names.push(key);
    }
    let rows = names.len();
    let kinds = Kinds::NONE.with(&points.zone_map(0..rows));
    let values = ValueType::of(AsType::Natural, &kinds);
    // They are read as the tail of a key is; nothing of it is kept, for they are no key's rows.
    let reader = pinned.reader(db, 0, pattern);
    let place = Place::Points(HeldPoints::Tail(Arc::new(points)));
    let part = Part { rows: 0..rows as u64, first_row: 0, place };
    let pieces = [Piece { part: &part, rows: 0..rows as u64 }];
    let sources = [Source { reader: &reader, pieces: &pieces }];
    let column = |column| {
        let made = put_together(&reader.shared, &sources, column, OnMismatch::Raise)?;
        Ok(made.array)
    };
    let keys = index_column(
        &reader.shared,
        &Keys::dictionary(&names)?,
        rows,
        (0..rows).map(|key| (key, 1)),
    )?;
    let columns = vec![keys, column(Column::Timestamps)?, column(Column::Values(values))?];
    RecordBatch::try_new(schema_of([true; 3], values), columns).map_err(arrow_error)
}
