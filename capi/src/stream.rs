//! Histories as an Arrow C stream: the callbacks that a consumer pulls batches by.
//!
//! Written here rather than taken from `arrow-array`, whose callbacks let a panic end the process,
//! leave the output as it was on errors, and answer every error with `EINVAL`. The specification:
//! <https://arrow.apache.org/docs/format/CStreamInterface.html>.

use std::ffi::{CString, c_char, c_int, c_void};

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, RecordBatch, RecordBatchReader, StructArray};
use arrow_data::ffi::FFI_ArrowArray;
use arrow_schema::SchemaRef;
use arrow_schema::ffi::FFI_ArrowSchema;
use synadb_core::{HistoryStream, ScanStream, SynaError};

use crate::input::Out;
use crate::status::{Failure, Result, callback};

/// Batches that are made as they are asked for.
pub(crate) trait Batches: Send {
    fn schema(&self) -> SchemaRef;
    fn next_batch(&mut self) -> synadb_core::Result<Option<RecordBatch>>;
}

impl Batches for HistoryStream {
    fn schema(&self) -> SchemaRef {
        RecordBatchReader::schema(self)
    }

    fn next_batch(&mut self) -> synadb_core::Result<Option<RecordBatch>> {
        HistoryStream::next_batch(self)
    }
}

impl Batches for ScanStream {
    fn schema(&self) -> SchemaRef {
        RecordBatchReader::schema(self)
    }

    fn next_batch(&mut self) -> synadb_core::Result<Option<RecordBatch>> {
        ScanStream::next_batch(self)
    }
}

/// One batch, there already.
pub(crate) struct OneBatch {
    schema: SchemaRef,
    batch: Option<RecordBatch>,
}

impl From<RecordBatch> for OneBatch {
    fn from(batch: RecordBatch) -> Self {
        OneBatch { schema: batch.schema(), batch: Some(batch) }
    }
}

impl Batches for OneBatch {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn next_batch(&mut self) -> synadb_core::Result<Option<RecordBatch>> {
        Ok(self.batch.take())
    }
}

/// What a stream keeps for its consumer.
struct Private {
    batches: Box<dyn Batches>,
    /// The message of the last error; stays where it is until the next call.
    last_error: Option<CString>,
}

/// A stream that owns `batches`.
pub(crate) fn export(batches: impl Batches + 'static) -> FFI_ArrowArrayStream {
    let private = Box::new(Private { batches: Box::new(batches), last_error: None });
    FFI_ArrowArrayStream {
        get_schema: Some(get_schema),
        get_next: Some(get_next),
        get_last_error: Some(get_last_error),
        release: Some(release),
        private_data: Box::into_raw(private).cast::<c_void>(),
    }
}

/// # Safety
///
/// `stream` is NULL, released, or one that [`export`] made, and used by one thread at a time.
unsafe fn private<'a>(stream: *mut FFI_ArrowArrayStream) -> Option<&'a mut Private> {
    // SAFETY: by the contract above; `private_data` is a `Private` until `release` sets it to NULL.
    unsafe { stream.as_mut()?.private_data.cast::<Private>().as_mut() }
}

/// # Safety
///
/// As for [`private`].
unsafe fn answer(
    stream: *mut FFI_ArrowArrayStream,
    name: &'static str,
    call: impl FnOnce(&mut Private) -> Result<()>,
) -> c_int {
    // SAFETY: by the contract above.
    let Some(private) = (unsafe { private(stream) }) else { return libc::EINVAL };
    private.last_error = None;
    let Err(failure) = callback(name, || call(private)) else { return 0 };
    let mut message = failure.to_string().into_bytes();
    message.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'?');
    private.last_error = CString::new(message).ok();
    errno_of(&failure)
}

/// The number that a consumer gets; it has to be positive and one of `errno.h`.
fn errno_of(failure: &Failure) -> c_int {
    match failure {
        Failure::NoMemory | Failure::Store(SynaError::OutOfMemory { .. }) => libc::ENOMEM,
        Failure::Store(SynaError::Io { source, .. }) => source.raw_os_error().unwrap_or(libc::EIO),
        Failure::Store(SynaError::Corrupt { .. }) => libc::EIO,
        Failure::Store(SynaError::Closed | SynaError::ForkedHandle) => libc::EBADF,
        Failure::Store(SynaError::ColumnTooLarge { .. }) => libc::EOVERFLOW,
        Failure::Panic(_) => libc::EFAULT,
        _ => libc::EINVAL,
    }
}

unsafe extern "C" fn get_schema(
    stream: *mut FFI_ArrowArrayStream,
    out: *mut FFI_ArrowSchema,
) -> c_int {
    // SAFETY: the specification makes the consumer promise what `Out` and `private` ask for.
    unsafe {
        let out = Out::new(out, FFI_ArrowSchema::empty());
        answer(stream, "ArrowArrayStream.get_schema", |private| {
            out.require()?;
            let schema = private.batches.schema();
            out.set(FFI_ArrowSchema::try_from(schema.as_ref()).map_err(arrow)?);
            Ok(())
        })
    }
}

unsafe extern "C" fn get_next(
    stream: *mut FFI_ArrowArrayStream,
    out: *mut FFI_ArrowArray,
) -> c_int {
    // SAFETY: as in `get_schema`.
    unsafe {
        // An array that is released is also what says that there is no more.
        let out = Out::new(out, FFI_ArrowArray::empty());
        answer(stream, "ArrowArrayStream.get_next", |private| {
            out.require()?;
            if let Some(batch) = private.batches.next_batch()? {
                out.set(FFI_ArrowArray::new(&StructArray::from(batch).to_data()));
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn get_last_error(stream: *mut FFI_ArrowArrayStream) -> *const c_char {
    // SAFETY: as in `get_schema`.
    let private = unsafe { private(stream) };
    private
        .and_then(|private| private.last_error.as_ref())
        .map_or(std::ptr::null(), |message| message.as_ptr())
}

unsafe extern "C" fn release(stream: *mut FFI_ArrowArrayStream) {
    // SAFETY: as in `get_schema`; `private_data` came from `Box::into_raw` and is taken once.
    unsafe {
        let Some(stream) = stream.as_mut() else { return };
        let private = std::mem::replace(&mut stream.private_data, std::ptr::null_mut());
        stream.get_schema = None;
        stream.get_next = None;
        stream.get_last_error = None;
        stream.release = None;
        if !private.is_null() {
            let private = Box::from_raw(private.cast::<Private>());
            // A panic in here would be a bug of ours and must not end the consumer.
            let _ = callback("ArrowArrayStream.release", || {
                drop(private);
                Ok(())
            });
        }
    }
}

pub(crate) fn arrow(error: arrow_schema::ArrowError) -> Failure {
    Failure::Arrow(error.to_string())
}
