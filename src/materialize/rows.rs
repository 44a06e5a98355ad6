//! Values of any kind, row by row: as texts, as a struct, as a union.
//!
//! This is the way of keys whose kinds are mixed. It goes through every point; keys of one kind
//! take the ways of [`super::columns`].

use std::sync::{Arc, LazyLock};

use arrow_array::{
    ArrayRef, BinaryArray, DictionaryArray, Float64Array, Int8Array, Int64Array, NullArray,
    StringArray, StructArray, UnionArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::atom::AtomKind;
use crate::column::Points;
use crate::error::{Result, SynaError};
use crate::format::chunk::BLOB_RUN_LEN_MAX;

use super::schema::{STRUCT_FIELDS, UNION_FIELDS};

fn no_memory(bytes: usize) -> SynaError {
    SynaError::OutOfMemory { bytes: bytes as u64 }
}

fn reserved<T>(len: usize) -> Result<Vec<T>> {
    let mut vec = Vec::new();
    let bytes = len.saturating_mul(size_of::<T>());
    vec.try_reserve_exact(len).map_err(|_| no_memory(bytes))?;
    Ok(vec)
}

/// Arrow arrays made here hold what their types want: a failure is a bug of this file, told as an
/// error all the same.
fn made<T>(array: Result<T, arrow_schema::ArrowError>) -> Result<T> {
    array.map_err(|error| SynaError::Serialization {
        operation: "encoded as Arrow",
        what: error.to_string(),
    })
}

/// Texts or bytes one after the other, as Arrow wants them.
struct Blobs {
    offsets: Vec<i32>,
    data: Vec<u8>,
    key: String,
}

impl Blobs {
    fn new(key: &str) -> Blobs {
        Blobs { offsets: vec![0], data: Vec::new(), key: key.to_owned() }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.data.len().saturating_add(bytes.len());
        let Ok(offset) = i32::try_from(end) else {
            let (key, bytes) = (self.key.clone(), end as u64);
            return Err(SynaError::ColumnTooLarge { key, bytes, max: BLOB_RUN_LEN_MAX });
        };
        self.data.try_reserve(bytes.len()).map_err(|_| no_memory(end))?;
        self.data.extend_from_slice(bytes);
        self.offsets.try_reserve(1).map_err(|_| no_memory(end))?;
        self.offsets.push(offset);
        Ok(())
    }

    fn parts(self) -> (OffsetBuffer<i32>, Buffer) {
        (OffsetBuffer::new(self.offsets.into()), Buffer::from_vec(self.data))
    }

    fn into_texts(self, nulls: Option<NullBuffer>) -> Result<StringArray> {
        let (offsets, data) = self.parts();
        made(StringArray::try_new(offsets, data, nulls))
    }

    fn into_bytes(self, nulls: Option<NullBuffer>) -> Result<BinaryArray> {
        let (offsets, data) = self.parts();
        made(BinaryArray::try_new(offsets, data, nulls))
    }
}

/// Values as texts, or as bytes.
pub(super) struct TextRows {
    blobs: Blobs,
    valid: BooleanBufferBuilder,
    texts: bool,
}

impl TextRows {
    pub(super) fn new(key: &str, texts: bool) -> TextRows {
        TextRows { blobs: Blobs::new(key), valid: BooleanBufferBuilder::new(0), texts }
    }

    /// Appends a row; false if it does not fit and became a null.
    pub(super) fn push(&mut self, points: &Points, row: usize) -> Result<bool> {
        let kind = points.kind(row);
        let (valid, fits) = match kind {
            AtomKind::Null => (false, true),
            AtomKind::Text => (true, true),
            AtomKind::Bytes => {
                let fits = !self.texts || str::from_utf8(points.blob(row)).is_ok();
                (fits, fits)
            }
            AtomKind::Float | AtomKind::Int => (self.texts, self.texts),
        };
        match kind {
            _ if !valid => self.blobs.push(&[])?,
            AtomKind::Float => {
                let value = f64::from_bits(points.number_bits(row));
                self.blobs.push(format!("{value:?}").as_bytes())?;
            }
            AtomKind::Int => {
                let value = points.number_bits(row).cast_signed();
                self.blobs.push(value.to_string().as_bytes())?;
            }
            AtomKind::Null | AtomKind::Text | AtomKind::Bytes => {
                self.blobs.push(points.blob(row))?;
            }
        }
        self.valid.append(valid);
        Ok(fits)
    }

    pub(super) fn finish(mut self) -> Result<ArrayRef> {
        let nulls = NullBuffer::new(self.valid.finish());
        let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
        Ok(if self.texts {
            Arc::new(self.blobs.into_texts(nulls)?)
        } else {
            Arc::new(self.blobs.into_bytes(nulls)?)
        })
    }
}

/// Values with their kinds. The columns of the kinds have no slots for other rows.
pub(super) struct AnyRows {
    kinds: Vec<i8>,
    /// Place of each row's value in the column of its kind.
    slots: Vec<i32>,
    floats: Vec<f64>,
    ints: Vec<i64>,
    texts: Blobs,
    bytes: Blobs,
    nulls: i32,
}

/// The names of the kinds, which the dictionary of `kind` holds.
static KIND_NAMES: LazyLock<ArrayRef> =
    LazyLock::new(|| Arc::new(StringArray::from_iter_values(AtomKind::ALL.map(AtomKind::name))));

impl AnyRows {
    pub(super) fn with_capacity(key: &str, rows: usize) -> Result<AnyRows> {
        Ok(AnyRows {
            kinds: reserved(rows)?,
            slots: reserved(rows)?,
            floats: Vec::new(),
            ints: Vec::new(),
            texts: Blobs::new(key),
            bytes: Blobs::new(key),
            nulls: 0,
        })
    }

    pub(super) fn push(&mut self, points: &Points, row: usize) -> Result<()> {
        let kind = points.kind(row);
        let slot = match kind {
            AtomKind::Null => {
                self.nulls += 1;
                self.nulls as usize - 1
            }
            AtomKind::Float => {
                self.floats.try_reserve(1).map_err(|_| no_memory(self.floats.len() * 8))?;
                self.floats.push(f64::from_bits(points.number_bits(row)));
                self.floats.len() - 1
            }
            AtomKind::Int => {
                self.ints.try_reserve(1).map_err(|_| no_memory(self.ints.len() * 8))?;
                self.ints.push(points.number_bits(row).cast_signed());
                self.ints.len() - 1
            }
            AtomKind::Text => {
                self.texts.push(points.blob(row))?;
                self.texts.offsets.len() - 2
            }
            AtomKind::Bytes => {
                self.bytes.push(points.blob(row))?;
                self.bytes.offsets.len() - 2
            }
        };
        // An array of more than 2^31 rows of one kind is more than Arrow's unions count.
        let too_large = || SynaError::ColumnTooLarge {
            key: self.texts.key.clone(),
            bytes: self.kinds.len() as u64,
            max: BLOB_RUN_LEN_MAX,
        };
        let slot = i32::try_from(slot).map_err(|_| too_large())?;
        self.kinds.push(kind as u8 as i8);
        self.slots.push(slot);
        Ok(())
    }

    /// Which rows are of a kind.
    fn are(&self, kind: AtomKind) -> NullBuffer {
        let mut bits = BooleanBufferBuilder::new(self.kinds.len());
        self.kinds.iter().for_each(|number| bits.append(*number == kind as u8 as i8));
        NullBuffer::new(bits.finish())
    }

    /// A column of numbers with a slot for every row.
    fn spread<T: Copy + Default>(&self, kind: AtomKind, values: &[T]) -> Result<Vec<T>> {
        let mut out = reserved(self.kinds.len())?;
        let mut values = values.iter();
        out.extend(self.kinds.iter().map(|number| {
            let own = *number == kind as u8 as i8;
            if own { values.next().copied().unwrap_or_default() } else { T::default() }
        }));
        Ok(out)
    }

    /// Offsets of a column of texts or bytes with a slot for every row.
    fn spread_offsets(&self, kind: AtomKind, own: &[i32]) -> Result<Vec<i32>> {
        let mut offsets = reserved(self.kinds.len().saturating_add(1))?;
        let mut ends = own.iter().skip(1);
        let mut end = 0;
        offsets.push(0);
        for number in &self.kinds {
            if *number == kind as u8 as i8 {
                end = ends.next().copied().unwrap_or(end);
            }
            offsets.push(end);
        }
        Ok(offsets)
    }

    /// `{kind, float, int, text, bytes}`.
    pub(super) fn into_struct(mut self) -> Result<ArrayRef> {
        let floats = Float64Array::new(
            self.spread(AtomKind::Float, &self.floats)?.into(),
            Some(self.are(AtomKind::Float)),
        );
        let ints = Int64Array::new(
            self.spread(AtomKind::Int, &self.ints)?.into(),
            Some(self.are(AtomKind::Int)),
        );
        self.texts.offsets = self.spread_offsets(AtomKind::Text, &self.texts.offsets)?;
        self.bytes.offsets = self.spread_offsets(AtomKind::Bytes, &self.bytes.offsets)?;
        let is_null = self.are(AtomKind::Null);
        let (are_texts, are_bytes) = (self.are(AtomKind::Text), self.are(AtomKind::Bytes));
        let texts = self.texts.into_texts(Some(are_texts))?;
        let bytes = self.bytes.into_bytes(Some(are_bytes))?;
        let valid =
            (is_null.null_count() < is_null.len()).then(|| NullBuffer::new(!is_null.inner()));
        let kinds = Int8Array::new(ScalarBuffer::from(self.kinds), None);
        let kinds = made(DictionaryArray::try_new(kinds, Arc::clone(&KIND_NAMES)))?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(kinds),
            Arc::new(floats),
            Arc::new(ints),
            Arc::new(texts),
            Arc::new(bytes),
        ];
        let array = StructArray::try_new(STRUCT_FIELDS.clone(), columns, valid);
        Ok(Arc::new(made(array)?))
    }

    /// A dense union with the numbers of the kinds as type ids.
    pub(super) fn into_union(self) -> Result<ArrayRef> {
        let children: Vec<ArrayRef> = vec![
            Arc::new(NullArray::new(usize::try_from(self.nulls).unwrap_or(0))),
            Arc::new(Float64Array::new(self.floats.into(), None)),
            Arc::new(Int64Array::new(self.ints.into(), None)),
            Arc::new(self.texts.into_texts(None)?),
            Arc::new(self.bytes.into_bytes(None)?),
        ];
        let fields = UNION_FIELDS.clone();
        let (kinds, slots) = (ScalarBuffer::from(self.kinds), ScalarBuffer::from(self.slots));
        let array = UnionArray::try_new(fields, kinds, Some(slots), children);
        Ok(Arc::new(made(array)?))
    }
}
