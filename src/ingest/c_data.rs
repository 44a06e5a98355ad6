//! Arrow arrays and streams of others, by the C Data and C Stream Interfaces, for the bindings.
//!
//! Offsets, lengths and texts are checked before anything relies on them; that pointers lead to as
//! much memory as they should cannot be.
//!
//! Written here rather than taken from `arrow-array`, whose reader panics where a producer reports
//! an error without a message or contradicts itself, drops the nulls of whole rows, and refuses the
//! columns of nothing but nulls that Polars makes.

#![expect(unsafe_code, reason = "the interfaces are structs of raw pointers and functions")]

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{
    Array, ArrayRef, RecordBatch, RecordBatchOptions, RecordBatchReader, make_array,
};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};

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

/// The field that a C schema is.
fn field_of(schema: &FFI_ArrowSchema) -> Result<FieldRef, ArrowError> {
    // SAFETY: whoever made the schema promises that it is as the interface wants it.
    unsafe { check_schema(schema, 0) }?;
    contradiction(|| Field::try_from(schema).map(FieldRef::new))
}

/// A producer whose structs contradict themselves makes the import panic: that is its bug.
fn contradiction<T>(import: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    catch_unwind(AssertUnwindSafe(import)).unwrap_or_else(|payload| {
        std::mem::forget(payload);
        Err(fault("the structs of the C Data Interface contradict themselves"))
    })
}

/// Columns of nothing but nulls have no buffers, and Polars gives them one.
///
/// # Safety
///
/// The array is as the C Data Interface wants it, and nobody else uses it.
unsafe fn take_buffers_of_nulls(array: &mut FFI_ArrowArray, data_type: &DataType) {
    match data_type {
        // What the release callback frees, it finds by its private data.
        DataType::Null => array.n_buffers = 0,
        DataType::Struct(fields) => {
            for (at, field) in fields.iter().enumerate() {
                // SAFETY: by the contract above; there are as many children as fields, none NULL.
                unsafe {
                    let child = array.children.add(at).read_unaligned();
                    take_buffers_of_nulls(&mut *child, field.data_type());
                }
            }
        }
        _ => {}
    }
}

/// Checks of an array what producers get wrong most often, before it becomes a panic that is caught.
///
/// # Safety
///
/// The array is as the C Data Interface wants it; children may be NULL.
unsafe fn check_array(array: &FFI_ArrowArray, data_type: &DataType) -> Result<(), ArrowError> {
    if array.length < 0 || array.offset < 0 {
        return Err(fault("the array's length or offset is below 0"));
    }
    let DataType::Struct(fields) = data_type else { return Ok(()) };
    if usize::try_from(array.n_children).ok() != Some(fields.len()) {
        return Err(fault("the array has not as many columns as its schema"));
    }
    let end =
        array.offset.checked_add(array.length).ok_or_else(|| fault("the array is too long"))?;
    // SAFETY: by the contract above.
    let children = unsafe { children_of(array.children, array.n_children) }?;
    for (child, field) in children.into_iter().zip(fields) {
        if child.length < end {
            return Err(fault("a column is shorter than the array"));
        }
        // SAFETY: by the contract above.
        unsafe { check_array(child, field.data_type()) }?;
    }
    Ok(())
}

fn array_of(mut array: FFI_ArrowArray, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    // SAFETY: whoever made the array promises that it is as the interface wants it; what can be
    // checked of it is checked before it is used.
    unsafe {
        check_array(&array, data_type)?;
        take_buffers_of_nulls(&mut array, data_type);
    }
    contradiction(|| {
        // SAFETY: as above.
        let data = unsafe { from_ffi_and_data_type(array, data_type.clone()) }?;
        data.validate_full()?;
        Ok(make_array(data))
    })
}

/// An array of the C Data Interface.
///
/// # Errors
///
/// `ArrowError` for what can be seen to be wrong with it.
pub fn import_array(
    array: FFI_ArrowArray,
    schema: &FFI_ArrowSchema,
) -> Result<(FieldRef, ArrayRef), ArrowError> {
    let field = field_of(schema)?;
    let array = array_of(array, field.data_type())?;
    Ok((field, array))
}

/// The record batch that an array of structs is.
///
/// # Errors
///
/// `ArrowError` if it is another array, or a row of it is null as a whole.
pub fn batch_of(array: &ArrayRef) -> Result<RecordBatch, ArrowError> {
    let rows = array.as_struct_opt().ok_or_else(|| fault("the rows of a table are no structs"))?;
    if let Some(nulls) = rows.nulls()
        && let Some(row) = (0..rows.len()).find(|row| nulls.is_null(*row))
    {
        return Err(ArrowError::InvalidArgumentError(format!(
            "row {row} of a batch is null as a whole, and only its values may be: filter such rows out"
        )));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let schema = SchemaRef::new(Schema::new(rows.fields().clone()));
    RecordBatch::try_new_with_options(schema, rows.columns().to_vec(), &options)
}

/// The arrays of a stream of the C Stream Interface. The first error is its end.
pub struct CStream {
    stream: FFI_ArrowArrayStream,
    field: FieldRef,
    ended: bool,
}

impl CStream {
    /// Asks the producer what it has.
    ///
    /// # Errors
    ///
    /// That of the producer, and `ArrowError` for what can be seen to be wrong with its schema.
    pub fn new(mut stream: FFI_ArrowArrayStream) -> Result<CStream, ArrowError> {
        let mut schema = FFI_ArrowSchema::empty();
        let get_schema = stream.get_schema;
        let status = match get_schema {
            // SAFETY: whoever made the stream promises that it is as its interface wants it.
            Some(get_schema) => unsafe { get_schema(&mut stream, &mut schema) },
            None => NO_FUNCTION,
        };
        if status != 0 {
            return Err(error_of(&mut stream, status));
        }
        let field = field_of(&schema)?;
        Ok(CStream { stream, field, ended: false })
    }

    /// The type of its arrays.
    pub fn field(&self) -> &FieldRef {
        &self.field
    }

    /// As a reader of record batches.
    ///
    /// # Errors
    ///
    /// `ArrowError` if its arrays are no structs.
    pub fn batches(self) -> Result<CBatches, ArrowError> {
        match self.field.data_type() {
            DataType::Struct(fields) => {
                let schema = SchemaRef::new(Schema::new(fields.clone()));
                Ok(CBatches { arrays: self, schema })
            }
            _ => Err(fault("the rows of a table are no structs")),
        }
    }

    fn next_array(&mut self) -> Result<Option<ArrayRef>, ArrowError> {
        let mut array = FFI_ArrowArray::empty();
        let get_next = self.stream.get_next;
        let status = match get_next {
            // SAFETY: as in `new`.
            Some(get_next) => unsafe { get_next(&mut self.stream, &mut array) },
            None => NO_FUNCTION,
        };
        if status != 0 {
            return Err(error_of(&mut self.stream, status));
        }
        if array.release.is_none() {
            return Ok(None);
        }
        array_of(array, self.field.data_type()).map(Some)
    }
}

impl Iterator for CStream {
    type Item = Result<ArrayRef, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let array = self.next_array().transpose();
        self.ended = !matches!(array, Some(Ok(_)));
        array
    }
}

/// The record batches of a stream of the C Stream Interface.
pub struct CBatches {
    arrays: CStream,
    schema: SchemaRef,
}

impl Iterator for CBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.arrays.next()?.and_then(|array| batch_of(&array)))
    }
}

impl RecordBatchReader for CBatches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// EINVAL, for a stream without one of its functions.
const NO_FUNCTION: i32 = 22;

/// What the producer says about its error, if anything.
fn error_of(stream: &mut FFI_ArrowArrayStream, status: i32) -> ArrowError {
    let get_last_error = stream.get_last_error;
    let message = match get_last_error {
        // SAFETY: as in `CStream::new`; the string is the producer's until its next call.
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
