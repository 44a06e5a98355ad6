//! A column of values of any Arrow type, as the kinds of the store.
//!
//! | Arrow type | kind |
//! |---|---|
//! | Float64, Float32, Float16 | float |
//! | Int8 to Int64, UInt8 to UInt64 (up to 2^63 - 1), Boolean (0, 1) | int |
//! | Utf8, LargeUtf8, Utf8View | text |
//! | Binary, LargeBinary, BinaryView, FixedSizeBinary | bytes |
//! | Null, and null slots of all others | null |
//! | a dictionary of one of these | that of its entries |
//! | Struct `{kind, float, int, text, bytes}`, as histories of several kinds leave | what `kind` says |
//! | a union of these, dense or sparse | that of the child |

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    AnyDictionaryArray, Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray,
    FixedSizeBinaryArray, LargeBinaryArray, LargeStringArray, StringArray, StringViewArray,
    StructArray, UnionArray,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::DataType;
use arrow_select::nullif::nullif;

use crate::atom::AtomKind;
use crate::error::{CellFault, Result};
use crate::format::value::BLOB_PREFIX;

use super::table::Place;

/// Values, one for each row.
pub(super) struct Column {
    pub(super) cells: Cells,
    /// Which rows are not null; `None` if none of them is.
    pub(super) validity: Option<NullBuffer>,
}

/// The values of rows that are not null.
pub(super) enum Cells {
    Nulls,
    Floats(ScalarBuffer<f64>),
    Ints(ScalarBuffer<i64>),
    Texts(Texts),
    Bytes(Bytes),
    Mixed(Mixed),
}

/// Rows of several kinds.
pub(super) struct Mixed {
    columns: Vec<Column>,
    /// Of each row, the column that holds its value; there is none for a null.
    which: Vec<u8>,
    /// Of each row, its place in that column; `None` if that is the row's own number.
    slots: Option<ScalarBuffer<i32>>,
}

pub(super) enum Texts {
    Small(StringArray),
    Large(LargeStringArray),
    View(StringViewArray),
}

pub(super) enum Bytes {
    Small(BinaryArray),
    Large(LargeBinaryArray),
    View(BinaryViewArray),
    Fixed(FixedSizeBinaryArray),
}

/// One value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    /// A null, a double or an integer by its bits.
    Number(AtomKind, u64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl Column {
    /// Reads a column of any type that can be stored.
    pub(super) fn read(array: &ArrayRef, place: &Place<'_>) -> Result<Column> {
        let mixed = match array.data_type() {
            DataType::Struct(_) => of_struct(array.as_struct(), place)?,
            DataType::Union(..) => match array.as_any().downcast_ref::<UnionArray>() {
                Some(union) => of_union(union, place)?,
                None => return Err(unfit(place)),
            },
            _ => return Column::of_one_kind(array, place),
        };
        Ok(Column { cells: Cells::Mixed(mixed), validity: None })
    }

    fn of_one_kind(array: &ArrayRef, place: &Place<'_>) -> Result<Column> {
        let cells = match array.data_type() {
            DataType::Null => return Ok(Column { cells: Cells::Nulls, validity: None }),
            DataType::Float64 => {
                Cells::Floats(array.as_primitive::<Float64Type>().values().clone())
            }
            DataType::Float32 => floats::<Float32Type>(array, f64::from),
            DataType::Float16 => floats::<Float16Type>(array, f64::from),
            DataType::Int64 => Cells::Ints(array.as_primitive::<Int64Type>().values().clone()),
            DataType::Int32 => ints::<Int32Type>(array),
            DataType::Int16 => ints::<Int16Type>(array),
            DataType::Int8 => ints::<Int8Type>(array),
            DataType::UInt64 => Cells::Ints(unsigned(array, place)?),
            DataType::UInt32 => ints::<UInt32Type>(array),
            DataType::UInt16 => ints::<UInt16Type>(array),
            DataType::UInt8 => ints::<UInt8Type>(array),
            DataType::Boolean => {
                let values = array.as_boolean().values();
                Cells::Ints(values.iter().map(i64::from).collect::<Vec<_>>().into())
            }
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                check_entries(dictionary, place)?;
                let plain = arrow_select::take::take(dictionary.values(), dictionary.keys(), None);
                let plain = plain.map_err(crate::SynaError::arrow)?;
                return match plain.data_type() {
                    // Nobody makes dictionaries of dictionaries, and their depth has no end.
                    DataType::Dictionary(..) => Err(unfit(place)),
                    _ => Column::of_one_kind(&plain, place),
                };
            }
            _ => blobs(array).ok_or_else(|| unfit(place))?,
        };
        let validity = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        let column = Column { cells, validity };
        column.check_lengths(array.len(), place)?;
        Ok(column)
    }

    /// Refuses texts and bytes that no entry can hold, and rows that share so many of them that
    /// they would fill the memory.
    fn check_lengths(&self, rows: usize, place: &Place<'_>) -> Result<()> {
        if !matches!(self.cells, Cells::Texts(_) | Cells::Bytes(_)) {
            return Ok(());
        }
        let mut all = 0_u64;
        for row in 0..rows {
            let len = self.cell(row).blob_len();
            let (len, max) = ((len + BLOB_PREFIX) as u64, place.value_size_max);
            if len > max {
                return Err(place.fault(row, CellFault::ValueTooLarge { len, max }));
            }
            all = all.saturating_add(len);
        }
        match self.cells {
            Cells::Texts(Texts::View(_)) | Cells::Bytes(Bytes::View(_)) => check_shared(all),
            _ => Ok(()),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        self.validity.as_ref().is_some_and(|validity| validity.is_null(row))
    }

    /// The value in a row.
    #[inline]
    pub(super) fn cell(&self, row: usize) -> Cell<'_> {
        const NULL: Cell<'_> = Cell::Number(AtomKind::Null, 0);
        if self.is_null(row) {
            return NULL;
        }
        match &self.cells {
            Cells::Nulls => NULL,
            Cells::Floats(values) => {
                values.get(row).map_or(NULL, |value| Cell::Number(AtomKind::Float, value.to_bits()))
            }
            Cells::Ints(values) => values
                .get(row)
                .map_or(NULL, |value| Cell::Number(AtomKind::Int, value.cast_unsigned())),
            Cells::Texts(Texts::Small(texts)) => Cell::Text(texts.value(row)),
            Cells::Texts(Texts::Large(texts)) => Cell::Text(texts.value(row)),
            Cells::Texts(Texts::View(texts)) => Cell::Text(texts.value(row)),
            Cells::Bytes(Bytes::Small(bytes)) => Cell::Bytes(bytes.value(row)),
            Cells::Bytes(Bytes::Large(bytes)) => Cell::Bytes(bytes.value(row)),
            Cells::Bytes(Bytes::View(bytes)) => Cell::Bytes(bytes.value(row)),
            Cells::Bytes(Bytes::Fixed(bytes)) => Cell::Bytes(bytes.value(row)),
            Cells::Mixed(mixed) => mixed.cell(row).unwrap_or(NULL),
        }
    }
}

impl Mixed {
    fn cell(&self, row: usize) -> Option<Cell<'_>> {
        let column = self.columns.get(usize::from(*self.which.get(row)?))?;
        let slot = match &self.slots {
            Some(slots) => usize::try_from(*slots.get(row)?).ok()?,
            None => row,
        };
        Some(column.cell(slot))
    }
}

impl Cell<'_> {
    /// Length of a text or bytes.
    pub(crate) fn blob_len(&self) -> usize {
        match self {
            Cell::Number(..) => 0,
            Cell::Text(text) => text.len(),
            Cell::Bytes(bytes) => bytes.len(),
        }
    }
}

fn unfit(place: &Place<'_>) -> crate::SynaError {
    place.unfit(
        "values are floats, integers, booleans, texts, bytes, nulls, dictionaries of these, or the \
         struct or union that a history of several kinds leaves as: cast it",
    )
}

/// Most bytes that the rows of a column may have together where they share texts or bytes, each
/// counted as often as it occurs: as many as a column has at most where each row has its own and
/// offsets have 32 bits. A few bytes of Arrow would otherwise become any number here.
const SHARED_BYTES_MAX: u64 = i32::MAX as u64;

fn check_shared(len: u64) -> Result<()> {
    if len <= SHARED_BYTES_MAX {
        return Ok(());
    }
    let what = "a column whose rows share texts or bytes";
    Err(crate::SynaError::BatchTooLarge { what, len, max: SHARED_BYTES_MAX })
}

/// Refuses a dictionary of texts or bytes whose rows have too many of them, before each row is
/// given its own.
fn check_entries(dictionary: &dyn AnyDictionaryArray, place: &Place<'_>) -> Result<()> {
    let entries = dictionary.values();
    let Some(cells) = blobs(entries) else { return Ok(()) };
    if entries.is_empty() {
        return Ok(());
    }
    let entries = Column { cells, validity: entries.nulls().cloned() };
    let mut all = 0_u64;
    for (row, entry) in dictionary.normalized_keys().into_iter().enumerate() {
        if dictionary.is_valid(row) {
            let (len, max) =
                ((entries.cell(entry).blob_len() + BLOB_PREFIX) as u64, place.value_size_max);
            if len > max {
                return Err(place.fault(row, CellFault::ValueTooLarge { len, max }));
            }
            all = all.saturating_add(len);
        }
    }
    check_shared(all)
}

/// An array of texts or bytes; `None` for any other.
fn blobs(array: &ArrayRef) -> Option<Cells> {
    Some(match array.data_type() {
        DataType::Utf8 => Cells::Texts(Texts::Small(array.as_string().clone())),
        DataType::LargeUtf8 => Cells::Texts(Texts::Large(array.as_string().clone())),
        DataType::Utf8View => Cells::Texts(Texts::View(array.as_string_view().clone())),
        DataType::Binary => Cells::Bytes(Bytes::Small(array.as_binary().clone())),
        DataType::LargeBinary => Cells::Bytes(Bytes::Large(array.as_binary().clone())),
        DataType::BinaryView => Cells::Bytes(Bytes::View(array.as_binary_view().clone())),
        DataType::FixedSizeBinary(_) => {
            Cells::Bytes(Bytes::Fixed(array.as_fixed_size_binary().clone()))
        }
        _ => return None,
    })
}

fn floats<T: ArrowPrimitiveType>(array: &ArrayRef, float: impl Fn(T::Native) -> f64) -> Cells {
    let values = array.as_primitive::<T>().values().iter().map(|value| float(*value));
    Cells::Floats(values.collect::<Vec<_>>().into())
}

fn ints<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &ArrayRef) -> Cells {
    let values = array.as_primitive::<T>().values().iter().map(|value| (*value).into());
    Cells::Ints(values.collect::<Vec<_>>().into())
}

/// Unsigned integers of 64 bits, of which the larger half does not fit.
fn unsigned(array: &ArrayRef, place: &Place<'_>) -> Result<ScalarBuffer<i64>> {
    let array = array.as_primitive::<UInt64Type>();
    let mut ints = Vec::with_capacity(array.len());
    for (row, value) in array.values().iter().enumerate() {
        match i64::try_from(*value) {
            Ok(int) => ints.push(int),
            Err(_) if array.is_null(row) => ints.push(0),
            Err(_) => return Err(place.fault(row, CellFault::IntTooLarge { value: *value })),
        }
    }
    Ok(ints.into())
}

/// A number of [`Mixed::which`] that no column has.
const NO_COLUMN: u8 = u8::MAX;

/// The struct that histories of several kinds leave as, or that others have made of it: its fields
/// are found by name, and those of kinds that do not occur may be missing.
fn of_struct(array: &StructArray, place: &Place<'_>) -> Result<Mixed> {
    let kinds = array.column_by_name("kind").ok_or_else(|| unfit(place))?;
    let names = kinds_of_rows(array, kinds, place)?;
    let mut columns = Vec::new();
    let mut column_of = [NO_COLUMN; 5];
    for (field, child) in array.fields().iter().zip(array.columns()) {
        if field.name() == "kind" {
            continue;
        }
        let kind = AtomKind::ALL.into_iter().find(|kind| kind.name() == field.name());
        let Some(kind) = kind else { return Err(unfit(place)) };
        let Some(slot) = column_of.get_mut(kind as usize) else { return Err(unfit(place)) };
        if *slot != NO_COLUMN {
            return Err(unfit(place));
        }
        *slot = u8::try_from(columns.len()).unwrap_or(NO_COLUMN);
        let of_others = names.iter().map(|name| *name != kind).collect();
        columns.push(Column::of_one_kind(&without(child, of_others)?, place)?);
    }
    let mut which = Vec::with_capacity(array.len());
    for (row, kind) in names.into_iter().enumerate() {
        let column = column_of.get(kind as usize).copied().unwrap_or(NO_COLUMN);
        let found = columns.get(usize::from(column)).map(|column| column.cell(row));
        let same = match found {
            Some(Cell::Number(found, _)) => found == kind,
            Some(Cell::Text(_)) => kind == AtomKind::Text,
            Some(Cell::Bytes(_)) => kind == AtomKind::Bytes,
            None => kind == AtomKind::Null,
        };
        if !same && kind != AtomKind::Null {
            return Err(place.fault(row, CellFault::KindWithoutValue { kind }));
        }
        which.push(if kind == AtomKind::Null { NO_COLUMN } else { column });
    }
    Ok(Mixed { columns, which, slots: None })
}

/// A child without the rows that have their value elsewhere: whatever stands there, nobody means it.
fn without(child: &ArrayRef, rows: BooleanBuffer) -> Result<ArrayRef> {
    nullif(child, &BooleanArray::new(rows, None)).map_err(crate::SynaError::arrow)
}

/// What the field `kind` of a struct says; null where the struct is, or the field.
fn kinds_of_rows(
    array: &StructArray,
    kinds: &ArrayRef,
    place: &Place<'_>,
) -> Result<Vec<AtomKind>> {
    let names = Column::of_one_kind(kinds, place)?;
    let mut found = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        found.push(match names.cell(row) {
            _ if array.is_null(row) => AtomKind::Null,
            Cell::Number(AtomKind::Null, _) => AtomKind::Null,
            Cell::Text(name) => match AtomKind::ALL.into_iter().find(|kind| kind.name() == name) {
                Some(kind) => kind,
                None => {
                    let fault = CellFault::UnknownKind { kind: name.to_owned() };
                    return Err(place.fault(row, fault));
                }
            },
            Cell::Number(..) | Cell::Bytes(_) => return Err(unfit(place)),
        });
    }
    Ok(found)
}

/// A union, whatever its type ids and the names of its children are.
fn of_union(array: &UnionArray, place: &Place<'_>) -> Result<Mixed> {
    let DataType::Union(fields, _) = array.data_type() else { return Err(unfit(place)) };
    let mut columns = Vec::new();
    let mut column_of = [NO_COLUMN; 128];
    for (id, _) in fields.iter() {
        let column = match array.offsets() {
            Some(_) => Column::of_one_kind(array.child(id), place)?,
            None => {
                let of_others = array.type_ids().iter().map(|other| *other != id).collect();
                Column::of_one_kind(&without(array.child(id), of_others)?, place)?
            }
        };
        if let Some(slot) = usize::try_from(id).ok().and_then(|id| column_of.get_mut(id)) {
            *slot = u8::try_from(columns.len()).unwrap_or(NO_COLUMN);
        }
        columns.push(column);
    }
    let which = |id: &i8| {
        let column = usize::try_from(*id).ok().and_then(|id| column_of.get(id));
        column.copied().unwrap_or(NO_COLUMN)
    };
    let which = array.type_ids().iter().map(which).collect();
    Ok(Mixed { columns, which, slots: array.offsets().cloned() })
}
