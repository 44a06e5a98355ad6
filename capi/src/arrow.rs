//! Histories as Arrow structs and as Arrow bytes.

use std::io;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, RecordBatch, RecordBatchReader, StructArray};
use arrow_data::ffi::FFI_ArrowArray;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::ArrowError;
use arrow_schema::ffi::FFI_ArrowSchema;
use synadb_core::{History, HistoryStream};

use crate::input::Out;
use crate::memory;
use crate::status::{Failure, Result, status};
use crate::stream::{self, Batches};

/// Bytes of the Arrow IPC streaming format.
pub const SYNA_IPC_STREAM: i32 = 1;
/// Bytes of the Arrow IPC file format ("Feather V2").
pub const SYNA_IPC_FILE: i32 = 2;

/// `struct ArrowArray` of the C Data Interface, as the header has it.
pub struct ArrowArray {
    _fields: FFI_ArrowArray,
}

/// `struct ArrowSchema` of the C Data Interface, as the header has it.
pub struct ArrowSchema {
    _fields: FFI_ArrowSchema,
}

/// `struct ArrowArrayStream` of the C Stream Interface, as the header has it.
pub struct ArrowArrayStream {
    _fields: FFI_ArrowArrayStream,
}

/// The places of an array and its schema, which hold released ones until there is something.
struct OutArray {
    array: Out<FFI_ArrowArray>,
    schema: Out<FFI_ArrowSchema>,
}

impl OutArray {
    /// # Safety
    ///
    /// As for [`Out::new`].
    unsafe fn new(array: *mut ArrowArray, schema: *mut ArrowSchema) -> OutArray {
        // SAFETY: by the contract above; the structs are laid out as the header has them.
        unsafe {
            OutArray {
                array: Out::new(array.cast(), FFI_ArrowArray::empty()),
                schema: Out::new(schema.cast(), FFI_ArrowSchema::empty()),
            }
        }
    }

    fn require(&self) -> Result<()> {
        self.array.require()?;
        self.schema.require()
    }

    /// Hands out a batch as one struct array.
    fn export(&self, batch: RecordBatch) -> Result<()> {
        let schema =
            FFI_ArrowSchema::try_from(batch.schema_ref().as_ref()).map_err(stream::arrow)?;
        self.array.set(FFI_ArrowArray::new(&StructArray::from(batch).to_data()));
        self.schema.set(schema);
        Ok(())
    }
}

/// A call that hands out a batch as an array and its schema.
///
/// # Safety
///
/// As for [`OutArray::new`].
pub(crate) unsafe fn array_call(
    name: &'static str,
    out_array: *mut ArrowArray,
    out_schema: *mut ArrowSchema,
    batch: impl FnOnce() -> Result<RecordBatch>,
) -> i32 {
    // SAFETY: by the contract above.
    let out = unsafe { OutArray::new(out_array, out_schema) };
    status(name, || {
        out.require()?;
        out.export(batch()?)
    })
}

/// A call that hands out a stream of batches.
///
/// # Safety
///
/// As for [`Out::new`].
pub(crate) unsafe fn stream_call<B: Batches + 'static>(
    name: &'static str,
    out: *mut ArrowArrayStream,
    batches: impl FnOnce() -> Result<B>,
) -> i32 {
    // SAFETY: by the contract above; the struct is laid out as the header has it.
    let out: Out<FFI_ArrowArrayStream> =
        unsafe { Out::new(out.cast(), FFI_ArrowArrayStream::empty()) };
    status(name, || {
        out.require()?;
        out.set(stream::export(batches()?));
        Ok(())
    })
}

/// Grows by as much as the system has, and says so when it has no more.
#[derive(Default)]
struct Sink(Vec<u8>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_reserve(bytes.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ipc_failure(error: ArrowError) -> Failure {
    match error {
        ArrowError::IoError(_, source) if source.kind() == io::ErrorKind::OutOfMemory => {
            Failure::NoMemory
        }
        other => stream::arrow(other),
    }
}

/// Hands out the points of a history as bytes of an Arrow IPC format.
pub(crate) fn ipc(history: &History, format: i32, out_len: &Out<usize>) -> Result<*mut u8> {
    let mut batches = history.stream()?;
    let schema = RecordBatchReader::schema(&batches);
    let mut sink = Sink::default();
    match format {
        SYNA_IPC_STREAM => {
            let mut writer = StreamWriter::try_new(&mut sink, &schema).map_err(ipc_failure)?;
            each(&mut batches, |batch| writer.write(batch))?;
            writer.finish().map_err(ipc_failure)?;
        }
        SYNA_IPC_FILE => {
            let mut writer = FileWriter::try_new(&mut sink, &schema).map_err(ipc_failure)?;
            each(&mut batches, |batch| writer.write(batch))?;
            writer.finish().map_err(ipc_failure)?;
        }
        _ => return Err(Failure::Argument("format is none of SYNA_IPC_*")),
    }
    let len = sink.0.len();
    let bytes = memory::bytes(sink.0)?;
    out_len.set(len);
    Ok(bytes)
}

fn each(
    batches: &mut HistoryStream,
    mut write: impl FnMut(&RecordBatch) -> Result<(), ArrowError>,
) -> Result<()> {
    while let Some(batch) = batches.next_batch()? {
        write(&batch).map_err(ipc_failure)?;
    }
    Ok(())
}
