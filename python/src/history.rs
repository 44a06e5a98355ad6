//! Histories: what is asked of one key, and the ways it leaves.

use std::ops::Bound as End;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyCapsule, PyDelta, PyDict, PyInt, PyList, PyRange, PySlice, PyTuple};
use synadb::{Aggregate, AsType, Downsample, Every, HistoryStats, Number, OnMismatch, Order};

use crate::batch::Batch;
use crate::column::Column;
use crate::database::Source;
use crate::errors::Raise;
use crate::time::{end_of, moment_of};
use crate::value::numpy_kind;
use crate::wait::long;
use crate::{arrow, memory, sugar};

/// The live points of one key as of one commit.
///
/// Nothing is read until it is asked for. It keeps seeing its commit, whatever is appended, deleted or
/// rewritten meanwhile: its length, its statistics and everything it hands out agree for ever.
#[pyclass(frozen, module = "synadb")]
pub(crate) struct History {
    /// Put anew by a forked child that reads.
    history: ArcSwap<synadb::History>,
    source: Source,
    asked: Asked,
}

/// What was asked for, so that it can be asked again: of another commit, or after a pickle.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    start: Option<i64>,
    end: Option<i64>,
    rows: Option<(u64, u64)>,
    cuts: Vec<Cut>,
    as_type: AsType,
    on_mismatch: OnMismatch,
    order: Order,
}

#[derive(Clone, Copy)]
enum Cut {
    Places(u64, u64),
    /// The first and the last one, both included.
    Times(i64, i64),
}

impl Cut {
    fn of(self, history: synadb::History) -> synadb::History {
        match self {
            Cut::Places(start, end) => history.cut_places(start..end),
            Cut::Times(first, last) => history.cut_times(first..=last),
        }
    }
}

/// Times from `start` on, before `end`; without an end, also the last one there is.
pub(crate) fn times(start: Option<i64>, end: Option<i64>) -> (End<i64>, End<i64>) {
    (start.map_or(End::Unbounded, End::Included), end.map_or(End::Unbounded, End::Excluded))
}

impl Asked {
    fn ask(&self, mut history: synadb::History) -> synadb::History {
        if self.start.is_some() || self.end.is_some() {
            history = history.range(times(self.start, self.end));
        }
        if let Some((start, end)) = self.rows {
            history = history.rows(start..end);
        }
        for cut in &self.cuts {
            history = cut.of(history);
        }
        history.as_type(self.as_type).on_mismatch(self.on_mismatch).order(self.order)
    }

    /// As the arguments of `synadb._pickle.history`.
    fn to_tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let cuts: Vec<(bool, i128, i128)> = self
            .cuts
            .iter()
            .map(|cut| match *cut {
                Cut::Places(start, end) => (true, start.into(), end.into()),
                Cut::Times(start, end) => (false, start.into(), end.into()),
            })
            .collect();
        let names = (self.as_type.name(), self.on_mismatch.name(), order_name(self.order));
        (self.start, self.end, self.rows, cuts, names).into_pyobject(py)
    }

    /// What [`Asked::to_tuple`] gave.
    pub(crate) fn from_tuple(tuple: &Bound<'_, PyAny>) -> PyResult<Asked> {
        type Parts = (
            Option<i64>,
            Option<i64>,
            Option<(u64, u64)>,
            Vec<(bool, i128, i128)>,
            (String, String, String),
        );
        let (start, end, rows, cuts, names): Parts = tuple.extract()?;
        let wrong = |_| PyValueError::new_err("a pickle of another history");
        let cuts = cuts.into_iter().map(|(places, start, end)| {
            Ok(if places {
                Cut::Places(start.try_into().map_err(wrong)?, end.try_into().map_err(wrong)?)
            } else {
                Cut::Times(start.try_into().map_err(wrong)?, end.try_into().map_err(wrong)?)
            })
        });
        let cuts = cuts.collect::<PyResult<Vec<_>>>()?;
        let (as_type, on_mismatch, order) =
            (as_type_of(&names.0)?, on_mismatch_of(&names.1)?, order_of(&names.2)?);
        Ok(Asked { start, end, rows, cuts, as_type, on_mismatch, order })
    }

    /// What the arguments of `db.history` ask for.
    pub(crate) fn of(
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        rows: Option<&Bound<'_, PyAny>>,
        as_type: Option<&str>,
        on_mismatch: &str,
        order: &str,
        len: impl FnOnce() -> PyResult<u64>,
    ) -> PyResult<Asked> {
        let stamp = |stamp: Option<&Bound<'_, PyAny>>| stamp.map(end_of).transpose();
        let mut asked = Asked {
            start: stamp(start)?,
            end: stamp(end)?,
            as_type: as_type.map_or(Ok(AsType::Natural), as_type_of)?,
            on_mismatch: on_mismatch_of(on_mismatch)?,
            order: order_of(order)?,
            ..Asked::default()
        };
        if let Some(rows) = rows {
            asked.rows = Some(rows_of(rows, len()?)?);
        }
        Ok(asked)
    }
}

/// Places as a slice, a range or a pair names them; negative ones counted from the end, as in slices.
fn rows_of(rows: &Bound<'_, PyAny>, len: u64) -> PyResult<(u64, u64)> {
    let slice = rows.py().get_type::<PySlice>();
    let parts = if rows.is_instance_of::<PyRange>() {
        let part = |name| rows.getattr(name);
        Some((part("start")?, part("stop")?, Some(part("step")?)))
    } else {
        rows.extract().ok().map(|(start, stop)| (start, stop, None))
    };
    let slice = match (rows.cast::<PySlice>(), parts) {
        (Ok(slice), _) => slice.clone(),
        (_, Some(parts)) => slice.call1(parts)?.cast_into::<PySlice>()?,
        _ => {
            return Err(PyTypeError::new_err(
                "rows= is a pair of ints, a range or a slice, as in rows=(0, 10)",
            ));
        }
    };
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let (start, count) = sugar::places_of(&slice, len)?;
    Ok((start as u64, (start + count) as u64))
}

pub(crate) fn as_type_of(name: &str) -> PyResult<AsType> {
    AsType::from_name(name).ok_or_else(|| {
        PyValueError::new_err(format!(
            "as_type={name:?}: it is one of natural, struct, float, int, text, bytes, union"
        ))
    })
}

pub(crate) fn on_mismatch_of(name: &str) -> PyResult<OnMismatch> {
    OnMismatch::from_name(name).ok_or_else(|| {
        PyValueError::new_err(format!("on_mismatch={name:?}: it is one of raise, null, skip"))
    })
}

pub(crate) fn order_of(name: &str) -> PyResult<Order> {
    match name {
        "append" => Ok(Order::Append),
        "time" => Ok(Order::Time),
        _ => Err(PyValueError::new_err(format!("order={name:?}: it is append or time"))),
    }
}

fn order_name(order: Order) -> &'static str {
    if order == Order::Time { "time" } else { "append" }
}

/// A step in time: "15m", a timedelta, or microseconds.
pub(crate) fn every_of(every: &Bound<'_, PyAny>) -> PyResult<Every> {
    if let Ok(text) = every.extract::<String>() {
        return Every::from_str(&text).raise();
    }
    if let Some(micros) = micros_of(every)? {
        return Every::from_micros(micros).raise();
    }
    Err(PyTypeError::new_err(
        "a step in time is a text as in '15m' or '1h', a timedelta, or an int of microseconds",
    ))
}

/// A number of points; one beyond 64 bits is all of them.
fn count_of(count: &Bound<'_, PyAny>) -> PyResult<u64> {
    match count.extract::<u64>() {
        Err(error) if error.is_instance_of::<PyOverflowError>(count.py()) => match count.lt(0)? {
            true => Err(PyValueError::new_err("a number of points is 0 or more")),
            false => Ok(u64::MAX),
        },
        count => count,
    }
}

/// The microseconds of an int or a timedelta; None for anything else.
pub(crate) fn micros_of(length: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    let too_long =
        |_| PyOverflowError::new_err("a length of time must fit 64 bits as microseconds");
    let is_int = length.is_instance_of::<PyInt>() && !length.is_instance_of::<PyBool>();
    if is_int || matches!(numpy_kind(length)?, Some('i' | 'u')) {
        return length.extract().map(Some).map_err(too_long);
    }
    if !length.is_instance_of::<PyDelta>() {
        return Ok(None);
    }
    let micros = length.py().import("datetime")?.getattr("timedelta")?.call1((0, 0, 1))?;
    let (count, rest): (Bound<'_, PyAny>, Bound<'_, PyAny>) = length.divmod(micros)?.extract()?;
    // Of pandas' Timedelta, which has nanoseconds.
    if rest.is_truthy()? {
        return Err(PyValueError::new_err("a length of time is of whole microseconds"));
    }
    count.extract().map(Some).map_err(too_long)
}

/// The bytes up to which a read is done at once, with the interpreter.
const SHORT_READ_BYTES: u64 = 64 << 10;

impl History {
    pub(crate) fn new(source: Source, history: synadb::History, asked: Asked) -> History {
        let history = ArcSwap::from_pointee(asked.ask(history));
        History { history, source, asked }
    }

    /// A part of it, as of the same commit.
    fn cut(&self, cut: Cut) -> History {
        let history = cut.of(synadb::History::clone(&self.history.load()));
        let mut asked = self.asked.clone();
        asked.cuts.push(cut);
        History { history: ArcSwap::from_pointee(history), source: self.source.clone(), asked }
    }

    /// The library's history; of a reader, in a forked child, one of the child's own.
    fn current(&self, py: Python<'_>) -> PyResult<Arc<synadb::History>> {
        let history = self.history.load_full();
        if !history.is_forked() {
            return Ok(history);
        }
        let db = self.source.reopened_at(py, || history.cursor())?;
        let snapshot = db.snapshot().raise()?;
        let again = Arc::new(history.at(&snapshot).raise()?);
        self.history.store(Arc::clone(&again));
        Ok(again)
    }

    /// Asks something of the history that may take long.
    fn ask<T: Send + 'static>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&synadb::History) -> synadb::Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let history = self.current(py)?;
        // What is decoded or mapped in a moment needs no thread of its own.
        let short = py.detach(|| history.len()).raise()?.saturating_mul(16) <= SHORT_READ_BYTES;
        if short {
            return py.detach(|| question(&history)).raise();
        }
        long(py, move || question(&history))?.raise()
    }

    fn length(&self, py: Python<'_>) -> PyResult<u64> {
        let history = self.current(py)?;
        py.detach(|| history.len()).raise()
    }

    fn places(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(usize::try_from(self.length(py)?).unwrap_or(usize::MAX))
    }

    fn values_column(&self, py: Python<'_>) -> PyResult<Column> {
        let values = self.ask(py, synadb::History::values)?;
        Ok(Column::new("value", values, true))
    }

    /// The first and the last moment of a slice, if its ends, those that there are, are moments.
    fn slice_times(slice: &Bound<'_, PySlice>) -> PyResult<Option<(i64, i64)>> {
        let (start, stop) = (slice.getattr("start")?, slice.getattr("stop")?);
        // Ints of any size are rows, as in any slice.
        let is_moment = |end: &Bound<'_, PyAny>| {
            !end.is_none() && end.call_method0(intern!(end.py(), "__index__")).is_err()
        };
        if !is_moment(&start) && !is_moment(&stop) {
            return Ok(None);
        }
        if !slice.getattr("step")?.is_none() {
            return Err(PyValueError::new_err("slices of time have no step"));
        }
        let stamp = |end: &Bound<'_, PyAny>, none| match end.is_none() {
            true => Ok(none),
            false if is_moment(end) => end_of(end),
            false => Err(PyTypeError::new_err("a slice is of rows or of times, not of both")),
        };
        let first = stamp(&start, i64::MIN)?;
        let last = match stop.is_none() {
            true => Some(i64::MAX),
            false => stamp(&stop, i64::MAX)?.checked_sub(1),
        };
        // Before the first of all moments there is none.
        Ok(Some(last.map_or((i64::MAX, i64::MIN), |last| (first, last))))
    }

    fn refuse_time_order(&self) -> PyResult<()> {
        if self.asked.order == Order::Append {
            return Ok(());
        }
        Err(PyValueError::new_err(
            "rows are cut in append order: cut first, then ask for order='time', as in \
             db.history(key, rows=(0, 10), order='time')",
        ))
    }
}

#[pymethods]
impl History {
    /// The key.
    #[getter]
    fn key(&self) -> String {
        self.history.load().key().to_owned()
    }

    /// The Arrow type of the values, as text.
    #[getter]
    fn r#type(&self, py: Python<'_>) -> PyResult<String> {
        let schema = self.ask(py, synadb::History::schema)?;
        Ok(schema.field(1).data_type().to_string())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.places(py)
    }

    /// `h[i]` is a point as (datetime, value); `h[a:b]` a history of rows, `h[t0:t1]` one of times.
    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        index: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(slice) = index.cast::<PySlice>() {
            if let Some((start, end)) = Self::slice_times(slice)? {
                return Ok(Bound::new(py, self.cut(Cut::Times(start, end)))?.into_any());
            }
            self.refuse_time_order()?;
            let (start, count) = sugar::places_of(slice, self.places(py)?)?;
            let cut = Cut::Places(start as u64, (start + count) as u64);
            return Ok(Bound::new(py, self.cut(cut))?.into_any());
        }
        let place = sugar::place_of(index, self.places(py)?)?;
        if self.asked.order == Order::Time {
            return Bound::new(py, self.read(py)?)?.into_any().get_item(place);
        }
        let one = self.cut(Cut::Places(place as u64, place as u64 + 1));
        Bound::new(py, one.read(py)?)?.into_any().get_item(0)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(py, "synadb._convert", "rows_of", (Bound::new(py, self.read(py)?)?,))
    }

    /// The last `count` points in append order.
    fn last(&self, py: Python<'_>, count: &Bound<'_, PyAny>) -> PyResult<History> {
        let count = count_of(count)?;
        self.refuse_time_order()?;
        let len = self.length(py)?;
        Ok(self.cut(Cut::Places(len.saturating_sub(count), len)))
    }

    /// The first point as (datetime, value), or None.
    #[getter]
    fn first_row<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.len()? {
            0 => Ok(slf.py().None().into_bound(slf.py())),
            _ => slf.get().__getitem__(slf.py(), 0i32.into_pyobject(slf.py())?.as_any()),
        }
    }

    /// The last point as (datetime, value), or None.
    #[getter]
    fn last_row<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.len()? {
            0 => Ok(slf.py().None().into_bound(slf.py())),
            _ => slf.get().__getitem__(slf.py(), (-1i32).into_pyobject(slf.py())?.as_any()),
        }
    }

    /// The same question to the newest commit.
    fn refresh(&self, py: Python<'_>) -> PyResult<History> {
        let key = self.key();
        let db = self.source.handle(py)?;
        let history = long(py, move || {
            if db.is_read_only() {
                db.refresh()?;
            }
            db.history(&key)
        })?;
        Ok(History::new(self.source.clone(), history.raise()?, self.asked.clone()))
    }

    /// All points in one piece.
    fn read(&self, py: Python<'_>) -> PyResult<Batch> {
        self.ask(py, synadb::History::read).map(Batch::new)
    }

    /// The values in one piece.
    #[getter]
    fn values(&self, py: Python<'_>) -> PyResult<Column> {
        self.values_column(py)
    }

    /// The timestamps in one piece.
    #[getter]
    fn timestamps(&self, py: Python<'_>) -> PyResult<Column> {
        let stamps = self.ask(py, synadb::History::timestamps)?;
        let array = arrow_array::TimestampMicrosecondArray::new(stamps, None).with_timezone("UTC");
        Ok(Column::new("timestamp", Arc::new(array), false))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::schema_capsule(py, &*self.ask(py, synadb::History::schema)?)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let stream = if self.asked.order == Order::Append {
            // Only planned here: what is pulled later is read then, by whoever pulls.
            let history = self.current(py)?;
            py.detach(|| history.stream()).raise()?
        } else {
            self.ask(py, synadb::History::stream)?
        };
        arrow::batches_capsule(py, stream, requested_schema)
    }

    /// What `numpy.asarray` calls: the values, as `to_numpy`.
    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let values = Bound::new(py, self.values_column(py)?)?;
        values.call_method1("__array__", (dtype, copy))
    }

    /// The values as a NumPy array.
    #[pyo3(signature = (*, nulls = None))]
    fn to_numpy<'py>(
        &self,
        py: Python<'py>,
        nulls: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let values = Bound::new(py, self.values_column(py)?)?;
        let nulls = nulls.map(|nulls| [("nulls", nulls)]);
        let nulls =
            nulls.map(|nulls| pyo3::types::IntoPyDict::into_py_dict(nulls, py)).transpose()?;
        values.call_method("to_numpy", (), nulls.as_ref())
    }

    /// The values as doubles in memory of their own, for `to_torch`.
    fn _owned_floats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        memory::Memory::tensor_array(py, self.ask(py, synadb::History::tensor)?)
    }

    /// The values as a `torch.Tensor`.
    #[pyo3(signature = (*, copy = true))]
    fn to_torch<'py>(slf: &Bound<'py, Self>, copy: bool) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._convert", "to_torch", (slf, copy))
    }

    /// As a `polars.DataFrame`.
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._convert", "to_polars", (slf,))
    }

    /// As a `pandas.DataFrame`.
    fn to_pandas<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._convert", "to_pandas", (slf,))
    }

    /// As a `pyarrow.Table`.
    fn to_pyarrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._convert", "to_pyarrow", (slf,))
    }

    /// The points as a list of (datetime, value).
    fn to_pylist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.__iter__(py)?.try_iter()?.collect::<PyResult<Vec<_>>>()?)
    }

    /// Counts, extremes, sum, mean, first and last.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        stats_record(py, &self.ask(py, synadb::History::stats)?)
    }

    /// One row for each bucket of time.
    #[pyo3(signature = (every, aggregates = None, *, empty = false))]
    fn resample(
        &self,
        py: Python<'_>,
        every: &Bound<'_, PyAny>,
        aggregates: Option<&Bound<'_, PyAny>>,
        empty: bool,
    ) -> PyResult<Batch> {
        let every = every_of(every)?;
        let names: Vec<String> = match aggregates {
            None => vec!["mean".to_owned()],
            Some(one) if one.is_instance_of::<pyo3::types::PyString>() => vec![one.extract()?],
            Some(several) => several.extract()?,
        };
        let aggregates = names.iter().map(|name| {
            Aggregate::from_name(name).ok_or_else(|| {
                let known: Vec<_> = Aggregate::ALL.iter().map(|known| known.name()).collect();
                let known = known.join(", ");
                PyValueError::new_err(format!("aggregate {name:?}: it is one of {known}"))
            })
        });
        let aggregates = aggregates.collect::<PyResult<Vec<_>>>()?;
        let resample = move |history: &synadb::History| {
            history.clone().empty_buckets(empty).resample(every, &aggregates)
        };
        self.ask(py, resample).map(Batch::new)
    }

    /// About `count` of the points, which a plot of all of them would show.
    #[pyo3(signature = (count, *, method = "minmax"))]
    fn downsample(
        &self,
        py: Python<'_>,
        count: &Bound<'_, PyAny>,
        method: &str,
    ) -> PyResult<Batch> {
        let count = usize::try_from(count_of(count)?).unwrap_or(usize::MAX);
        let method = Downsample::from_name(method).ok_or_else(|| {
            PyValueError::new_err(format!("method={method:?}: it is minmax or lttb"))
        })?;
        self.ask(py, move |history| history.downsample(count, method)).map(Batch::new)
    }

    /// What reading would cost now, and why.
    fn explain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        explain_record(py, &self.ask(py, synadb::History::explain)?)
    }

    /// Draws the points with matplotlib.
    #[pyo3(signature = (*, ax = None, points = 2000))]
    fn plot<'py>(
        slf: &Bound<'py, Self>,
        ax: Option<&Bound<'py, PyAny>>,
        points: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._draw", "plot", (slf, ax, points))
    }

    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._draw", "html", (slf,))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let key = self.key();
        match self.length(py) {
            Ok(len) => format!("<synadb.History {key:?}: {len} points>"),
            Err(_) => format!("<synadb.History {key:?}>"),
        }
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let history = self.current(py)?;
        let cursor = self.source.flushed_cursor(py, move || history.cursor())?;
        let path = self.source.path_for_pickle(py)?;
        let args = (path, cursor, self.key(), self.asked.to_tuple(py)?).into_pyobject(py)?;
        sugar::reduced(py, "history", args)
    }
}

/// A number as Python's.
fn number<'py>(py: Python<'py>, number: Option<Number>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match number {
        None => py.None().into_bound(py),
        Some(Number::Int(value)) => value.into_pyobject(py)?.into_any(),
        Some(Number::Float(value)) => value.into_pyobject(py)?.into_any(),
    })
}

pub(crate) fn explain_record<'py>(
    py: Python<'py>,
    explain: &synadb::Explain,
) -> PyResult<Bound<'py, PyAny>> {
    let columns = explain.columns.iter().map(|column| {
        let fields = PyDict::new(py);
        fields.set_item("name", column.name)?;
        fields.set_item("type", column.data_type.to_string())?;
        fields.set_item("mapped_bytes", column.mapped_bytes)?;
        fields.set_item("cached_bytes", column.cached_bytes)?;
        fields.set_item("decoded_bytes", column.decoded_bytes)?;
        fields.set_item("copied_bytes", column.copied_bytes)?;
        fields.set_item("why", &column.why)?;
        sugar::record(py, "ExplainColumn", &fields)
    });
    let columns = columns.collect::<PyResult<Vec<_>>>()?;
    let fields = PyDict::new(py);
    fields.set_item("rows", explain.rows)?;
    fields.set_item("batches", explain.batches)?;
    fields.set_item("columns", PyList::new(py, columns)?)?;
    fields.set_item("text", explain.to_string())?;
    sugar::record(py, "Explain", &fields)
}

fn stats_record<'py>(py: Python<'py>, stats: &HistoryStats) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    fields.set_item("count", stats.count)?;
    fields.set_item("nulls", stats.nulls)?;
    fields.set_item("nans", stats.nans)?;
    fields.set_item("floats", stats.floats)?;
    fields.set_item("ints", stats.ints)?;
    fields.set_item("texts", stats.texts)?;
    fields.set_item("bytes", stats.bytes)?;
    for (name, at) in [
        ("start", stats.timestamps.map(|(start, _)| start)),
        ("end", stats.timestamps.map(|(_, end)| end)),
    ] {
        fields.set_item(name, at.map(|at| moment_of(py, at)).transpose()?)?;
    }
    fields.set_item("min", number(py, stats.min)?)?;
    fields.set_item("max", number(py, stats.max)?)?;
    fields.set_item("sum", number(py, stats.sum)?)?;
    fields.set_item("mean", stats.mean)?;
    fields.set_item("first", number(py, stats.first)?)?;
    fields.set_item("last", number(py, stats.last)?)?;
    sugar::record(py, "HistoryStats", &fields)
}
