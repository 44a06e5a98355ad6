//! Arrow arrays and streams of others, by the C Data and C Stream Interfaces, for the bindings.
//!
//! Offsets, lengths, texts and nulls are checked before anything relies on them; that pointers lead to
//! as much memory as they should cannot be.
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
use arrow_buffer::bit_chunk_iterator::UnalignedBitChunk;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};

fn fault(what: &str) -> ArrowError {
    ArrowError::CDataInterface(what.to_owned())
}

/// Structs nest no deeper; following them takes stack.
const DEPTH_MAX: u32 = 64;
/// Fields of a schema, nested ones included: one whose children lead back to it would never end.
const FIELDS_MAX: u32 = 1 << 20;
/// Entries of a schema's metadata; room for as many as it says there are is made before they are read.
const METADATA_ENTRIES_MAX: i32 = 1 << 16;

/// The children of a struct, which there are as many of as it says.
///
/// # Safety
///
/// `children` is NULL or points to `count` pointers; each that is not NULL, and aligned, leads to a child.
unsafe fn children_of<'a, T>(children: *mut *mut T, count: i64) -> Result<Vec<&'a T>, ArrowError> {
    let count = usize::try_from(count).map_err(|_| fault("the number of children is below 0"))?;
    if count > 0 && children.is_null() {
        return Err(fault("there should be children, and the pointer to them is NULL"));
    }
    // SAFETY: by the contract above.
    (0..count)
        .map(|at| unsafe { struct_at(children.add(at).read_unaligned(), "a child is NULL") })
        .collect()
}

/// The struct that a pointer leads to.
///
/// # Safety
///
/// The pointer leads to one, unless it is NULL or not aligned.
unsafe fn struct_at<'a, T>(pointer: *mut T, is_null: &str) -> Result<&'a T, ArrowError> {
    if !pointer.is_aligned() {
        return Err(fault("a struct is not aligned"));
    }
    // SAFETY: by the contract above.
    unsafe { pointer.as_ref() }.ok_or_else(|| fault(is_null))
}

/// The children that the type of a format has at least.
fn children_wanted(format: &str) -> usize {
    match format {
        "+l" | "+L" | "+vl" | "+vL" | "+m" => 1,
        "+r" => 2,
        _ => usize::from(format.starts_with("+w:")),
    }
}

/// Checks of a schema what makes the import panic, or take what it cannot have.
///
/// # Safety
///
/// What it points to is as the C Data Interface wants it; strings may be NULL or no UTF-8, and children
/// NULL.
unsafe fn check_schema(
    schema: &FFI_ArrowSchema,
    depth: u32,
    fields: &mut u32,
) -> Result<(), ArrowError> {
    *fields += 1;
    if depth > DEPTH_MAX || *fields > FIELDS_MAX {
        return Err(fault("a type is nested too deeply, or has too many fields"));
    }
    // SAFETY: by the contract above.
    unsafe {
        if schema.format.is_null() {
            return Err(fault("a format is NULL"));
        }
        let is_utf8 = |text: *const c_char| text.is_null() || CStr::from_ptr(text).to_str().is_ok();
        let format = CStr::from_ptr(schema.format).to_str();
        let (Ok(format), true) = (format, is_utf8(schema.name)) else {
            return Err(fault("a format or a name is not valid UTF-8"));
        };
        if format.starts_with("w:-") || format.starts_with("+w:-") {
            return Err(fault("a width is below 0"));
        }
        if !schema.metadata.is_null() {
            let entries = schema.metadata.cast::<i32>().read_unaligned();
            if !(0..=METADATA_ENTRIES_MAX).contains(&entries) {
                return Err(fault("the metadata have too many entries"));
            }
        }
        let children = children_of(schema.children, schema.n_children)?;
        if children.len() < children_wanted(format) {
            return Err(fault("a type has not as many children as its format wants"));
        }
        for child in children {
            check_schema(child, depth + 1, fields)?;
        }
        if schema.dictionary.is_null() {
            return Ok(());
        }
        check_schema(struct_at(schema.dictionary, "")?, depth + 1, fields)
    }
}

/// The field that a C schema is.
///
/// # Errors
///
/// `ArrowError` for what can be seen to be wrong with it.
pub fn field_of(schema: &FFI_ArrowSchema) -> Result<FieldRef, ArrowError> {
    // SAFETY: whoever made the schema promises that it is as the interface wants it.
    unsafe { check_schema(schema, 0, &mut 0) }?;
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
        // What the release callback frees, it finds by its private data. Those that are right may lie
        // where nobody can write.
        DataType::Null if array.n_buffers != 0 => array.n_buffers = 0,
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

/// The types of the children that an array of this type has.
fn types_of_children(data_type: &DataType) -> Vec<&DataType> {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => vec![field.data_type()],
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field.data_type()).collect(),
        DataType::RunEndEncoded(ends, values) => vec![ends.data_type(), values.data_type()],
        _ => Vec::new(),
    }
}

/// Checks of an array what producers get wrong most often, and what would be followed to other memory or
/// become a panic, before it does.
///
/// # Safety
///
/// The array is as the C Data Interface wants it, but for its numbers; pointers may be NULL.
unsafe fn check_array(array: &FFI_ArrowArray, data_type: &DataType) -> Result<(), ArrowError> {
    if array.is_released() {
        return Err(fault("a part of the array is released, or was moved away"));
    }
    if array.length < 0 || array.offset < 0 {
        return Err(fault("the array's length or offset is below 0"));
    }
    let end =
        array.offset.checked_add(array.length).ok_or_else(|| fault("the array is too long"))?;
    if array.n_buffers < 0 || (array.n_buffers > 0 && array.buffers.is_null()) {
        return Err(fault("there should be buffers, and there are none"));
    }
    // SAFETY: by the contract above.
    unsafe {
        check_nulls(array, data_type)?;
        match data_type {
            DataType::Utf8View | DataType::BinaryView => check_views(array)?,
            DataType::Utf8 | DataType::Binary => check_offsets::<i32>(array)?,
            DataType::LargeUtf8 | DataType::LargeBinary => check_offsets::<i64>(array)?,
            _ => {}
        }
        if let DataType::Dictionary(_, values) = data_type {
            check_array(struct_at(array.dictionary, "a dictionary is NULL")?, values)?;
        }
    }
    let types = types_of_children(data_type);
    if types.is_empty() && !data_type.is_nested() {
        return Ok(());
    }
    if usize::try_from(array.n_children).ok() != Some(types.len()) {
        return Err(fault("the array has not as many columns as its schema"));
    }
    // SAFETY: by the contract above.
    let children = unsafe { children_of(array.children, array.n_children) }?;
    for (child, data_type_of_child) in children.into_iter().zip(types) {
        if matches!(data_type, DataType::Struct(_)) && child.length < end {
            return Err(fault("a column is shorter than the array"));
        }
        // SAFETY: by the contract above.
        unsafe { check_array(child, data_type_of_child) }?;
    }
    Ok(())
}

/// Where a buffer of an array lies, of which there are enough.
///
/// # Safety
///
/// `at` is below the number of its buffers, and its pointer to them leads to as many.
unsafe fn buffer_at(array: &FFI_ArrowArray, at: usize) -> *const u8 {
    // SAFETY: by the contract above.
    unsafe { array.buffers.cast::<*const u8>().add(at).read_unaligned() }
}

/// An array that says it has no nulls is read as if it had no bitmap: its nulls would become values.
///
/// # Safety
///
/// Length and offset are not below 0, and there are as many buffers as it says, each NULL or long enough.
unsafe fn check_nulls(array: &FFI_ArrowArray, data_type: &DataType) -> Result<(), ArrowError> {
    let without =
        matches!(data_type, DataType::Null | DataType::Union(..) | DataType::RunEndEncoded(..));
    if without || array.n_buffers == 0 {
        return Ok(());
    }
    // SAFETY: by the contract above.
    let bitmap = unsafe { buffer_at(array, 0) };
    if bitmap.is_null() {
        return match array.null_count {
            ..=0 => Ok(()),
            _ => Err(fault("an array says that it has nulls, and has no bitmap of them")),
        };
    }
    if array.null_count != 0 {
        return Ok(()); // the import counts them, and compares
    }
    let (offset, length) = (array.offset(), array.len());
    // SAFETY: by the contract above; of 0 bits, nothing is read.
    let bitmap = unsafe { std::slice::from_raw_parts(bitmap, (offset + length).div_ceil(8)) };
    match UnalignedBitChunk::new(bitmap, offset, length).count_ones() == length {
        true => Ok(()),
        false => Err(fault("an array says that it has no nulls, and its bitmap has some")),
    }
}

/// Offsets are read where they lie, before the import copies what is not aligned.
///
/// # Safety
///
/// There are as many buffers as it says.
unsafe fn check_offsets<O>(array: &FFI_ArrowArray) -> Result<(), ArrowError> {
    if array.n_buffers < 2 {
        return Err(fault("texts and bytes have three buffers"));
    }
    // SAFETY: by the contract above.
    match unsafe { buffer_at(array, 1) }.cast::<O>().is_aligned() {
        true => Ok(()),
        false => Err(fault("the offsets of texts or bytes are not aligned")),
    }
}

/// The last buffer of views says how long those are that come after the first two.
///
/// # Safety
///
/// There are as many buffers as it says, each NULL or long enough.
unsafe fn check_views(array: &FFI_ArrowArray) -> Result<(), ArrowError> {
    let Some(count) = array.n_buffers.checked_sub(3).and_then(|count| usize::try_from(count).ok())
    else {
        return Err(fault("views have three buffers or more"));
    };
    if count == 0 {
        return Ok(());
    }
    // SAFETY: by the contract above.
    let lengths = unsafe { buffer_at(array, count + 2) }.cast::<i64>();
    if lengths.is_null() || !lengths.is_aligned() {
        return Err(fault("views have no lengths of their buffers"));
    }
    // SAFETY: by the contract above.
    match (0..count).all(|at| unsafe { *lengths.add(at) } >= 0) {
        true => Ok(()),
        false => Err(fault("a buffer of views has a length below 0")),
    }
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
