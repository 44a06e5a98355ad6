//! Moments: Python's to microseconds since 1970 UTC, and back.

use std::time::{SystemTime, UNIX_EPOCH};

use arrow_schema::TimeUnit;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDateTime, PyFloat, PyInt, PyTuple};

const FINER: &str = "the timestamp is finer than a microsecond; pass floor=True to round it down";

/// What moments are reckoned with.
struct Reckoning {
    /// 1970-01-01, with UTC and without a zone.
    aware: Py<PyAny>,
    naive: Py<PyAny>,
    timedelta: Py<PyAny>,
}

fn reckoning(py: Python<'_>) -> PyResult<&Reckoning> {
    static RECKONING: PyOnceLock<Reckoning> = PyOnceLock::new();
    RECKONING.get_or_try_init(py, || {
        let datetime = py.import("datetime")?;
        let class = datetime.getattr("datetime")?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        Ok(Reckoning {
            aware: class.call1((1970, 1, 1, 0, 0, 0, 0, utc))?.unbind(),
            naive: class.call1((1970, 1, 1))?.unbind(),
            timedelta: datetime.getattr("timedelta")?.unbind(),
        })
    })
}

/// The present moment in microseconds since 1970 UTC.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The microseconds of what a caller gave for a moment; the present one for None.
pub(crate) fn stamp_or_now(stamp: Option<&Bound<'_, PyAny>>, floor: bool) -> PyResult<i64> {
    stamp.map_or_else(|| Ok(now()), |stamp| stamp_of(stamp, floor))
}

/// The microseconds of what a caller gave for a moment.
pub(crate) fn stamp_of(stamp: &Bound<'_, PyAny>, floor: bool) -> PyResult<i64> {
    if stamp.is_exact_instance_of::<PyInt>() {
        return micros(stamp);
    }
    if stamp.is_instance_of::<PyDateTime>() {
        return of_datetime(stamp, floor);
    }
    if stamp.is_instance_of::<PyFloat>() {
        return Err(PyTypeError::new_err(
            "a float is no timestamp: seconds or microseconds? Use a datetime, as in \
             datetime.fromtimestamp(seconds, timezone.utc), or an int of microseconds",
        ));
    }
    if stamp.is_instance_of::<PyBool>() {
        return Err(no_stamp(stamp));
    }
    if stamp.is_instance_of::<PyInt>() {
        return micros(stamp);
    }
    match super::value::numpy_kind(stamp)? {
        Some('M') => of_datetime64(stamp, floor),
        Some('i' | 'u') => micros(&stamp.call_method0(intern!(stamp.py(), "__index__"))?),
        _ => Err(no_stamp(stamp)),
    }
}

/// The microseconds of an end of a range `[start, end)`. What lies between two of them is the later one:
/// that parts the stamps there can be as the moment itself does, at either end.
pub(crate) fn end_of(stamp: &Bound<'_, PyAny>) -> PyResult<i64> {
    let before = stamp_of(stamp, true)?;
    stamp_of(stamp, false).or_else(|error| match error.is_instance_of::<PyValueError>(stamp.py()) {
        // All that can be wrong of it now is that it is finer.
        true => before.checked_add(1).ok_or_else(out_of_range),
        false => Err(error),
    })
}

fn no_stamp(stamp: &Bound<'_, PyAny>) -> PyErr {
    let name = stamp.get_type().name().map_or_else(|_| "it".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!(
        "{name} is no timestamp: use a datetime, a numpy.datetime64, or an int of microseconds since \
         1970-01-01 UTC"
    ))
}

fn micros(number: &Bound<'_, PyAny>) -> PyResult<i64> {
    number.extract().map_err(|_| out_of_range())
}

pub(crate) fn out_of_range() -> PyErr {
    PyOverflowError::new_err("a timestamp must fit 64 bits as microseconds since 1970-01-01 UTC")
}

/// With its zone, or as UTC without one.
fn of_datetime(stamp: &Bound<'_, PyAny>, floor: bool) -> PyResult<i64> {
    let py = stamp.py();
    let reckoning = reckoning(py)?;
    // pandas' NaT is a datetime that no method of datetimes works on.
    if stamp.ne(stamp)? {
        return Err(nat_error());
    }
    let is_naive = stamp.call_method0(intern!(py, "utcoffset"))?.is_none();
    // A zone that does not know its offset leaves a moment without one: as UTC, like no zone.
    let stamp = if is_naive && !stamp.getattr(intern!(py, "tzinfo"))?.is_none() {
        let none = [(intern!(py, "tzinfo"), py.None())];
        let none = pyo3::types::IntoPyDict::into_py_dict(none, py)?;
        stamp.call_method(intern!(py, "replace"), (), Some(&none))?
    } else {
        stamp.clone()
    };
    let epoch = if is_naive { &reckoning.naive } else { &reckoning.aware };
    let since = stamp.sub(epoch.bind(py))?;
    let part = |name| -> PyResult<i64> { since.getattr(name)?.extract() };
    let days = part(intern!(py, "days"))?;
    let seconds = part(intern!(py, "seconds"))?;
    let micros = part(intern!(py, "microseconds"))?;
    // Of pandas' Timestamp.
    if !floor
        && since.hasattr(intern!(py, "nanoseconds"))?
        && part(intern!(py, "nanoseconds"))? != 0
    {
        return Err(PyValueError::new_err(FINER));
    }
    let of_days = days.checked_mul(86_400_000_000);
    of_days.and_then(|all| all.checked_add(seconds * 1_000_000 + micros)).ok_or_else(out_of_range)
}

/// A unit of NumPy's as a fraction of microseconds. Years and months have no length.
#[derive(Clone, Copy)]
pub(crate) struct Unit {
    up: i128,
    down: i128,
}

impl Unit {
    /// The unit of a dtype, and what has it: the scalar or array itself, or one of days for years and
    /// months.
    pub(crate) fn of<'py>(object: &Bound<'py, PyAny>) -> PyResult<(Unit, Bound<'py, PyAny>)> {
        let py = object.py();
        let numpy = py.import(intern!(py, "numpy"))?;
        let dtype = object.getattr(intern!(py, "dtype"))?;
        let data = numpy.call_method1(intern!(py, "datetime_data"), (dtype,))?;
        let (name, count): (String, i128) = data.extract()?;
        let (up, down) = match name.as_str() {
            "Y" | "M" => {
                // Counted in days, years that a datetime64 can tell may be too many.
                let counts = object.call_method1(intern!(py, "astype"), ("int64",))?;
                let far = numpy.call_method1(intern!(py, "abs"), (counts,))?.gt(1_000_000)?;
                let far = numpy.call_method1(intern!(py, "any"), (far,))?;
                let nat = numpy.call_method1(intern!(py, "isnat"), (object,))?;
                if numpy.call_method1(intern!(py, "any"), (nat,))?.is_truthy()? {
                    return Err(nat_error());
                }
                if far.is_truthy()? {
                    return Err(out_of_range());
                }
                let days = object.call_method1(intern!(py, "astype"), ("datetime64[D]",))?;
                return Ok((Unit { up: 86_400_000_000, down: 1 }, days));
            }
            "W" => (7 * 86_400_000_000, 1),
            "D" => (86_400_000_000, 1),
            "h" => (3_600_000_000, 1),
            "m" => (60_000_000, 1),
            "s" => (1_000_000, 1),
            "ms" => (1_000, 1),
            "us" => (1, 1),
            "ns" => (1, 1_000),
            "ps" => (1, 1_000_000),
            "fs" => (1, 1_000_000_000),
            "as" => (1, 1_000_000_000_000),
            _ => return Err(nat_error()),
        };
        Ok((Unit { up: up * count, down }, object.clone()))
    }

    /// So many units in microseconds.
    pub(crate) fn micros(self, count: i64, floor: bool) -> PyResult<i64> {
        if count == i64::MIN {
            return Err(nat_error());
        }
        let scaled = i128::from(count) * self.up;
        if !floor && scaled % self.down != 0 {
            return Err(PyValueError::new_err(FINER));
        }
        i64::try_from(scaled.div_euclid(self.down)).map_err(|_| out_of_range())
    }

    /// The unit of Arrow that is the same, if there is one.
    pub(crate) fn of_arrow(self) -> Option<TimeUnit> {
        match (self.up, self.down) {
            (1_000_000, 1) => Some(TimeUnit::Second),
            (1_000, 1) => Some(TimeUnit::Millisecond),
            (1, 1) => Some(TimeUnit::Microsecond),
            (1, 1_000) => Some(TimeUnit::Nanosecond),
            _ => None,
        }
    }
}

pub(crate) fn nat_error() -> PyErr {
    PyValueError::new_err("NaT is no timestamp")
}

fn of_datetime64(stamp: &Bound<'_, PyAny>, floor: bool) -> PyResult<i64> {
    let (unit, stamp) = Unit::of(stamp)?;
    let count = stamp.call_method1(intern!(stamp.py(), "astype"), ("int64",))?;
    unit.micros(count.extract()?, floor)
}

/// A moment as an aware datetime in UTC, or in microseconds where a datetime does not reach.
pub(crate) fn moment_of(py: Python<'_>, micros: i64) -> PyResult<Bound<'_, PyAny>> {
    datetime_of(py, micros).or_else(|error| match error.is_instance_of::<PyOverflowError>(py) {
        true => Ok(micros.into_pyobject(py)?.into_any()),
        false => Err(error),
    })
}

/// A moment as an aware datetime in UTC.
///
/// # Errors
///
/// OverflowError outside of the years 1 to 9999, which are all that Python's datetimes know.
pub(crate) fn datetime_of(py: Python<'_>, micros: i64) -> PyResult<Bound<'_, PyAny>> {
    let reckoning = reckoning(py)?;
    let since = PyTuple::new(py, [0, 0, micros])?;
    let moment = reckoning
        .timedelta
        .bind(py)
        .call1(since)
        .and_then(|since| reckoning.aware.bind(py).add(since));
    moment.map_err(|error| {
        // Python looks for signals while it multiplies: what their handlers raise is no moment's fault.
        if !error.is_instance_of::<PyOverflowError>(py) {
            return error;
        }
        let outside = PyOverflowError::new_err(format!(
            "{micros} microseconds since 1970 are outside of the years 1 to 9999 that a datetime knows; \
             the Arrow and NumPy forms tell any timestamp"
        ));
        outside.set_cause(py, Some(error));
        outside
    })
}
