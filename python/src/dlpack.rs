//! Columns of numbers as DLPack tensors: shared and read-only, or an owned copy that may be written.
//!
//! The structures are those of `dlpack.h` 1.0: first the one without versions, which cannot say that
//! memory is read-only, and so is always given a copy of its own; then the versioned one.

#![expect(unsafe_code, reason = "DLPack is an exchange of raw structures in capsules")]

use std::ffi::{CStr, c_void};
use std::ptr;

use arrow_buffer::Buffer;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::memory::room_for;

#[repr(C)]
#[derive(Clone, Copy)]
struct Device {
    device_type: i32,
    device_id: i32,
}

/// kDLCPU, number 0: all our memory is there.
pub(crate) const CPU: (i32, i32) = (1, 0);

/// Type of the items.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct DataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

/// kDLInt of 64 bits.
pub(crate) const INT: DataType = DataType { code: 0, bits: 64, lanes: 1 };
/// kDLFloat of 64 bits.
pub(crate) const FLOAT: DataType = DataType { code: 2, bits: 64, lanes: 1 };

#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device: Device,
    ndim: i32,
    dtype: DataType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct Managed {
    tensor: Tensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}

#[repr(C)]
struct Version {
    major: u32,
    minor: u32,
}

#[repr(C)]
struct ManagedVersioned {
    version: Version,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut ManagedVersioned)>,
    flags: u64,
    tensor: Tensor,
}

const FLAG_READ_ONLY: u64 = 1;
const FLAG_IS_COPIED: u64 = 2;

const NAME: &CStr = c"dltensor";
const NAME_VERSIONED: &CStr = c"dltensor_versioned";

/// What an owned copy consists of: tensors begin at multiples of 64 bytes.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u64; 8]);

/// The memory of a tensor.
enum Memory {
    Shared(Buffer),
    Owned(Vec<Line>),
}

impl Memory {
    fn address(&mut self) -> *mut c_void {
        match self {
            // Read-only by the flag that goes with it.
            Memory::Shared(buffer) => buffer.as_ptr().cast_mut().cast(),
            Memory::Owned(buffer) => buffer.as_mut_ptr().cast(),
        }
    }
}

/// A structure with what its pointers lead to, in one allocation that its deleter frees.
struct Exported<M> {
    managed: M,
    memory: Memory,
    shape: [i64; 1],
    strides: [i64; 1],
}

/// The structures that are exported: how their parts are found.
trait Manage: Sized + 'static {
    const NAME: &'static CStr;
    fn new(tensor: Tensor, flags: u64) -> Self;
    fn tensor(&mut self) -> &mut Tensor;
    fn set_context(&mut self, context: *mut c_void);
    fn context(&self) -> *mut c_void;
}

impl Manage for Managed {
    const NAME: &'static CStr = NAME;

    fn new(tensor: Tensor, _: u64) -> Self {
        Managed { tensor, context: ptr::null_mut(), deleter: Some(delete::<Managed>) }
    }

    fn tensor(&mut self) -> &mut Tensor {
        &mut self.tensor
    }

    fn set_context(&mut self, context: *mut c_void) {
        self.context = context;
    }

    fn context(&self) -> *mut c_void {
        self.context
    }
}

impl Manage for ManagedVersioned {
    const NAME: &'static CStr = NAME_VERSIONED;

    fn new(tensor: Tensor, flags: u64) -> Self {
        let (version, context) = (Version { major: 1, minor: 0 }, ptr::null_mut());
        let deleter = Some(delete::<ManagedVersioned> as unsafe extern "C" fn(*mut Self));
        ManagedVersioned { version, context, deleter, flags, tensor }
    }

    fn tensor(&mut self) -> &mut Tensor {
        &mut self.tensor
    }

    fn set_context(&mut self, context: *mut c_void) {
        self.context = context;
    }

    fn context(&self) -> *mut c_void {
        self.context
    }
}

/// Frees an exported tensor. Any thread may call it, with or without the interpreter, also after the
/// interpreter is gone: nothing of Python's is in there.
///
/// # Safety
///
/// `managed` must be null or the structure of an [`Exported`] made by [`export`] that was not freed yet.
unsafe extern "C" fn delete<M: Manage>(managed: *mut M) {
    // SAFETY: asked of the caller.
    let Some(managed) = (unsafe { managed.as_ref() }) else { return };
    let exported: *mut Exported<M> = managed.context().cast();
    // SAFETY: the context of such a structure is the pointer that `export` took out of a box, and it is
    // freed once, as asked of the caller.
    drop(unsafe { Box::from_raw(exported) });
}

/// Frees the tensor of a capsule that nobody has taken: whoever takes one renames its capsule.
///
/// # Safety
///
/// `capsule` must be a capsule made by [`export`]; the interpreter calls it once, when it goes.
unsafe extern "C" fn destroy<M: Manage>(capsule: *mut ffi::PyObject) {
    // SAFETY: a capsule, by the contract of this function; the interpreter is attached.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, M::NAME.as_ptr()) == 1 {
            let managed: *mut M = ffi::PyCapsule_GetPointer(capsule, M::NAME.as_ptr()).cast();
            delete(managed);
        }
    }
}

fn export<M: Manage>(
    py: Python<'_>,
    memory: Memory,
    dtype: DataType,
    len: usize,
    flags: u64,
) -> PyResult<Bound<'_, PyAny>> {
    let len = i64::try_from(len).map_err(|_| PyBufferError::new_err("too many items"))?;
    let tensor = Tensor {
        data: ptr::null_mut(),
        device: Device { device_type: CPU.0, device_id: CPU.1 },
        ndim: 1,
        dtype,
        shape: ptr::null_mut(),
        strides: ptr::null_mut(),
        byte_offset: 0,
    };
    let managed = M::new(tensor, flags);
    let exported =
        Box::into_raw(Box::new(Exported { managed, memory, shape: [len], strides: [1] }));
    // SAFETY: the pointer was just taken out of a box, and nobody else knows it. The addresses of its
    // parts stay what they are until `delete` frees it. A capsule that cannot be made leaves it to us.
    unsafe {
        let parts = &mut *exported;
        let (data, shape) = (parts.memory.address(), parts.shape.as_mut_ptr());
        let strides = parts.strides.as_mut_ptr();
        let tensor = parts.managed.tensor();
        (tensor.data, tensor.shape, tensor.strides) = (data, shape, strides);
        parts.managed.set_context(exported.cast());
        let managed: *mut M = &raw mut (*exported).managed;
        let capsule = ffi::PyCapsule_New(managed.cast(), M::NAME.as_ptr(), Some(destroy::<M>));
        Bound::from_owned_ptr_or_err(py, capsule).inspect_err(|_| delete(managed))
    }
}

/// `len` items of 8 bytes as a tensor in a capsule.
///
/// Without `versioned`, or with `copy`, it is an owned copy that may be written; else it shares the
/// memory and says that it is read-only.
pub(crate) fn capsule(
    py: Python<'_>,
    buffer: Buffer,
    dtype: DataType,
    len: usize,
    versioned: bool,
    copy: bool,
) -> PyResult<Bound<'_, PyAny>> {
    if versioned && !copy {
        return export::<ManagedVersioned>(py, Memory::Shared(buffer), dtype, len, FLAG_READ_ONLY);
    }
    let lines = buffer.len().div_ceil(size_of::<Line>());
    let mut copied = room_for::<Line>(lines)?;
    py.detach(|| {
        // SAFETY: there is room for as many bytes, and nobody else knows of it. The last line is written
        // whole before, so that all that the length covers is.
        unsafe {
            if let Some(last) = lines.checked_sub(1) {
                copied.as_mut_ptr().add(last).write(Line([0; 8]));
            }
            ptr::copy_nonoverlapping(buffer.as_ptr(), copied.as_mut_ptr().cast(), buffer.len());
            copied.set_len(lines);
        }
    });
    let memory = Memory::Owned(copied);
    if versioned {
        export::<ManagedVersioned>(py, memory, dtype, len, FLAG_IS_COPIED)
    } else {
        export::<Managed>(py, memory, dtype, len, 0)
    }
}
