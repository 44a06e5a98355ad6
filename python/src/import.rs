//! Arrow data of other libraries, taken out of their capsules.

#![expect(unsafe_code, reason = "capsules hold raw structures")]

use std::ffi::CStr;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_schema::{ArrowError, DataType, FieldRef};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};
use synadb::SynaError;
use synadb::bindings::{CStream, field_of, import_array};

use crate::errors::Raise;

/// One array, or a stream of them.
pub(crate) enum Arrays {
    One(FieldRef, Option<ArrayRef>),
    Stream(CStream),
}

impl Arrays {
    /// What an object hands out by its capsule methods; None if it has none.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Option<Arrays>> {
        let py = object.py();
        let (array, stream) = (intern!(py, "__arrow_c_array__"), intern!(py, "__arrow_c_stream__"));
        let arrays = if object.hasattr(array)? {
            Arrays::of_pair(object.call_method0(array)?.cast::<PyTuple>()?)?
        } else if object.hasattr(stream)? {
            Arrays::of_stream(object.call_method0(stream)?.cast::<PyCapsule>()?)?
        } else {
            return Ok(None);
        };
        no_python_objects(object, arrays.field())?;
        Ok(Some(arrays))
    }

    /// A stream in a capsule, or an array in two.
    pub(crate) fn of_capsules(object: &Bound<'_, PyAny>) -> PyResult<Option<Arrays>> {
        if let Ok(stream) = object.cast::<PyCapsule>() {
            return Arrays::of_stream(stream).map(Some);
        }
        match object.cast::<PyTuple>() {
            Ok(pair) => Arrays::of_pair(pair).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn of_pair(pair: &Bound<'_, PyTuple>) -> PyResult<Arrays> {
        let Ok((schema, array)) = pair.extract::<(Bound<'_, PyCapsule>, Bound<'_, PyCapsule>)>()
        else {
            return Err(PyTypeError::new_err(
                "an Arrow array is a capsule of a schema and one of it",
            ));
        };
        let schema = pointer::<FFI_ArrowSchema>(&schema, c"arrow_schema")?;
        let array = pointer::<FFI_ArrowArray>(&array, c"arrow_array")?;
        // SAFETY: who makes capsules of these names promises what they hold. Both are alive, and what
        // is moved out leaves a released struct behind.
        let imported = unsafe {
            if schema.as_ref().release.is_none() || array.as_ref().release.is_none() {
                return Err(consumed());
            }
            import_array(FFI_ArrowArray::from_raw(array.as_ptr()), schema.as_ref())
        };
        let (field, array) = imported.map_err(arrow).raise()?;
        Ok(Arrays::One(field, Some(array)))
    }

    fn of_stream(stream: &Bound<'_, PyCapsule>) -> PyResult<Arrays> {
        let stream = pointer::<FFI_ArrowArrayStream>(stream, c"arrow_array_stream")?;
        // SAFETY: as for arrays.
        let stream = unsafe {
            if stream.as_ref().release.is_none() {
                return Err(consumed());
            }
            FFI_ArrowArrayStream::from_raw(stream.as_ptr())
        };
        CStream::new(stream).map(Arrays::Stream).map_err(arrow).raise()
    }

    /// The type of the arrays.
    pub(crate) fn field(&self) -> &FieldRef {
        match self {
            Arrays::One(field, _) => field,
            Arrays::Stream(stream) => stream.field(),
        }
    }
}

impl Iterator for Arrays {
    type Item = Result<ArrayRef, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Arrays::One(_, array) => array.take().map(Ok),
            Arrays::Stream(stream) => stream.next(),
        }
    }
}

/// The type in a capsule, which keeps it.
pub(crate) fn field_in(schema: &Bound<'_, PyCapsule>) -> PyResult<FieldRef> {
    let schema = pointer::<FFI_ArrowSchema>(schema, c"arrow_schema")?;
    // SAFETY: who makes a capsule of this name promises what it holds, which is alive as long as that.
    let schema = unsafe { schema.as_ref() };
    if schema.release.is_none() {
        return Err(consumed());
    }
    field_of(schema).map_err(arrow).raise()
}

/// The structure in a capsule of that name.
fn pointer<T>(capsule: &Bound<'_, PyCapsule>, name: &CStr) -> PyResult<NonNull<T>> {
    let pointer = capsule.pointer_checked(Some(name))?.cast::<T>();
    if pointer.is_aligned() {
        Ok(pointer)
    } else {
        Err(PyValueError::new_err("an Arrow capsule is not aligned"))
    }
}

fn consumed() -> PyErr {
    PyValueError::new_err("this Arrow capsule was consumed before: ask its object for another one")
}

/// An error of Arrow's as the library tells of it.
pub(crate) fn arrow(source: ArrowError) -> SynaError {
    SynaError::Arrow { source: Arc::new(source) }
}

/// Whether an object is of a class of that library.
pub(crate) fn is_of(object: &Bound<'_, PyAny>, library: &str) -> bool {
    // Whose module is no text is of none.
    let Ok(module) = object.get_type().module() else { return false };
    module.to_str().is_ok_and(|module| module.split('.').next() == Some(library))
}

/// Polars hands out columns of Python objects as the addresses of these, as bytes of a fixed size, which
/// no column of its own has.
fn no_python_objects(data: &Bound<'_, PyAny>, field: &FieldRef) -> PyResult<()> {
    let addresses = |field: &&FieldRef| matches!(field.data_type(), DataType::FixedSizeBinary(_));
    let found = match field.data_type() {
        DataType::Struct(fields) => fields.iter().find(addresses),
        _ => Some(field).filter(addresses),
    };
    let Some(field) = found else { return Ok(()) };
    if !is_of(data, "polars") {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "column {:?} holds Python objects (Polars' Object): cast it to numbers, texts or bytes",
        field.name()
    )))
}
