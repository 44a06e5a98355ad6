//! Arrow arrays and streams of the caller's, which are to be written.
//!
//! What is imported is moved: whatever comes of it, the caller's struct is marked released, and the
//! producer's release callback runs here, once. Only what is NULL or released already is refused
//! untouched. Offsets, lengths and texts are checked before anything relies on them; that pointers
//! lead to as much memory as they should cannot be.
//!
//! Written here rather than taken from `arrow-array`, whose reader panics where a producer reports
//! an error without a message, and drops the nulls of whole rows.

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchOptions, StructArray};
use arrow_data::ffi::FFI_ArrowArray;
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{ArrowError, DataType, Fields, Schema, SchemaRef};

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

fn fault(what: &str) -> ArrowError {
    ArrowError::CDataInterface(what.to_owned())
}

/// Structs nest no deeper; following them takes stack.
const DEPTH_MAX: u32 = 64;
/// Entries of a schema's metadata; room for as many as it says there are is made before they are read.
const METADATA_ENTRIES_MAX: i32 = 1 << 16;

/// The children of a struct, which there are as many of as it says.
///
/// # Safety
///
/// `children` is NULL or points to `count` pointers, each NULL or to a child.
unsafe fn children_of<'a, T>(children: *mut *mut T, count: i64) -> Result<Vec<&'a T>, ArrowError> {
    let count = usize::try_from(count).map_err(|_| fault("the number of children is below 0"))?;
    if count > 0 && children.is_null() {
        return Err(fault("there should be children, and the pointer to them is NULL"));
    }
    // SAFETY: by the contract above.
    let child_at = |at| unsafe { children.add(at).read_unaligned().as_ref() };
    (0..count).map(|at| child_at(at).ok_or_else(|| fault("a child is NULL"))).collect()
}

/// Checks of a schema what makes the import panic, or take what it cannot have.
///
/// # Safety
///
/// What it points to is as the C Data Interface wants it; strings may be NULL or no UTF-8, and children
/// NULL.
unsafe fn check_schema(schema: &FFI_ArrowSchema, depth: u32) -> Result<(), ArrowError> {
    if depth > DEPTH_MAX {
        return Err(fault("a type is nested too deeply"));
    }
    // SAFETY: by the contract above.
    unsafe {
        if schema.format.is_null() {
            return Err(fault("a format is NULL"));
        }
        let is_utf8 = |text: *const c_char| text.is_null() || CStr::from_ptr(text).to_str().is_ok();
        if !is_utf8(schema.format) || !is_utf8(schema.name) {
            return Err(fault("a format or a name is not valid UTF-8"));
        }
        if !schema.metadata.is_null() {
            let entries = schema.metadata.cast::<i32>().read_unaligned();
            if !(0..=METADATA_ENTRIES_MAX).contains(&entries) {
                return Err(fault("the metadata have too many entries"));
            }
        }
        for child in children_of(schema.children, schema.n_children)? {
            check_schema(child, depth + 1)?;
        }
        schema.dictionary.as_ref().map_or(Ok(()), |values| check_schema(values, depth + 1))
    }
}

/// The schema that a C schema is.
fn schema_of(schema: &FFI_ArrowSchema) -> Result<SchemaRef> {
    // SAFETY: the caller promises that the schema is as the interface wants it.
    unsafe { check_schema(schema, 0) }.map_err(arrow)?;
    Ok(SchemaRef::new(contradiction(|| Schema::try_from(schema)).map_err(arrow)?))
}

/// A producer whose structs contradict themselves makes the import panic: that is its bug.
fn contradiction<T>(import: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    catch_unwind(AssertUnwindSafe(import)).unwrap_or_else(|payload| {
        std::mem::forget(payload);
        Err(fault("the structs of the C Data Interface contradict themselves"))
    })
}

/// The record batch that a struct array of the C Data Interface is.
pub(crate) fn batch(array: FFI_ArrowArray, schema: &FFI_ArrowSchema) -> Result<RecordBatch> {
    batch_of(array, &schema_of(schema)?).map_err(arrow)
}

fn batch_of(array: FFI_ArrowArray, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let fields: Fields = schema.fields().clone();
    // What producers get wrong most often, before it becomes a panic that is caught.
    if usize::try_from(array.n_children).ok() != Some(fields.len()) {
        return Err(fault("the array has not as many columns as its schema"));
    }
    if array.length < 0 || array.offset < 0 {
        return Err(fault("the array's length or offset is below 0"));
    }
    let end =
        array.offset.checked_add(array.length).ok_or_else(|| fault("the array is too long"))?;
    // SAFETY: the caller promises that the array is as the interface wants it.
    if unsafe { children_of(array.children, array.n_children) }?.iter().any(|c| c.length < end) {
        return Err(fault("a column is shorter than the array"));
    }
    contradiction(|| {
        // SAFETY: the caller promises that the array is as the interface wants it; what can be
        // checked of it is checked before it is used.
        let data =
            unsafe { arrow_array::ffi::from_ffi_and_data_type(array, DataType::Struct(fields)) }?;
        data.validate_full()?;
        let rows = data.len();
        let (_, columns, nulls) = StructArray::from(data).into_parts();
        if nulls.is_some_and(|nulls| nulls.null_count() > 0) {
            return Err(fault("a row as a whole is null: only its values may be"));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)
    })
}

/// The batches of a stream.
pub(crate) struct Reader {
    stream: FFI_ArrowArrayStream,
    schema: SchemaRef,
    ended: bool,
}

impl Reader {
    /// Asks the producer for its schema.
    pub(crate) fn new(mut stream: FFI_ArrowArrayStream) -> Result<Reader> {
        let mut schema = FFI_ArrowSchema::empty();
        let get_schema = stream.get_schema;
        let status = match get_schema {
            // SAFETY: the caller promises that the stream is as its interface wants it.
            Some(get_schema) => unsafe { get_schema(&mut stream, &mut schema) },
            None => libc::EINVAL,
        };
        if status != 0 {
            return Err(arrow(error_of(&mut stream, status)));
        }
        let schema = schema_of(&schema)?;
        Ok(Reader { stream, schema, ended: false })
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let mut array = FFI_ArrowArray::empty();
        let get_next = self.stream.get_next;
        let status = match get_next {
            // SAFETY: as in `new`.
            Some(get_next) => unsafe { get_next(&mut self.stream, &mut array) },
            None => libc::EINVAL,
        };
        if status != 0 {
            return Err(error_of(&mut self.stream, status));
        }
        if array.release.is_none() {
            return Ok(None);
        }
        batch_of(array, &self.schema).map(Some)
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.next_batch().transpose();
        self.ended = !matches!(batch, Some(Ok(_)));
        batch
    }
}

/// What the producer says about its error, if anything.
fn error_of(stream: &mut FFI_ArrowArrayStream, status: i32) -> ArrowError {
    let get_last_error = stream.get_last_error;
    let message = match get_last_error {
        // SAFETY: as in `Reader::new`; the string is the producer's until its next call.
        Some(get_last_error) => unsafe {
            let message = get_last_error(stream);
            if message.is_null() {
                None
            } else {
                Some(CStr::from_ptr(message).to_string_lossy().into_owned())
            }
        },
        None => None,
    };
    let message = message.unwrap_or_else(|| "the producer says no more".to_owned());
    ArrowError::CDataInterface(format!("the stream failed with {status}: {message}"))
}
