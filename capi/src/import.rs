//! Arrow arrays and streams of the caller's, which are to be written.
//!
//! What is imported is moved: whatever comes of it, the caller's struct is marked released, and the
//! producer's release callback runs here, once. Only what is NULL or released already is refused
//! untouched.

use arrow_array::RecordBatch;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_data::ffi::FFI_ArrowArray;
use arrow_schema::ffi::FFI_ArrowSchema;
use synadb_core::bindings::{CBatches, CStream, batch_of, import_array};

use crate::arrow::{ArrowArray, ArrowArrayStream, ArrowSchema};
use crate::status::{Failure, Result};
use crate::stream::arrow;

/// Takes an array and its schema over.
///
/// # Safety
///
/// Both are NULL or as the C Data Interface wants them, and nobody else uses them until the call
/// ends.
pub(crate) unsafe fn take_array(
    array: *mut ArrowArray,
    schema: *mut ArrowSchema,
) -> Result<(FFI_ArrowArray, FFI_ArrowSchema)> {
    let (array, schema) = (array.cast::<FFI_ArrowArray>(), schema.cast::<FFI_ArrowSchema>());
    if array.is_null() || schema.is_null() {
        return Err(Failure::Argument("an Arrow struct is NULL"));
    }
    if !array.is_aligned() || !schema.is_aligned() {
        return Err(Failure::Argument("an Arrow struct is not aligned"));
    }
    // SAFETY: by the contract above; not NULL, and aligned.
    unsafe {
        if (*array).release.is_none() || (*schema).release.is_none() {
            return Err(Failure::Argument("an Arrow struct was released already"));
        }
        Ok((FFI_ArrowArray::from_raw(array), FFI_ArrowSchema::from_raw(schema)))
    }
}

/// Takes a stream over.
///
/// # Safety
///
/// It is NULL or as the C Stream Interface wants it, and nobody else uses it until the call ends.
pub(crate) unsafe fn take_stream(stream: *mut ArrowArrayStream) -> Result<FFI_ArrowArrayStream> {
    let stream = stream.cast::<FFI_ArrowArrayStream>();
    if stream.is_null() || !stream.is_aligned() {
        return Err(Failure::Argument("an Arrow struct is NULL or not aligned"));
    }
    // SAFETY: by the contract above; not NULL, and aligned.
    unsafe {
        if (*stream).release.is_none() {
            return Err(Failure::Argument("an Arrow struct was released already"));
        }
        Ok(FFI_ArrowArrayStream::from_raw(stream))
    }
}

/// The record batch that a struct array of the C Data Interface is.
pub(crate) fn batch(array: FFI_ArrowArray, schema: &FFI_ArrowSchema) -> Result<RecordBatch> {
    let batch = import_array(array, schema).and_then(|(_, array)| batch_of(&array));
    batch.map_err(arrow)
}

/// The record batches of a stream.
pub(crate) fn batches(stream: FFI_ArrowArrayStream) -> Result<CBatches> {
    CStream::new(stream).and_then(CStream::batches).map_err(arrow)
}
