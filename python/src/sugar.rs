//! What is nicer in Python: parts of the package that are written there, and the manners of its own
//! sequences and arrays.

use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PySlice, PyTuple};

/// Calls a function of a module of the package that is written in Python.
pub(crate) fn call<'py>(
    py: Python<'py>,
    module: &str,
    function: &str,
    args: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import(module)?.call_method1(function, args)
}

/// An instance of one of the plain records of `synadb/_records.py`.
pub(crate) fn record<'py>(
    py: Python<'py>,
    class: &str,
    fields: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import(intern!(py, "synadb._records"))?.getattr(class)?.call((), Some(fields))
}

/// Where a slice with steps of one begins among `len` items, and how many it takes.
pub(crate) fn places_of(slice: &Bound<'_, PySlice>, len: usize) -> PyResult<(usize, usize)> {
    let len = isize::try_from(len).map_err(|_| PyValueError::new_err("too many items"))?;
    let indices = slice.indices(len)?;
    if indices.step != 1 {
        return Err(PyValueError::new_err("slices here go forward in steps of one"));
    }
    Ok((usize::try_from(indices.start).unwrap_or(0), indices.slicelength))
}

/// The place that an index, negative ones counted from the end, names among `len` items.
pub(crate) fn place_of(index: &Bound<'_, PyAny>, len: usize) -> PyResult<usize> {
    let py = index.py();
    let index = match index.cast::<PyInt>() {
        Ok(index) => index.clone().into_any(),
        Err(_) => match index.call_method0(intern!(py, "__index__")) {
            Ok(index) => index,
            Err(_) => return Err(PyTypeError::new_err("rows are ints or slices")),
        },
    };
    let none = || PyIndexError::new_err(format!("there is no row {index}: there are {len}"));
    // What does not fit names no place either.
    let at = index.extract::<i64>().map_err(|_| none())?;
    let count = i64::try_from(len).unwrap_or(i64::MAX);
    let place = if at < 0 { at.checked_add(count) } else { Some(at) };
    let place = place.filter(|place| (0..count).contains(place));
    place.and_then(|place| usize::try_from(place).ok()).ok_or_else(none)
}

/// An array in the type and the independence that a consumer of `__array__` asks for.
pub(crate) fn as_asked<'py>(
    array: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    copy: Option<bool>,
    shares: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = array.py();
    let own = array.getattr(intern!(py, "dtype"))?;
    let converts = match dtype {
        Some(dtype) => own.ne(dtype)?,
        None => false,
    };
    if copy == Some(false) && (converts || !shares) {
        return Err(PyValueError::new_err("an array of this type cannot be had without a copy"));
    }
    match dtype {
        Some(dtype) if converts => array.call_method1(intern!(py, "astype"), (dtype,)),
        _ if copy == Some(true) && shares => array.call_method0(intern!(py, "copy")),
        _ => Ok(array.clone()),
    }
}

/// How an object is made again from a pickle: a function of the package and its arguments.
pub(crate) fn reduced<'py>(
    py: Python<'py>,
    function: &str,
    args: Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyTuple>> {
    let function = py.import(intern!(py, "synadb._pickle"))?.getattr(function)?;
    PyTuple::new(py, [function, args.into_any()])
}
