//! Arrow's memory as NumPy's, in both directions, without NumPy at build time.
//!
//! NumPy takes and gives memory by an attribute, `__array_interface__`: an address, a type and a shape.
//! (The buffer protocol is part of the stable ABI from Python 3.11 on only.)

#![expect(unsafe_code, reason = "memory of Python objects becomes an Arrow buffer")]

use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::{ArrowNativeType, Buffer};
use pyo3::exceptions::PyBufferError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use synadb::SynaError;

use crate::errors::Raise;

/// Room for so many items. Without it Python goes on: the allocator of a plain `Vec` ends the process.
pub(crate) fn room_for<T>(len: usize) -> PyResult<Vec<T>> {
    let mut room = Vec::new();
    let bytes = len.saturating_mul(size_of::<T>()) as u64;
    room.try_reserve_exact(len).map_err(|_| SynaError::OutOfMemory { bytes }).raise()?;
    Ok(room)
}

/// Memory of an Arrow buffer with a type that NumPy knows. Keeps the buffer alive.
#[pyclass(frozen, module = "synadb._synadb")]
pub(crate) struct Memory {
    /// Holds the memory.
    buffer: Buffer,
    typestr: &'static str,
    len: usize,
    read_only: bool,
}

impl Memory {
    /// `len` values of type `typestr` from the start of `buffer`, as a read-only NumPy array that
    /// shares memory.
    pub(crate) fn array_of<'py>(
        py: Python<'py>,
        buffer: Buffer,
        typestr: &'static str,
        len: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        Memory { buffer, typestr, len, read_only: true }.array(py)
    }

    /// Values as a NumPy array of their own, which may be written.
    pub(crate) fn own_array<'py, T: ArrowNativeType>(
        py: Python<'py>,
        values: Vec<T>,
        typestr: &'static str,
    ) -> PyResult<Bound<'py, PyAny>> {
        // The buffer is the only one on this memory, so whoever writes to it disturbs nobody.
        let (len, buffer) = (values.len(), Buffer::from_vec(values));
        Memory { buffer, typestr, len, read_only: false }.array(py)
    }

    /// A tensor, which is nobody else's, as a NumPy array that may be written.
    pub(crate) fn tensor_array(
        py: Python<'_>,
        tensor: synadb::Tensor,
    ) -> PyResult<Bound<'_, PyAny>> {
        let values = tensor.into_buffer();
        let (len, buffer) = (values.len(), values.into_inner());
        Memory { buffer, typestr: "<f8", len, read_only: false }.array(py)
    }

    fn array(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let memory = Bound::new(py, self)?;
        py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (memory,))
    }
}

#[pymethods]
impl Memory {
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("typestr", self.typestr)?;
        interface.set_item("shape", (self.len,))?;
        interface.set_item("data", (self.buffer.as_ptr() as usize, self.read_only))?;
        Ok(interface)
    }
}

/// One-dimensional memory of another object, as its `__array_interface__` describes it.
pub(crate) struct Foreign {
    pub(crate) len: usize,
    pub(crate) buffer: Buffer,
}

/// Keeps the memory: the object, and a view of it which forbids to resize it.
struct Owner {
    _object: Py<PyAny>,
    _view: Option<Py<PyAny>>,
}

/// The memory of a one-dimensional, contiguous, aligned NumPy array; None if it is another one.
///
/// Nobody may write to it while it is read here: what another thread changes meanwhile may be stored
/// half changed, as with everything that shares memory.
pub(crate) fn foreign(array: &Bound<'_, PyAny>) -> PyResult<Option<Foreign>> {
    let py = array.py();
    let Ok(interface) = array.getattr(intern!(py, "__array_interface__")) else { return Ok(None) };
    let interface = interface.cast::<PyDict>()?;
    let item = |name| interface.get_item(name).ok().flatten().filter(|item| !item.is_none());
    let (Some(typestr), Some(shape), Some(data)) = (item("typestr"), item("shape"), item("data"))
    else {
        return Ok(None);
    };
    let typestr: String = typestr.extract()?;
    let shape = shape.cast::<PyTuple>()?;
    let (address, _): (usize, bool) = data.extract()?;
    let Ok((len,)) = shape.extract::<(usize,)>() else { return Ok(None) };
    let size = typestr.get(2..).and_then(|digits| {
        digits.bytes().take_while(u8::is_ascii_digit).try_fold(0usize, |size, digit| {
            size.checked_mul(10)?.checked_add(usize::from(digit - b'0'))
        })
    });
    let Some(size @ 1..) = size else { return Ok(None) };
    if let Some(strides) = item("strides") {
        let (stride,): (isize,) = strides.extract()?;
        if usize::try_from(stride) != Ok(size) && len > 1 {
            return Ok(None);
        }
    }
    let bytes = len.checked_mul(size).ok_or_else(|| PyBufferError::new_err("too many items"))?;
    let Some(pointer) = NonNull::new(address as *mut u8).filter(|_| address % size.min(8) == 0)
    else {
        return Ok(None);
    };
    // Not all types have buffers (dates have none); what has cannot be resized while this lives.
    let view =
        py.import(intern!(py, "builtins"))?.getattr(intern!(py, "memoryview"))?.call1((array,));
    let owner = Owner { _object: array.clone().unbind(), _view: view.ok().map(Bound::unbind) };
    // SAFETY: the object says that `bytes` bytes lie at `address`, and keeps them as long as it lives,
    // which `owner` ensures. That it does not lie is the contract of `__array_interface__`; that nobody
    // writes meanwhile is asked of the caller.
    let buffer = unsafe {
        Buffer::from_custom_allocation(pointer, bytes, Arc::new(AssertUnwindSafe(owner)))
    };
    Ok(Some(Foreign { len, buffer }))
}
