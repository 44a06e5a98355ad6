//! Many keys' histories as of a commit, one after the other in batches of many keys.

mod batch;
mod cursor;
mod latest;
mod stream;

use std::fmt;
use std::ops::RangeBounds;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::{Field, Schema, SchemaRef};

use crate::error::{Result, SynaError};
use crate::format::chunk::BLOB_RUN_LEN_MAX;
use crate::index::{Glob, KeyId, KeySlot};
use crate::materialize::schema::{ValueType, key_type, timestamp_type};
use crate::materialize::{
    AsType, BATCH_BYTES, BATCH_ROWS, Costs, Explain, KeyReader, Kinds, OnMismatch, Order, each,
};
use crate::mutex::Mutex;
use crate::times::Times;

use super::SynaDB;
use super::core::Pinned;
use batch::index_column;
use cursor::{Cursor, Room};

pub(super) use latest::latest_batch;
pub use stream::ScanStream;

/// The live points of all keys that match a pattern, as of one commit, to be read as Arrow arrays.
///
/// Made by [`SynaDB::scan`] and [`Snapshot::scan`](crate::Snapshot::scan), narrowed by the methods
/// that return `Self`, read by the others, any number of times. All of them agree: they see one
/// commit, whatever is appended, deleted or rewritten meanwhile. While it lives the database stays
/// open, and what a [`Snapshot`](crate::Snapshot) keeps is kept; what it hands out needs neither.
///
/// # Batches
///
/// Rows come key by key, the keys in bytewise order, the points of each in append order (or
/// [`order`](Scan::order)). A batch has up to three columns:
///
/// - `key`, `Dictionary(Int32, Utf8)` without nulls. All batches share one dictionary array: the
///   keys that matched, in their order, also those that have no row in what was asked for.
/// - `timestamp`, `Timestamp(Microsecond, "UTC")` without nulls.
/// - `value`, nullable. Its type is decided once, over the whole live histories of all keys that
///   matched, by the table of [`History`](crate::History); where no key matches it is Float64.
///   [`as_type`](Scan::as_type) asks for another type.
///
/// A scan without rows is a stream without batches that has its schema.
///
/// # Copies, memory
///
/// Many short histories are put together in batches of about
/// [`batch_size`](Scan::batch_size) rows, decoded by several threads where that pays; the columns of such
/// a batch stay in the column cache, and the next scan of the same rows points there. A history
/// that fills batches of its own leaves as [`History`](crate::History) leaves it: mapped where the
/// file has it as Arrow wants it. A stream holds one batch, the names of all keys, and where the
/// rows of the keys of one batch lie: about half a KiB a key, which counts among the bytes of the
/// batch. Of each chunk that holds a live point of these keys the header is read
/// once, unless a type is asked for and its times lie outside of [`range`](Scan::range).
#[derive(Clone)]
pub struct Scan {
    db: SynaDB,
    pinned: Arc<Pinned>,
    keys: Arc<Keys>,
    asked: Asked,
    values: OnceLock<ValueType>,
}

/// The keys that matched, in bytewise order.
struct Keys {
    ids: Vec<KeyId>,
    /// A `StringArray`: the dictionary.
    names: ArrayRef,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    times: Option<Times>,
    as_type: AsType,
    on_mismatch: OnMismatch,
    order: Order,
    batch_rows: u64,
    /// Of each column, in the order of [`ScanColumn::ALL`], whether it is wanted.
    columns: [bool; 3],
    decode_raw: bool,
}

/// A column of a [`Scan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScanColumn {
    /// `key`: whose point it is.
    Key,
    /// `timestamp`.
    Timestamp,
    /// `value`.
    Value,
}

impl ScanColumn {
    /// All columns, in the order in which they leave.
    pub const ALL: [ScanColumn; 3] = [ScanColumn::Key, ScanColumn::Timestamp, ScanColumn::Value];

    /// Its name in the schema.
    pub fn name(self) -> &'static str {
        match self {
            ScanColumn::Key => "key",
            ScanColumn::Timestamp => "timestamp",
            ScanColumn::Value => "value",
        }
    }

    /// The column of this name.
    pub fn from_name(name: &str) -> Option<ScanColumn> {
        ScanColumn::ALL.into_iter().find(|column| column.name() == name)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("keys", &self.keys.ids.len())
            .field("commit_end", &self.pinned.commit_end())
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl Keys {
    fn matching(pinned: &Pinned, pattern: &str) -> Result<Keys> {
        let names = pinned.view().keys(Some(&Glob::new(pattern)?));
        let index = &pinned.generation.index;
        let ids = names.iter().filter_map(|name| index.find(name)).collect();
        Ok(Keys { ids, names: Keys::dictionary(&names)? })
    }

    fn dictionary(names: &[String]) -> Result<ArrayRef> {
        let len = names.iter().map(|name| name.len() as u64).sum();
        if len > BLOB_RUN_LEN_MAX || names.len() as u64 > BLOB_RUN_LEN_MAX {
            let what = "the dictionary of the keys of a scan";
            return Err(SynaError::BatchTooLarge { what, len, max: BLOB_RUN_LEN_MAX });
        }
        Ok(Arc::new(StringArray::from_iter_values(names)))
    }

    fn name(&self, place: usize) -> &str {
        let names = self.names.as_string::<i32>();
        if place < names.len() { names.value(place) } else { "" }
    }
}

impl Scan {
    pub(super) fn new(db: SynaDB, pinned: Arc<Pinned>, pattern: &str) -> Result<Scan> {
        let keys = Arc::new(Keys::matching(&pinned, pattern)?);
        let asked = Asked {
            times: None,
            as_type: AsType::Natural,
            on_mismatch: OnMismatch::Raise,
            order: Order::Append,
            batch_rows: BATCH_ROWS,
            columns: [true; 3],
            decode_raw: false,
        };
        Ok(Scan { db, pinned, keys, asked, values: OnceLock::new() })
    }

    fn ask(mut self, change: impl FnOnce(&mut Asked)) -> Self {
        let as_type = self.asked.as_type;
        change(&mut self.asked);
        if self.asked.as_type != as_type {
            self.values = OnceLock::new();
        }
        self
    }

    fn check(&self) -> Result<()> {
        self.db.open.check()?;
        self.db.open.core.check_fork()?;
        if self.asked.batch_rows == 0 {
            let what = "a batch has at least one row";
            return Err(SynaError::InvalidOption { option: "batch_size", what });
        }
        Ok(())
    }
}

/// Narrowing.
impl Scan {
    /// Only points with timestamps in `[start, end)`, microseconds since 1970-01-01 UTC. Chunks
    /// and blocks whose times lie outside are not read. The last call counts.
    #[must_use]
    pub fn range(self, timestamps: impl RangeBounds<i64>) -> Self {
        self.ask(|asked| asked.times = Some(Times::of(&timestamps)))
    }

    /// Only these columns. They leave in the order key, timestamp, value, each once, whatever
    /// order they are named in; none of them leaves batches that have rows and no columns. A
    /// column that is not asked for is not read. The last call counts. Default: all.
    #[must_use]
    pub fn columns(self, columns: impl IntoIterator<Item = ScanColumn>) -> Self {
        let columns: Vec<ScanColumn> = columns.into_iter().collect();
        self.ask(|asked| asked.columns = ScanColumn::ALL.map(|column| columns.contains(&column)))
    }

    /// Rows of a batch at most. Default 1,048,576. Batches end earlier where their columns would
    /// have more than 64 MiB, and before a key that does not fit into what is left of them, so that
    /// a history stays in one piece where it can: a batch may be short, but it and the next one
    /// together have about as many rows as one may have, or more.
    #[must_use]
    pub fn batch_size(self, rows: usize) -> Self {
        self.ask(|asked| asked.batch_rows = rows as u64)
    }

    /// Values of this type. Default [`AsType::Natural`].
    #[must_use]
    pub fn as_type(self, as_type: AsType) -> Self {
        self.ask(|asked| asked.as_type = as_type)
    }

    /// What happens to points that do not fit the type. Default [`OnMismatch::Raise`].
    #[must_use]
    pub fn on_mismatch(self, on_mismatch: OnMismatch) -> Self {
        self.ask(|asked| asked.on_mismatch = on_mismatch)
    }

    /// In which order the points of a key leave; keys are in bytewise order always. Default
    /// [`Order::Append`]. By time costs nothing for keys whose timestamps do not fall, else a sort
    /// and a copy of what is asked for of the key, which then is in memory as a whole.
    #[must_use]
    pub fn order(self, order: Order) -> Self {
        self.ask(|asked| asked.order = order)
    }

    /// Tests only: decodes raw columns as if they were encoded, instead of mapping them.
    #[doc(hidden)]
    #[must_use]
    pub fn decode_raw(self, decode_raw: bool) -> Self {
        self.ask(|asked| asked.decode_raw = decode_raw)
    }
}

/// Reading.
impl Scan {
    /// Whether this process is a forked child and the scan the parent's.
    pub fn is_forked(&self) -> bool {
        self.db.is_forked()
    }

    /// The keys that matched, in bytewise order, also those without a point in the range.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.keys.names.len()).map(|place| self.keys.name(place))
    }

    /// Number of rows. Free unless a time range or [`OnMismatch::Skip`] is asked for; then the
    /// blocks at the edges, or those of mixed kinds, are read.
    ///
    /// # Errors
    ///
    /// As [`Scan::read`].
    pub fn count(&self) -> Result<u64> {
        self.check()?;
        let values = self.values_if_needed()?;
        let mut cursor = Cursor::new();
        let mut count = 0_u64;
        while let Some(key) = self.next_key(&mut cursor, values)? {
            count = count.saturating_add(key.len());
        }
        Ok(count)
    }

    /// The schema of the batches. Reads the headers of the keys' chunks, once, unless a type is
    /// asked for or the values are not.
    ///
    /// # Errors
    ///
    /// As [`Scan::read`].
    pub fn schema(&self) -> Result<SchemaRef> {
        self.check()?;
        let values = self.values_if_needed()?;
        Ok(self.schema_of(values))
    }

    /// All rows as one batch.
    ///
    /// # Errors
    ///
    /// `Corrupt` if a part of the rows is damaged; `TypeMismatch` for points that do not fit the
    /// type asked for; `ColumnTooLarge` for texts or bytes of more than 2^31 - 1 bytes together;
    /// `InvalidOption` for a `batch_size` of 0; `OutOfMemory`, `Io`, `Closed`, `ForkedHandle`.
    /// Nothing is returned in part.
    pub fn read(&self) -> Result<RecordBatch> {
        self.check()?;
        let values = self.values_if_needed()?;
        let mut keys = self.next_batch(&mut Cursor::new(), values, Room::ENDLESS)?;
        self.batch(&mut keys, values)
    }

    /// All rows in batches. May be called any number of times: every stream begins at the first
    /// row.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let db = synadb::SynaDB::in_memory()?;
    /// db.append_batch("JFK/temp", &[0, 3_600_000_000], &[39.02, 38.84][..])?;
    /// db.append_batch("LGA/temp", &[0, 3_600_000_000], &[39.92, 39.0][..])?;
    /// let mut rows = 0;
    /// for batch in db.scan("*/temp")?.stream()? {
    ///     rows += batch?.num_rows(); // key, timestamp, value
    /// }
    /// assert_eq!(rows, 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Scan::read`]; the stream itself may fail, too.
    pub fn stream(&self) -> Result<ScanStream> {
        self.check()?;
        let values = self.values_if_needed()?;
        Ok(ScanStream::new(self.clone(), self.schema_of(values), values))
    }

    /// What [`stream`](Scan::stream) would cost now: for each column what is mapped, cached,
    /// decoded and copied, and why.
    ///
    /// # Errors
    ///
    /// As [`Scan::read`].
    pub fn explain(&self) -> Result<Explain> {
        self.check()?;
        let values = self.values_if_needed()?;
        let mut costs = ScanColumn::ALL.map(|_| Costs::default());
        let mut explain = Explain { rows: 0, batches: 0, columns: Vec::new() };
        let mut sorts = false;
        let mut cursor = Cursor::new();
        loop {
            let mut keys = self.next_batch(&mut cursor, values, self.room())?;
            if keys.is_empty() {
                break;
            }
            sorts |= keys.iter().any(|key| key.sorts());
            explain.rows += keys.iter().map(cursor::KeyRows::len).sum::<u64>();
            explain.batches += 1;
            self.explain_batch(&mut keys, values, &mut costs)?;
        }
        for ((column, costs), wanted) in
            ScanColumn::ALL.into_iter().zip(costs).zip(self.asked.columns)
        {
            if wanted {
                let sorts = sorts && column != ScanColumn::Key;
                let field = column.field(values);
                explain.columns.push(costs.finish(column.name(), field.data_type().clone(), sorts));
            }
        }
        Ok(explain)
    }
}

impl ScanColumn {
    fn field(self, values: ValueType) -> Field {
        match self {
            ScanColumn::Key => Field::new(self.name(), key_type(), false),
            ScanColumn::Timestamp => Field::new(self.name(), timestamp_type(), false),
            ScanColumn::Value => Field::new(self.name(), values.data_type(), true),
        }
    }
}

/// The schema of batches with some of the columns.
fn schema_of(wanted: [bool; 3], values: ValueType) -> SchemaRef {
    let columns = ScanColumn::ALL.into_iter().zip(wanted).filter(|(_, wanted)| *wanted);
    Arc::new(Schema::new(columns.map(|(column, _)| column.field(values)).collect::<Vec<_>>()))
}

/// Types.
impl Scan {
    fn wants(&self, column: ScanColumn) -> bool {
        ScanColumn::ALL.into_iter().zip(self.asked.columns).any(|(c, wanted)| wanted && c == column)
    }

    fn schema_of(&self, values: ValueType) -> SchemaRef {
        schema_of(self.asked.columns, values)
    }

    /// Rows and bytes that a batch has room for.
    fn room(&self) -> Room {
        Room { rows: self.asked.batch_rows, bytes: BATCH_BYTES }
    }

    /// The type of the values, if anything depends on it.
    fn values_if_needed(&self) -> Result<ValueType> {
        if self.wants(ScanColumn::Value) || self.asked.on_mismatch == OnMismatch::Skip {
            return self.value_type();
        }
        Ok(ValueType::Float)
    }

    fn value_type(&self) -> Result<ValueType> {
        if let Some(values) = self.values.get() {
            return Ok(*values);
        }
        let natural = self.asked.as_type == AsType::Natural;
        let kinds = if natural { self.kinds()? } else { Kinds::NONE };
        let values = ValueType::of(self.asked.as_type, &kinds);
        Ok(*self.values.get_or_init(|| values))
    }

    /// The kinds of all live points of all keys.
    fn kinds(&self) -> Result<Kinds> {
        /// Keys that one thread looks at at a time.
        const KEYS: usize = 64;
        /// About what looking at a key costs beside decoding, in bytes decoded meanwhile.
        const KEY_BYTES: u64 = 16 << 10;
        let all = Mutex::new(Kinds::NONE);
        let ids = &self.keys.ids;
        let places: Vec<usize> = (0..ids.len()).step_by(KEYS).collect();
        each(places, (ids.len() as u64).saturating_mul(KEY_BYTES), |first| {
            for place in first..ids.len().min(first.saturating_add(KEYS)) {
                let Some((id, slot)) = self.slot(place) else { continue };
                let version = slot.version_at(self.pinned.commit_end());
                let live = version.live_from..version.rows;
                let cache = &self.db.open.core.materializer.cache;
                let known = cache.kinds(self.pinned.generation.number, id, &live);
                let kinds = match known {
                    Some(kinds) => kinds,
                    None => {
                        let reader = self.reader(place, id);
                        let parts = self.pinned.parts(&reader, slot, None)?;
                        reader.kinds(&parts, &live)?
                    }
                };
                all.lock().add(&kinds);
            }
            Ok(())
        })?;
        Ok(all.into_inner())
    }

    fn slot(&self, place: usize) -> Option<(KeyId, &KeySlot)> {
        let id = *self.keys.ids.get(place)?;
        Some((id, self.pinned.generation.index.slot(id)?))
    }

    fn reader(&self, place: usize, id: KeyId) -> KeyReader {
        let mut reader = self.pinned.reader(&self.db, id, self.keys.name(place));
        reader.decode_raw = self.asked.decode_raw;
        reader
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_lead_back() {
        for column in ScanColumn::ALL {
            assert_eq!(ScanColumn::from_name(column.name()), Some(column));
        }
        assert_eq!(ScanColumn::from_name("Key"), None);
    }
}
