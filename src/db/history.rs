//! One key's history as of a commit: what is asked of it, and the batches it leaves in.

use std::fmt;
use std::ops::{Range, RangeBounds};
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::ScalarBuffer;
use arrow_schema::SchemaRef;

use crate::atom::AtomKind;
use crate::error::{Result, SynaError};
use crate::index::{HistoryView, KeyId, KeySlot, Part};
use crate::materialize::cache::Column;
use crate::materialize::pool::PoolBuf;
use crate::materialize::schema::{ValueType, arrow_error};
use crate::materialize::{
    AsType, Batches, Explain, How, KeyReader, Kinds, OnMismatch, Order, Piece, Tensor, explain,
    pieces, plan_batches, push_rows, time_order,
};
use crate::query::{self, Aggregate, Downsample, Every, HistoryStats};
use crate::times::Times;

use super::SynaDB;
use super::core::Pinned;
use super::follow::Cursor;
use super::snapshot::Snapshot;
use super::stream::HistoryStream;

/// The live points of one key as of one commit, to be read as Arrow arrays.
///
/// Made by [`SynaDB::history`] and [`Snapshot::history`](crate::Snapshot::history), narrowed by
/// the methods that return `Self`, read by the others, any number of times. All of them agree: they
/// see one commit, whatever is appended, deleted or rewritten meanwhile. While it lives the
/// database stays open, and what a [`Snapshot`](crate::Snapshot) keeps is kept; what it hands out
/// needs neither.
///
/// # Batches
///
/// A batch has two columns: `timestamp`, `Timestamp(Microsecond, "UTC")` without nulls, and
/// `value`, nullable. The type of `value` is decided over the key's whole live history, so that
/// slices of it have one schema:
///
/// | kinds | type |
/// |---|---|
/// | floats; nothing but nulls | Float64 |
/// | ints | Int64 |
/// | texts | Utf8 |
/// | bytes | Binary |
/// | ints and floats, every integer within 2^53 | Float64 |
/// | any other mix | Struct `{kind, float, int, text, bytes}` |
///
/// A null point is a null slot. [`as_type`](History::as_type) asks for another type.
///
/// # Copies
///
/// Where the columns of a chunk lie in the file as Arrow wants them, arrays point into the map of
/// the file; what had to be decoded or put together is kept in a cache, and the next read of the
/// same rows points there. [`explain`](History::explain) tells which it is. Arrays stay valid after
/// the history, the database and the file are gone. Checksums are compared at the first read of a
/// block and never left out: damage is `Corrupt`, never an array.
#[derive(Clone)]
pub struct History {
    db: SynaDB,
    reader: KeyReader,
    /// Keeps the commit; also what the rows are found by.
    pinned: Arc<Pinned>,
    /// The live rows.
    live: Range<u64>,
    asked: Asked,
    selected: OnceLock<Arc<Selected>>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    times: Option<Times>,
    /// Places in the history, from 0 at the oldest live point.
    rows: Range<u64>,
    last: u64,
    /// What is cut from what is left by these, one after the other.
    cuts: Vec<Cut>,
    as_type: AsType,
    on_mismatch: OnMismatch,
    order: Order,
    empty_buckets: bool,
}

/// A part of the points that are left.
#[derive(Debug, Clone, PartialEq)]
enum Cut {
    /// Of those at these places, from 0 at the first one left.
    Places(Range<u64>),
    /// Of those with timestamps in this range.
    Times(Times),
}

impl Asked {
    /// Whether all rows are, whatever the form.
    fn is_all(&self) -> bool {
        self.times.is_none()
            && self.rows == (0..u64::MAX)
            && self.last == u64::MAX
            && self.cuts.is_empty()
    }

    /// Whether rows are chosen by their places alone.
    fn is_by_place(&self) -> bool {
        self.times.is_none() && self.cuts.iter().all(|cut| matches!(cut, Cut::Places(_)))
    }
}

/// The rows that were asked for.
pub(super) struct Selected {
    parts: Vec<Part>,
    values: ValueType,
    pub(super) rows: Vec<Range<u64>>,
}

/// How keys are read as of a commit.
impl Pinned {
    /// Reads the columns of a key.
    pub(super) fn reader(&self, db: &SynaDB, id: KeyId, key: &str) -> KeyReader {
        KeyReader {
            shared: Arc::clone(&db.open.core.materializer),
            log: Arc::clone(&self.generation.log),
            generation: self.generation.number,
            id,
            key: Arc::from(key),
            decode_raw: false,
            recent: None,
        }
    }

    /// Where the live rows of a key lie; of those whose times are known to lie outside of `times`
    /// nothing is read.
    pub(super) fn parts(
        &self,
        reader: &KeyReader,
        slot: &KeySlot,
        times: Option<Times>,
    ) -> Result<Vec<Part>> {
        let mut view = slot.view(self.commit_end(), |version| version.live_from..version.rows);
        if let Some(times) = times {
            view.cut_times(times);
        }
        view.into_parts(&reader.log, &reader.key)
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History")
            .field("key", &self.reader.key)
            .field("commit_end", &self.pinned.commit_end())
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl History {
    pub(super) fn new(db: SynaDB, pinned: Arc<Pinned>, key: &str) -> Result<History> {
        let absent = || SynaError::KeyNotFound { key: key.to_owned() };
        let generation = &pinned.generation;
        let id = generation.index.find(key).ok_or_else(absent)?;
        let slot = generation.index.slot(id).ok_or_else(absent)?;
        let version = slot.version_at(pinned.commit_end());
        if version.len() == 0 {
            return Err(absent());
        }
        let reader = pinned.reader(&db, id, key);
        let asked = Asked {
            times: None,
            rows: 0..u64::MAX,
            last: u64::MAX,
            cuts: Vec::new(),
            as_type: AsType::Natural,
            on_mismatch: OnMismatch::Raise,
            order: Order::Append,
            empty_buckets: false,
        };
        let live = version.live_from..version.rows;
        Ok(History { db, reader, pinned, live, asked, selected: OnceLock::new() })
    }

    fn ask(mut self, change: impl FnOnce(&mut Asked)) -> Self {
        change(&mut self.asked);
        self.selected = OnceLock::new();
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        self.db.open.check()?;
        self.db.open.core.check_fork()
    }
}

/// Narrowing.
impl History {
    /// Only points with timestamps in `[start, end)`, microseconds since 1970-01-01 UTC; `start..` has
    /// the last of all timestamps, too. Chunks and blocks whose times lie outside are not read. The last call counts.
    #[must_use]
    pub fn range(self, timestamps: impl RangeBounds<i64>) -> Self {
        self.ask(|asked| asked.times = Some(Times::of(&timestamps)))
    }

    /// Only points at these places of the live history, counted in append order from 0 at the
    /// oldest; of those, [`range`](History::range) takes the ones of its time.
    #[must_use]
    pub fn rows(self, rows: Range<u64>) -> Self {
        self.ask(|asked| asked.rows = rows)
    }

    /// Of all that is left by the others, only the last `count` points in append order.
    #[must_use]
    pub fn last(self, count: u64) -> Self {
        self.ask(|asked| asked.last = count)
    }

    /// Of all that is left by what was asked before, also by other cuts, only the points at these
    /// places in append order, counted from 0 at the first one left.
    #[must_use]
    pub fn cut_places(self, places: Range<u64>) -> Self {
        self.ask(|asked| asked.cuts.push(Cut::Places(places)))
    }

    /// Of all that is left by what was asked before, also by other cuts, only the points with
    /// timestamps in `[start, end)`.
    #[must_use]
    pub fn cut_times(self, timestamps: impl RangeBounds<i64>) -> Self {
        self.ask(|asked| asked.cuts.push(Cut::Times(Times::of(&timestamps))))
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

    /// In which order points leave. Default [`Order::Append`]. By time costs nothing where
    /// timestamps do not fall, else a sort and a copy of all that is asked for.
    #[must_use]
    pub fn order(self, order: Order) -> Self {
        self.ask(|asked| asked.order = order)
    }

    /// Whether [`resample`](History::resample) gives buckets without points, too. Default no.
    #[must_use]
    pub fn empty_buckets(self, empty: bool) -> Self {
        self.ask(|asked| asked.empty_buckets = empty)
    }

    /// Tests only: decodes raw columns as if they were encoded, instead of mapping them.
    #[doc(hidden)]
    #[must_use]
    pub fn decode_raw(mut self, decode_raw: bool) -> Self {
        self.reader.decode_raw = decode_raw;
        self
    }
}

/// Reading.
impl History {
    /// The key.
    pub fn key(&self) -> &str {
        &self.reader.key
    }

    /// Number of points. Free unless a time range or [`OnMismatch::Skip`] is asked for; then the
    /// blocks at the edges, or those of mixed kinds, are read.
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn len(&self) -> Result<u64> {
        self.check()?;
        if self.asked.is_by_place() && self.asked.on_mismatch != OnMismatch::Skip {
            let rows = self.plain_rows();
            return Ok(rows.end - rows.start);
        }
        Ok(self.selected()?.len())
    }

    /// Whether there are no points.
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The schema of the batches. Reads the headers of the key's chunks, once.
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn schema(&self) -> Result<SchemaRef> {
        self.check()?;
        if let Some(kinds) = self.known_kinds() {
            return Ok(ValueType::of(self.asked.as_type, &kinds).schema());
        }
        Ok(self.selected()?.values.schema())
    }

    /// All points as one batch.
    ///
    /// Cost: what [`explain`](History::explain) says; nothing but a few pointers where the rows lie
    /// in one raw chunk or were read before.
    ///
    /// # Errors
    ///
    /// `Corrupt` if a part of the rows is damaged; `TypeMismatch` for points that do not fit the
    /// type asked for; `ColumnTooLarge` for texts or bytes of more than 2^31 - 1 bytes together;
    /// `OutOfMemory`, `Io`, `Closed`, `ForkedHandle`. Nothing is returned in part.
    pub fn read(&self) -> Result<RecordBatch> {
        self.check()?;
        if let Some(batch) = self.read_cached() {
            return batch;
        }
        let selected = self.selected()?;
        selected.batch(&self.reader, &selected.rows, self.asked.on_mismatch, self.asked.order)
    }

    /// All points in batches of about a million rows or 64 MiB; one batch where all lie in one
    /// piece already. May be called any number of times: every stream begins at the first point.
    ///
    /// # Errors
    ///
    /// As [`History::read`]; the stream itself may fail, too.
    pub fn stream(&self) -> Result<HistoryStream> {
        self.check()?;
        let selected = self.selected()?;
        let reader = &self.reader;
        if self.sorts(&selected)? {
            // Any row may come first, so all of them are put in order before the first one leaves.
            let on_mismatch = self.asked.on_mismatch;
            let whole = selected.batch(reader, &selected.rows, on_mismatch, Order::Time)?;
            return Ok(HistoryStream::new(self.clone(), selected, Vec::new(), Some(whole)));
        }
        let batches = plan_batches(reader, &selected.parts, &selected.rows, selected.values);
        Ok(HistoryStream::new(self.clone(), selected, batches, None))
    }

    /// The timestamps alone. Shares memory as the batches do.
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn timestamps(&self) -> Result<ScalarBuffer<i64>> {
        self.check()?;
        let selected = self.selected()?;
        let pieces = pieces(&selected.parts, &selected.rows);
        if pieces.is_empty() {
            return Ok(ScalarBuffer::from(Vec::new()));
        }
        let array = self.reader.column(&pieces, Column::Timestamps, OnMismatch::Raise)?;
        let stamps = array.as_primitive::<TimestampMicrosecondType>().values().clone();
        if self.sorts(&selected)? {
            let mut stamps = stamps.to_vec();
            stamps.sort_unstable();
            return Ok(stamps.into());
        }
        Ok(stamps)
    }

    /// The values alone, as one array. Shares memory as the batches do.
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn values(&self) -> Result<ArrayRef> {
        self.check()?;
        let selected = self.selected()?;
        if self.sorts(&selected)? {
            return Ok(Arc::clone(self.read()?.column(1)));
        }
        let pieces = pieces(&selected.parts, &selected.rows);
        if pieces.is_empty() {
            return Ok(arrow_array::new_empty_array(&selected.values.data_type()));
        }
        self.reader.column(&pieces, Column::Values(selected.values), self.asked.on_mismatch)
    }

    /// Where the commit lies that it sees, as [`Snapshot::cursor`](crate::Snapshot::cursor).
    ///
    /// # Errors
    ///
    /// As [`Snapshot::cursor`](crate::Snapshot::cursor).
    pub fn cursor(&self) -> Result<Cursor> {
        self.pinned.cursor()
    }

    /// Whether this process is a forked child and the history the parent's.
    pub fn is_forked(&self) -> bool {
        self.db.is_forked()
    }

    /// The same question to another commit.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::history`].
    pub fn at(&self, snapshot: &Snapshot) -> Result<History> {
        let history = snapshot.history(self.key())?;
        Ok(history.ask(|asked| *asked = self.asked.clone()))
    }

    /// The values as doubles: integers within 2^53 are, nulls become NaN, and so do other values
    /// by [`OnMismatch::Null`].
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn floats(&self) -> Result<Vec<f64>> {
        let tensor = self.tensor()?;
        let mut floats = Vec::new();
        let no_memory = |_| SynaError::OutOfMemory { bytes: tensor.len() as u64 * 8 };
        floats.try_reserve_exact(tensor.len()).map_err(no_memory)?;
        floats.extend_from_slice(&tensor);
        Ok(floats)
    }

    /// As [`History::floats`], in memory of the buffer pool.
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn tensor(&self) -> Result<Tensor> {
        self.check()?;
        let history = self.clone().as_type(AsType::Float);
        let selected = history.selected()?;
        let (reader, on_mismatch) = (&history.reader, history.asked.on_mismatch);
        if history.sorts(&selected)? {
            let batch = selected.batch(reader, &selected.rows, on_mismatch, Order::Time)?;
            return reader.tensor_of(batch.column(1).as_primitive::<Float64Type>());
        }
        reader.tensor(&pieces(&selected.parts, &selected.rows), on_mismatch).map(Tensor::new)
    }

    /// The `Float` points alone, in append order, as a tensor of its own: other kinds are left out
    /// and nothing is converted, whatever type is asked for.
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn only_floats(&self) -> Result<Tensor> {
        self.only(AtomKind::Float, Column::Values(ValueType::Float)).map(Tensor::new)
    }

    /// As [`History::only_floats`] for the `Int` points.
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn only_ints(&self) -> Result<Tensor<i64>> {
        self.only(AtomKind::Int, Column::Values(ValueType::Int)).map(Tensor::new)
    }

    /// The timestamps of the points of one kind, one for each of [`History::only_floats`] or
    /// [`History::only_ints`].
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn only_timestamps(&self, kind: AtomKind) -> Result<Tensor<i64>> {
        self.only(kind, Column::Timestamps).map(Tensor::new)
    }

    fn only(&self, kind: AtomKind, column: Column) -> Result<PoolBuf> {
        self.check()?;
        // A type that skips what does not fit would narrow the rows.
        let history = self.clone().as_type(AsType::Natural).on_mismatch(OnMismatch::Raise);
        let selected = history.selected()?;
        self.reader.only(&pieces(&selected.parts, &selected.rows), kind, column)
    }

    /// What [`read`](History::read) would cost now: for each column what is mapped, cached, decoded
    /// and copied, and why.
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn explain(&self) -> Result<Explain> {
        self.check()?;
        let selected = self.selected()?;
        let batches = if selected.rows.is_empty() { vec![] } else { vec![selected.rows.clone()] };
        self.explain_batches(&selected, &batches)
    }

    pub(super) fn explain_batches(
        &self,
        selected: &Selected,
        batches: &Batches,
    ) -> Result<Explain> {
        let sorts = self.sorts(selected)?;
        Ok(explain(&self.reader, &selected.parts, batches, selected.values, sorts))
    }
}

/// Questions.
impl History {
    /// Counts, extremes, sum, mean, first and last of the points asked for, whole blocks from what
    /// their chunks say about them. [`as_type`](History::as_type) and
    /// [`order`](History::order) do not matter here, but what [`OnMismatch::Skip`] leaves out is not
    /// counted.
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub fn stats(&self) -> Result<HistoryStats> {
        self.check()?;
        if self.asked.is_all()
            && self.asked.on_mismatch != OnMismatch::Skip
            && self.selected.get().is_none()
        {
            let KeyReader { log, key, .. } = &self.reader;
            if let Some(stats) = query::stats_of_all(log, key, &self.view()?)? {
                return Ok(stats);
            }
        }
        let selected = self.selected()?;
        query::stats(&self.reader, &pieces(&selected.parts, &selected.rows))
    }

    /// One row for each bucket of time that holds a point of those asked for, in the order of time:
    /// `timestamp`, the start of the bucket, and one column for each aggregate, named after it.
    ///
    /// Buckets are `[k * every, (k + 1) * every)`, counted from 1970-01-01 UTC. Counts are Int64,
    /// means Float64; extremes, first, last and sums are Int64 where all numbers asked for are
    /// integers, and Float64 otherwise; a sum of integers that does not fit is `Decimal128(38, 0)`.
    /// [`Aggregate`] says what counts. Nulls where a bucket has no number.
    ///
    /// ```
    /// use synadb::{Aggregate, Every};
    ///
    /// # fn main() -> synadb::Result<()> {
    /// # let db = synadb::SynaDB::in_memory()?;
    /// db.append_batch("s", &[0, 1_800_000_000, 3_600_000_000], &[1.0, 3.0, 5.0][..])?;
    /// let hours = db.history("s")?.resample("1h".parse()?, &[Aggregate::Mean])?;
    /// assert_eq!(hours.num_rows(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`History::read`]; `InvalidOption` if an aggregate is named twice; `FrameTooLarge` if
    /// [`empty_buckets`](History::empty_buckets) makes more than 2^30 cells. A bucket with points takes
    /// some 300 bytes until the batch is made, so an `every` shorter than the points are apart takes
    /// far more memory than the history.
    pub fn resample(&self, every: Every, aggregates: &[Aggregate]) -> Result<RecordBatch> {
        self.check()?;
        let is_named_again = |(at, aggregate)| aggregates.iter().take(at).any(|a| a == aggregate);
        if aggregates.iter().enumerate().any(is_named_again) {
            let (option, what) = ("aggregates", "each of them once");
            return Err(SynaError::InvalidOption { option, what });
        }
        let selected = self.selected()?;
        let pieces = pieces(&selected.parts, &selected.rows);
        query::resample(&self.reader, &pieces, every, aggregates, self.asked.empty_buckets)
    }

    /// About `count` of the points asked for, at most, which a plot of all of them would show, in
    /// the order of time. Only numbers count: nulls, NaN, texts and bytes are left out.
    ///
    /// `value` is Int64 where the key holds nothing but integers and nulls, and Float64 otherwise:
    /// among floats an integer leaves as the nearest double.
    ///
    /// # Errors
    ///
    /// As [`History::read`]; `InvalidOption` if `count` is less than 3; `TypeMismatch` if the key
    /// holds nothing but texts, bytes and nulls, and not only nulls.
    pub fn downsample(&self, count: usize, method: Downsample) -> Result<RecordBatch> {
        self.check()?;
        query::check_count(count)?;
        let natural = self.same_points(AsType::Natural, OnMismatch::Raise)?;
        let batch = match natural.selected()?.values {
            ValueType::Float | ValueType::Int => natural.read()?,
            _ => natural.nearest_floats()?,
        };
        query::downsample(&batch, count, method)
    }

    /// The same points by time in another form. Which they are is found by this history, whose
    /// [`last`](History::last) and cuts count what [`OnMismatch::Skip`] has left.
    fn same_points(&self, as_type: AsType, on_mismatch: OnMismatch) -> Result<History> {
        let rows = self.selected()?.rows.clone();
        let parts = self.pinned.parts(&self.reader, self.slot()?, None)?;
        let values = ValueType::of(as_type, &self.reader.kinds(&parts, &self.live)?);
        let same = self.clone().as_type(as_type).on_mismatch(on_mismatch).order(Order::Time);
        let selected = OnceLock::from(Arc::new(Selected { parts, values, rows }));
        Ok(History { selected, ..same })
    }

    /// The points asked for, numbers as the nearest doubles, everything else as null.
    fn nearest_floats(&self) -> Result<RecordBatch> {
        let kinds = self.reader.kinds(&self.selected()?.parts, &self.live)?;
        let [_, floats, ints, texts, _] = kinds.counts;
        if floats == 0 && ints == 0 {
            let (key, expected) = (self.key().to_owned(), AtomKind::Float);
            let found = if texts > 0 { AtomKind::Text } else { AtomKind::Bytes };
            return Err(SynaError::TypeMismatch { key, expected, found });
        }
        let floats = self.same_points(AsType::Float, OnMismatch::Null)?.read()?;
        if kinds.ints_are_floats {
            return Ok(floats);
        }
        // The same rows in the same order, with the integers that are no doubles.
        let ints = self.same_points(AsType::Int, OnMismatch::Null)?.read()?;
        let ints = ints.column(1).as_primitive();
        let values = query::nearest_floats(floats.column(1).as_primitive(), ints)?;
        let timestamps = Arc::clone(floats.column(0));
        batch_of(ValueType::Float.schema(), timestamps, Arc::new(values))
    }
}

/// Selecting.
impl History {
    /// The rows asked for by place alone.
    fn plain_rows(&self) -> Range<u64> {
        let row = |place: u64| self.live.start.saturating_add(place).min(self.live.end);
        let (start, end) = (row(self.asked.rows.start), row(self.asked.rows.end));
        let end = end.max(start);
        let mut rows = start.max(end.saturating_sub(self.asked.last))..end;
        for cut in &self.asked.cuts {
            let Cut::Places(places) = cut else { continue };
            let row = |place: u64| rows.start.saturating_add(place).min(rows.end);
            let (start, end) = (row(places.start), row(places.end));
            rows = start..end.max(start);
        }
        rows
    }

    fn known_kinds(&self) -> Option<Kinds> {
        let cache = &self.reader.shared.cache;
        cache.kinds(self.reader.generation, self.reader.id, &self.live)
    }

    /// The batch, if the cache holds both columns: found without a look at the history.
    fn read_cached(&self) -> Option<Result<RecordBatch>> {
        let asked = &self.asked;
        if !asked.is_by_place() || asked.order != Order::Append {
            return None;
        }
        let kinds = self.known_kinds()?;
        let values = ValueType::of(asked.as_type, &kinds);
        if asked.on_mismatch == OnMismatch::Skip && !values.takes(&kinds) {
            return None;
        }
        if !matches!(values, ValueType::Float | ValueType::Int) {
            // How many bytes they have is found the long way.
            return None;
        }
        let rows = self.plain_rows();
        let (cache, reader) = (&self.reader.shared.cache, &self.reader);
        let values_key = reader.run_key(Column::Values(values));
        if rows.is_empty() || !cache.holds(values_key, &rows) {
            return None;
        }
        let timestamps = cache.get(reader.run_key(Column::Timestamps), &rows)?;
        let array = cache.get(values_key, &rows)?;
        reader.account(How::Cached, (rows.end - rows.start) * 16);
        Some(batch_of(values.schema(), timestamps, array))
    }

    /// Where all live rows lie.
    fn view(&self) -> Result<HistoryView> {
        Ok(self.slot()?.view(self.pinned.commit_end(), |v| v.live_from..v.rows))
    }

    fn slot(&self) -> Result<&KeySlot> {
        let absent = || SynaError::KeyNotFound { key: self.key().to_owned() };
        self.pinned.generation.index.slot(self.reader.id).ok_or_else(absent)
    }

    fn selected(&self) -> Result<Arc<Selected>> {
        if let Some(selected) = self.selected.get() {
            return Ok(Arc::clone(selected));
        }
        let selected = Arc::new(self.select()?);
        Ok(Arc::clone(self.selected.get_or_init(|| selected)))
    }

    fn select(&self) -> Result<Selected> {
        let (reader, asked) = (&self.reader, &self.asked);
        let parts = self.pinned.parts(reader, self.slot()?, None)?;
        let kinds = reader.kinds(&parts, &self.live)?;
        let values = ValueType::of(asked.as_type, &kinds);
        let row = |place: u64| self.live.start.saturating_add(place).min(self.live.end);
        let (start, end) = (row(asked.rows.start), row(asked.rows.end));
        let mut rows = Vec::new();
        push_rows(&mut rows, start..end.max(start))?;
        if let Some(times) = asked.times {
            rows = reader.rows_in_time(&parts, &rows, times)?;
        }
        if asked.on_mismatch == OnMismatch::Skip && !values.takes(&kinds) {
            rows = reader.rows_that_fit(&parts, &rows, values)?;
        }
        rows = last_rows(rows, asked.last);
        for cut in &asked.cuts {
            rows = match cut {
                Cut::Places(places) => rows_at(&rows, places)?,
                Cut::Times(times) => reader.rows_in_time(&parts, &rows, *times)?,
            };
        }
        Ok(Selected { parts, values, rows })
    }

    /// Whether rows have to be moved to be in the order asked for.
    fn sorts(&self, selected: &Selected) -> Result<bool> {
        if self.asked.order == Order::Append {
            return Ok(false);
        }
        Ok(!self.reader.is_sorted(&pieces(&selected.parts, &selected.rows))?)
    }
}

/// Those of some rows that stand at `places` among them.
fn rows_at(rows: &[Range<u64>], places: &Range<u64>) -> Result<Vec<Range<u64>>> {
    let (mut before, mut left) = (0u64, Vec::new());
    for range in rows {
        let len = range.end - range.start;
        let place = |at: u64| range.start + at.saturating_sub(before).min(len);
        let (start, end) = (place(places.start), place(places.end));
        if start < end {
            push_rows(&mut left, start..end)?;
        }
        before = before.saturating_add(len);
    }
    Ok(left)
}

/// What a frame asks of the history of one key.
impl History {
    /// The type of the values.
    pub(super) fn value_type(&self) -> Result<ValueType> {
        match self.known_kinds() {
            Some(kinds) => Ok(ValueType::of(self.asked.as_type, &kinds)),
            None => Ok(self.selected()?.values),
        }
    }

    /// Number of live points.
    pub(super) fn live_len(&self) -> u64 {
        self.live.end - self.live.start
    }

    /// The least and the greatest timestamp of what is asked for.
    pub(super) fn extent(&self) -> Result<Option<(i64, i64)>> {
        let selected = self.selected()?;
        self.reader.extent(&pieces(&selected.parts, &selected.rows))
    }

    /// The greatest timestamp of what is asked for before some times, and the least one after
    /// them.
    pub(super) fn neighbours(&self, times: Times) -> Result<(Option<i64>, Option<i64>)> {
        let selected = self.selected()?;
        self.reader.neighbours(&pieces(&selected.parts, &selected.rows), times)
    }

    /// These rows of an array of the key's values, see [`KeyReader::taken`].
    pub(super) fn gathered(
        &self,
        array: &ArrayRef,
        column: Column,
        rows: &[u64],
        fill: Option<u64>,
    ) -> Result<ArrayRef> {
        self.reader.taken(array, column, rows, fill)
    }
}

/// The last `count` of some rows.
fn last_rows(mut rows: Vec<Range<u64>>, count: u64) -> Vec<Range<u64>> {
    let mut surplus: u64 = rows.iter().map(|r| r.end - r.start).sum::<u64>().saturating_sub(count);
    let mut gone = 0;
    for range in &mut rows {
        let here = surplus.min(range.end - range.start);
        range.start += here;
        surplus -= here;
        gone += usize::from(range.is_empty());
        if surplus == 0 {
            break;
        }
    }
    rows.drain(..gone);
    rows
}

fn batch_of(schema: SchemaRef, timestamps: ArrayRef, values: ArrayRef) -> Result<RecordBatch> {
    RecordBatch::try_new(schema, vec![timestamps, values]).map_err(arrow_error)
}

impl Selected {
    pub(super) fn schema(&self) -> SchemaRef {
        self.values.schema()
    }

    pub(super) fn len(&self) -> u64 {
        self.rows.iter().map(|rows| rows.end - rows.start).sum()
    }

    /// Some of the rows as a batch, in append order.
    pub(super) fn batch_of(&self, history: &History, rows: &[Range<u64>]) -> Result<RecordBatch> {
        self.batch(&history.reader, rows, history.asked.on_mismatch, Order::Append)
    }

    /// Some of the rows as a batch.
    fn batch(
        &self,
        reader: &KeyReader,
        rows: &[Range<u64>],
        on_mismatch: OnMismatch,
        order: Order,
    ) -> Result<RecordBatch> {
        let pieces: Vec<Piece<'_>> = pieces(&self.parts, rows);
        let schema = self.values.schema();
        if pieces.is_empty() {
            return Ok(RecordBatch::new_empty(schema));
        }
        let timestamps = reader.column(&pieces, Column::Timestamps, OnMismatch::Raise)?;
        let values = reader.column(&pieces, Column::Values(self.values), on_mismatch)?;
        let batch = batch_of(schema, timestamps, values)?;
        if order == Order::Append || reader.is_sorted(&pieces)? {
            return Ok(batch);
        }
        let by_time = time_order(batch.column(0), [batch.num_rows()])?;
        let timestamps = reader.taken(batch.column(0), Column::Timestamps, &by_time, None)?;
        let values = Column::Values(self.values);
        let values = reader.taken(batch.column(1), values, &by_time, None)?;
        batch_of(batch.schema(), timestamps, values)
    }
}
