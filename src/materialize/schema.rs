//! Which Arrow types a history leaves as.
//!
//! | kinds in the key's whole live history | natural type of `value` |
//! |---|---|
//! | floats; nothing but nulls | Float64 |
//! | ints | Int64 |
//! | texts | Utf8 |
//! | bytes | Binary |
//! | ints and floats, every integer within 2^53 | Float64 |
//! | any other mix | Struct `{kind, float, int, text, bytes}` |
//!
//! It is decided over all live rows of the snapshot, not over those asked for, so that slices of
//! one history have one schema.

use std::sync::{Arc, LazyLock};

use arrow_schema::{
    ArrowError, DataType, Field, Fields, Schema, SchemaRef, TimeUnit, UnionFields, UnionMode,
};

use crate::atom::AtomKind;
use crate::error::SynaError;

use super::cache::Kinds;

/// The type wished for the values of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AsType {
    /// What the kinds in the key's live history ask for, see [`History`](crate::History). The
    /// default.
    #[default]
    Natural,
    /// `Struct {kind: dictionary<int8, utf8>, float: Float64, int: Int64, text: Utf8, bytes:
    /// Binary}`: in each row the field of its kind is set. Any mix fits, and every consumer reads
    /// it.
    Struct,
    /// Float64. Integers within 2^53 fit.
    Float,
    /// Int64. Only integers fit.
    Int,
    /// Utf8. Texts as they are, numbers as they are written in decimal (`1.0`, `NaN`, `-inf`),
    /// bytes that are UTF-8.
    Text,
    /// Binary. Bytes as they are, texts as their UTF-8.
    Bytes,
    /// A dense union of null, Float64, Int64, Utf8 and Binary, with the numbers of
    /// [`AtomKind`](crate::AtomKind) as type ids. Not every consumer reads unions.
    Union,
}

impl AsType {
    /// The name used on every interface.
    pub fn name(self) -> &'static str {
        match self {
            AsType::Natural => "natural",
            AsType::Struct => "struct",
            AsType::Float => "float",
            AsType::Int => "int",
            AsType::Text => "text",
            AsType::Bytes => "bytes",
            AsType::Union => "union",
        }
    }

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<AsType> {
        use AsType::{Bytes, Float, Int, Natural, Struct, Text, Union};
        [Natural, Struct, Float, Int, Text, Bytes, Union].into_iter().find(|t| t.name() == name)
    }
}

/// What happens to points that do not fit the type wished for. Nulls always fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnMismatch {
    /// The read fails with `TypeMismatch`. The default: nothing is lost silently.
    #[default]
    Raise,
    /// They become nulls.
    Null,
    /// They are left out.
    Skip,
}

impl OnMismatch {
    /// The name used on every interface.
    pub fn name(self) -> &'static str {
        match self {
            OnMismatch::Raise => "raise",
            OnMismatch::Null => "null",
            OnMismatch::Skip => "skip",
        }
    }

    /// The choice of this name.
    pub fn from_name(name: &str) -> Option<OnMismatch> {
        [OnMismatch::Raise, OnMismatch::Null, OnMismatch::Skip]
            .into_iter()
            .find(|choice| choice.name() == name)
    }
}

/// In which order points leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Order {
    /// As they were appended. The default.
    #[default]
    Append,
    /// By timestamp, points with equal ones as they were appended.
    Time,
}

/// The type that values are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ValueType {
    Float,
    Int,
    Text,
    Bytes,
    Struct,
    Union,
}

/// The greatest integer up to which all of them are doubles.
pub(crate) const EXACT_INT_MAX: i64 = 1 << 53;

/// Whether all integers of `[min, max]` are doubles, too.
pub(crate) fn are_floats(min: i64, max: i64) -> bool {
    min >= -EXACT_INT_MAX && max <= EXACT_INT_MAX
}

impl ValueType {
    /// The type of a history with these kinds.
    pub(crate) fn of(wished: AsType, kinds: &Kinds) -> ValueType {
        match wished {
            AsType::Natural => Self::natural(kinds),
            AsType::Struct => ValueType::Struct,
            AsType::Float => ValueType::Float,
            AsType::Int => ValueType::Int,
            AsType::Text => ValueType::Text,
            AsType::Bytes => ValueType::Bytes,
            AsType::Union => ValueType::Union,
        }
    }

    fn natural(kinds: &Kinds) -> ValueType {
        let [_, floats, ints, texts, bytes] = kinds.counts.map(|count| count > 0);
        match (floats, ints, texts, bytes) {
            (false, true, false, false) => ValueType::Int,
            (_, false, false, false) => ValueType::Float,
            (true, true, false, false) if kinds.ints_are_floats => ValueType::Float,
            (false, false, true, false) => ValueType::Text,
            (false, false, false, true) => ValueType::Bytes,
            _ => ValueType::Struct,
        }
    }

    /// Whether every value of a kind fits. Of integers as doubles and of bytes as text only some
    /// may.
    pub(crate) fn takes_all(self, kind: AtomKind) -> bool {
        match (self, kind) {
            (_, AtomKind::Null) | (ValueType::Struct | ValueType::Union, _) => true,
            (ValueType::Float, kind) => kind == AtomKind::Float,
            (ValueType::Int, kind) => kind == AtomKind::Int,
            (ValueType::Text, kind) => kind != AtomKind::Bytes,
            (ValueType::Bytes, kind) => matches!(kind, AtomKind::Text | AtomKind::Bytes),
        }
    }

    /// Whether some values of a kind may fit.
    pub(crate) fn takes_some(self, kind: AtomKind) -> bool {
        self.takes_all(kind)
            || matches!(
                (self, kind),
                (ValueType::Float, AtomKind::Int) | (ValueType::Text, AtomKind::Bytes)
            )
    }

    /// Whether all rows fit.
    pub(crate) fn takes(self, kinds: &Kinds) -> bool {
        AtomKind::ALL.into_iter().zip(kinds.counts).all(|(kind, count)| {
            count == 0
                || self.takes_all(kind)
                || (self, kind) == (ValueType::Float, AtomKind::Int) && kinds.ints_are_floats
        })
    }

    /// The kind a caller who wished for this type expects.
    pub(crate) fn kind(self) -> AtomKind {
        match self {
            ValueType::Float => AtomKind::Float,
            ValueType::Int => AtomKind::Int,
            ValueType::Text => AtomKind::Text,
            ValueType::Bytes => AtomKind::Bytes,
            ValueType::Struct | ValueType::Union => AtomKind::Null,
        }
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            ValueType::Float => DataType::Float64,
            ValueType::Int => DataType::Int64,
            ValueType::Text => DataType::Utf8,
            ValueType::Bytes => DataType::Binary,
            ValueType::Struct => DataType::Struct(STRUCT_FIELDS.clone()),
            ValueType::Union => DataType::Union(UNION_FIELDS.clone(), UnionMode::Dense),
        }
    }

    /// The schema of batches with values of this type.
    pub(crate) fn schema(self) -> SchemaRef {
        let [float, int, text, bytes, structs, unions] = &*SCHEMAS;
        Arc::clone(match self {
            ValueType::Float => float,
            ValueType::Int => int,
            ValueType::Text => text,
            ValueType::Bytes => bytes,
            ValueType::Struct => structs,
            ValueType::Union => unions,
        })
    }
}

/// Arrays made here fit their schema: a failure is a bug of ours, told as an error all the same.
pub(crate) fn arrow_error(error: ArrowError) -> SynaError {
    SynaError::Serialization { operation: "encoded as Arrow", what: error.to_string() }
}

/// The type of a column of keys: one dictionary holds their names.
pub(crate) fn key_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The time zone of all timestamps.
pub(crate) static UTC: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("UTC"));

pub(crate) fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::clone(&UTC)))
}

/// The fields of the struct that takes any mix.
pub(crate) static STRUCT_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let kind = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    Fields::from(vec![
        Field::new("kind", kind, false),
        Field::new("float", DataType::Float64, true),
        Field::new("int", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("bytes", DataType::Binary, true),
    ])
});

/// The fields of the union, by the numbers of the kinds.
pub(crate) static UNION_FIELDS: LazyLock<UnionFields> = LazyLock::new(|| {
    let types =
        [DataType::Null, DataType::Float64, DataType::Int64, DataType::Utf8, DataType::Binary];
    AtomKind::ALL
        .into_iter()
        .zip(types)
        .map(|(kind, data_type)| {
            (kind as i8, Arc::new(Field::new(kind.name(), data_type, kind == AtomKind::Null)))
        })
        .collect()
});

static SCHEMAS: LazyLock<[SchemaRef; 6]> = LazyLock::new(|| {
    use ValueType::{Bytes, Float, Int, Struct, Text, Union};
    [Float, Int, Text, Bytes, Struct, Union].map(|values| {
        Arc::new(Schema::new(vec![
            Field::new("timestamp", timestamp_type(), false),
            Field::new("value", values.data_type(), true),
        ]))
    })
});

#[cfg(test)]
mod tests {
    use super::*;

    fn natural(counts: [u64; 5], ints_are_floats: bool) -> ValueType {
        ValueType::of(AsType::Natural, &Kinds { counts, ints_are_floats })
    }

    #[test]
    fn natural_types_are_those_of_the_table() {
        assert_eq!(natural([0, 1, 0, 0, 0], true), ValueType::Float);
        assert_eq!(natural([9, 0, 0, 0, 0], true), ValueType::Float);
        assert_eq!(natural([1, 0, 1, 0, 0], false), ValueType::Int);
        assert_eq!(natural([1, 1, 1, 0, 0], true), ValueType::Float);
        assert_eq!(natural([1, 1, 1, 0, 0], false), ValueType::Struct);
        assert_eq!(natural([1, 0, 0, 1, 0], true), ValueType::Text);
        assert_eq!(natural([1, 0, 0, 0, 1], true), ValueType::Bytes);
        assert_eq!(natural([0, 0, 0, 1, 1], true), ValueType::Struct);
        assert_eq!(natural([0, 1, 1, 1, 0], true), ValueType::Struct);
    }

    #[test]
    fn names_lead_back() {
        for wished in ["natural", "struct", "float", "int", "text", "bytes", "union"] {
            assert_eq!(AsType::from_name(wished).map(AsType::name), Some(wished));
        }
        assert_eq!(AsType::from_name("f64"), None);
        for choice in ["raise", "null", "skip"] {
            assert_eq!(OnMismatch::from_name(choice).map(OnMismatch::name), Some(choice));
        }
    }

    #[test]
    fn bounds_of_exact_integers() {
        assert!(are_floats(-(1 << 53), 1 << 53));
        assert!(!are_floats(0, (1 << 53) + 1));
        assert!(!are_floats(i64::MIN, 0));
    }
}
