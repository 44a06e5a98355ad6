//! Arrow's C interfaces in capsules: schemas, arrays and streams out, and the casts a consumer asks for.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader, StructArray};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};
use pyo3_arrow::ffi::{
    ArrayIterator, to_array_pycapsules, to_schema_pycapsule, to_stream_pycapsule,
};

use crate::import::field_in;

/// What `__arrow_c_array__` gives: a schema and an array.
type Capsules<'py> = Bound<'py, PyTuple>;

/// A schema in a capsule.
pub(crate) fn schema_capsule<'py>(
    py: Python<'py>,
    schema: &Schema,
) -> PyResult<Bound<'py, PyCapsule>> {
    Ok(to_schema_pycapsule(py, schema)?)
}

/// The type of one column in a capsule.
pub(crate) fn field_capsule<'py>(
    py: Python<'py>,
    field: &Field,
) -> PyResult<Bound<'py, PyCapsule>> {
    Ok(to_schema_pycapsule(py, field)?)
}

/// The field of the arrays that stand for batches of a schema.
fn field_of(fields: &Fields) -> FieldRef {
    Arc::new(Field::new_struct("", fields.clone(), false))
}

/// A stream of batches in a capsule.
pub(crate) fn batches_capsule<'py>(
    py: Python<'py>,
    reader: impl RecordBatchReader + Send + 'static,
    requested: Option<&Bound<'py, PyCapsule>>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let field = field_of(reader.schema().fields());
    arrays_capsule(py, reader.map(|batch| batch.map(array_of)), field, requested)
}

fn array_of(batch: RecordBatch) -> ArrayRef {
    Arc::new(StructArray::from(batch))
}

/// A stream of arrays in a capsule.
pub(crate) fn arrays_capsule<'py>(
    py: Python<'py>,
    arrays: impl Iterator<Item = Result<ArrayRef, ArrowError>> + Send + 'static,
    field: FieldRef,
    requested: Option<&Bound<'py, PyCapsule>>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let target = target(&field, requested)?;
    let to = target.data_type().clone();
    let arrays = arrays.map(move |array| array.and_then(|array| cast_to(&array, &to)));
    Ok(to_stream_pycapsule(py, Box::new(ArrayIterator::new(arrays, target)), None)?)
}

/// A batch as one array in capsules.
pub(crate) fn batch_capsules<'py>(
    py: Python<'py>,
    batch: &RecordBatch,
    requested: Option<&Bound<'py, PyCapsule>>,
) -> PyResult<Capsules<'py>> {
    array_capsules(py, &array_of(batch.clone()), &field_of(batch.schema().fields()), requested)
}

/// An array in capsules.
pub(crate) fn array_capsules<'py>(
    py: Python<'py>,
    array: &ArrayRef,
    field: &FieldRef,
    requested: Option<&Bound<'py, PyCapsule>>,
) -> PyResult<Capsules<'py>> {
    let target = target(field, requested)?;
    let array =
        cast_to(array, target.data_type()).map_err(pyo3_arrow::error::PyArrowError::from)?;
    Ok(to_array_pycapsules(py, target, &array, None)?)
}

/// The field that leaves: the one asked for, if every value survives the cast, else the own one, as the
/// PyCapsule interface has it (a consumer that cannot live with it says so itself).
fn target(own: &FieldRef, requested: Option<&Bound<'_, PyCapsule>>) -> PyResult<FieldRef> {
    let Some(capsule) = requested else { return Ok(Arc::clone(own)) };
    let requested = field_in(capsule)?;
    Ok(match merged(own, &requested) {
        Some(field) => Arc::new(field),
        None => Arc::clone(own),
    })
}

/// The own field with the type that was asked for, if that keeps every value.
fn merged(own: &Field, requested: &Field) -> Option<Field> {
    let to = merged_type(own.data_type(), requested.data_type())?;
    Some(Field::new(own.name(), to, own.is_nullable()).with_metadata(own.metadata().clone()))
}

fn merged_type(own: &DataType, requested: &DataType) -> Option<DataType> {
    use DataType::{
        Binary, BinaryView, Dictionary, Int64, LargeBinary, LargeUtf8, Struct, Timestamp, Utf8,
        Utf8View,
    };
    let keeps = match (own, requested) {
        (own, requested) if own == requested => true,
        (Struct(own), Struct(requested)) => {
            // In the own order and all of them; what is asked for is found by name.
            let fields = own.iter().map(|own| {
                let asked = requested.iter().find(|field| field.name() == own.name());
                asked.map_or(Some((**own).clone()), |asked| merged(own, asked))
            });
            return fields.collect::<Option<Fields>>().map(Struct);
        }
        (Utf8, LargeUtf8 | Utf8View) | (Binary, LargeBinary | BinaryView) => true,
        (Utf8, LargeBinary | Binary | BinaryView) => true,
        (Dictionary(_, values), Utf8 | LargeUtf8 | Utf8View) => **values == Utf8,
        // The same moments; another zone is another way to write them. Finer units reach less far: the
        // cast fails where they do not suffice.
        (
            Timestamp(TimeUnit::Microsecond, Some(_)),
            Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, Some(_)),
        ) => true,
        (Timestamp(TimeUnit::Microsecond, Some(_)), Int64) => true,
        // 2^63 has 19 digits.
        (Int64, DataType::Decimal128(precision, 0)) => *precision >= 19,
        _ => false,
    };
    (keeps && can_cast_types(own, requested)).then(|| requested.clone())
}

/// Casts; a value that does not survive is an error.
fn cast_to(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    if let (DataType::Struct(_), DataType::Struct(fields)) = (array.data_type(), to) {
        let own = array.as_struct();
        let columns = own.columns().iter().zip(fields);
        let columns = columns.map(|(column, field)| cast_to(column, field.data_type()));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let cast = StructArray::try_new_with_length(
            fields.clone(),
            columns,
            own.nulls().cloned(),
            own.len(),
        )?;
        return Ok(Arc::new(cast));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options)
}
