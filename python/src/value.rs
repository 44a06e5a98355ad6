//! Values: Python's to atoms, and back.

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyMemoryView, PyString, PyStringMethods,
};
use synadb::{Atom, Point};

/// The atom that a caller's value stands for.
///
/// # Errors
///
/// TypeError for what is no value, OverflowError for integers beyond 64 bits, UnicodeEncodeError for
/// texts that UTF-8 cannot hold. Nothing is cut off or rounded.
pub(crate) fn atom_of(value: &Bound<'_, PyAny>) -> PyResult<Atom> {
    // The two that come a million times a second, by the cheapest question.
    if value.is_exact_instance_of::<PyFloat>() {
        return value.extract().map(Atom::Float);
    }
    if value.is_exact_instance_of::<PyInt>() {
        return int(value);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Atom::Text(text.to_str()?.to_owned()));
    }
    if value.is_none() {
        return Ok(Atom::Null);
    }
    if value.is_instance_of::<PyFloat>() {
        return value.extract().map(Atom::Float);
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Atom::Int(flag.is_true().into()));
    }
    if value.is_instance_of::<PyInt>() {
        return int(value);
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Atom::Bytes(bytes.as_bytes().to_vec()));
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return Ok(Atom::Bytes(bytes.to_vec()));
    }
    if value.is_instance_of::<PyMemoryView>() {
        let bytes = value.call_method0(intern!(value.py(), "tobytes"))?;
        return Ok(Atom::Bytes(bytes.cast::<PyBytes>()?.as_bytes().to_vec()));
    }
    foreign(value)
}

fn int(value: &Bound<'_, PyAny>) -> PyResult<Atom> {
    value.extract().map(Atom::Int).map_err(|_| {
        PyOverflowError::new_err("an int must fit 64 bits with its sign; store it as str or bytes")
    })
}

/// Scalars of NumPy and the missing values of pandas, told without importing either.
fn foreign(value: &Bound<'_, PyAny>) -> PyResult<Atom> {
    let py = value.py();
    match numpy_kind(value)? {
        Some('f') => {
            let size: usize =
                value.getattr(intern!(py, "dtype"))?.getattr(intern!(py, "itemsize"))?.extract()?;
            if size <= 8 {
                return value.call_method0(intern!(py, "item"))?.extract().map(Atom::Float);
            }
        }
        Some('i' | 'u') => return int(&value.call_method0(intern!(py, "__index__"))?),
        Some('b') => return value.is_truthy().map(|flag| Atom::Int(flag.into())),
        // Not equal to itself: NaT.
        Some('M' | 'm') if value.ne(value)? => return Ok(Atom::Null),
        _ => {}
    }
    let name = value.get_type().name()?;
    if matches!(name.to_str()?, "NAType" | "NaTType") {
        return Ok(Atom::Null);
    }
    Err(PyTypeError::new_err(format!(
        "{name} is no value to store: use None, bool, int, float, str or bytes"
    )))
}

/// The kind of a NumPy scalar's type (`f`, `i`, `u`, `b`, `M`, ...); None for anything else.
pub(crate) fn numpy_kind(value: &Bound<'_, PyAny>) -> PyResult<Option<char>> {
    let py = value.py();
    let module = value.get_type().getattr(intern!(py, "__module__"))?;
    if module.cast::<PyString>().is_ok_and(|name| name == "numpy")
        && let Ok(dtype) = value.getattr(intern!(py, "dtype"))
        && value.getattr(intern!(py, "shape"))?.is_truthy().is_ok_and(|has_shape| !has_shape)
    {
        return dtype.getattr(intern!(py, "kind"))?.extract();
    }
    Ok(None)
}

/// The Python value of an atom.
pub(crate) fn value_of(py: Python<'_>, atom: Atom) -> PyResult<Bound<'_, PyAny>> {
    Ok(match atom {
        Atom::Null => py.None().into_bound(py),
        Atom::Float(value) => PyFloat::new(py, value).into_any(),
        Atom::Int(value) => value.into_pyobject(py)?.into_any(),
        Atom::Text(value) => PyString::new(py, &value).into_any(),
        Atom::Bytes(value) => PyBytes::new(py, &value).into_any(),
    })
}

/// A point as (datetime, value).
pub(crate) fn pair_of(
    py: Python<'_>,
    point: Point,
) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    Ok((super::time::datetime_of(py, point.timestamp)?, value_of(py, point.value)?))
}
