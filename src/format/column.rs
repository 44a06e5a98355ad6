//! What the columns of a chunk hold and how they are laid out, as numbers in the file. The tables of
//! both are in the drawing of [`super::chunk`].

use crate::atom::AtomKind;

use super::chunk::ChunkError;

type Result<T, E = ChunkError> = std::result::Result<T, E>;

/// Which kinds a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkType {
    /// Points of one kind, nulls among them allowed.
    One(AtomKind),
    /// At least two kinds beside null.
    Mixed,
}

impl ChunkType {
    const MIXED: u8 = 5;

    /// The type of a chunk with this many rows of each kind.
    pub(crate) fn of_counts(counts: &[u64; 5]) -> Self {
        let mut present = AtomKind::ALL
            .into_iter()
            .zip(counts)
            .filter(|(kind, count)| *kind != AtomKind::Null && **count > 0)
            .map(|(kind, _)| kind);
        match (present.next(), present.next()) {
            (None, _) => ChunkType::One(AtomKind::Null),
            (Some(kind), None) => ChunkType::One(kind),
            (Some(_), Some(_)) => ChunkType::Mixed,
        }
    }

    pub(super) fn to_u8(self) -> u8 {
        match self {
            ChunkType::One(kind) => kind as u8,
            ChunkType::Mixed => Self::MIXED,
        }
    }

    pub(super) fn from_u8(number: u8) -> Result<Self> {
        match AtomKind::from_u8(number) {
            Some(kind) => Ok(ChunkType::One(kind)),
            None if number == Self::MIXED => Ok(ChunkType::Mixed),
            None => Err(ChunkError::Unsupported { what: "chunk type", value: number.into() }),
        }
    }
}

/// What a column holds. Numbered as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum ColumnRole {
    /// Timestamps, i64.
    Timestamps = 0,
    /// Kind of each row, u8; mixed chunks only.
    Kinds = 1,
    /// Bitmap of the rows that are not null; chunks of one kind only.
    Validity = 2,
    /// Doubles.
    Floats = 3,
    /// Integers.
    Ints = 4,
    /// Where texts start and end, i32.
    TextOffsets = 5,
    /// UTF-8.
    TextData = 6,
    /// Where bytes values start and end, i32.
    BytesOffsets = 7,
    /// Bytes.
    BytesData = 8,
}

impl ColumnRole {
    const ALL: [ColumnRole; 9] = [
        ColumnRole::Timestamps,
        ColumnRole::Kinds,
        ColumnRole::Validity,
        ColumnRole::Floats,
        ColumnRole::Ints,
        ColumnRole::TextOffsets,
        ColumnRole::TextData,
        ColumnRole::BytesOffsets,
        ColumnRole::BytesData,
    ];

    pub(super) fn from_u8(number: u8) -> Result<Self> {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .ok_or(ChunkError::Unsupported { what: "column role", value: number.into() })
    }

    /// The columns of a chunk of `chunk_type` with this many rows of each kind, in order.
    pub(crate) fn of_chunk(
        chunk_type: ChunkType,
        counts: &[u64; 5],
    ) -> impl Iterator<Item = ColumnRole> {
        let counts = *counts;
        Self::ALL.into_iter().filter(move |role| match (role.kind(), chunk_type) {
            (Some(kind), ChunkType::One(one)) => kind == one,
            (Some(kind), ChunkType::Mixed) => counts.get(kind as usize).is_some_and(|n| *n > 0),
            (None, _) => match role {
                ColumnRole::Kinds => chunk_type == ChunkType::Mixed,
                ColumnRole::Validity => {
                    let [nulls, ..] = counts;
                    nulls > 0
                        && !matches!(chunk_type, ChunkType::Mixed | ChunkType::One(AtomKind::Null))
                }
                _ => true,
            },
        })
    }

    /// The kind of value the column holds.
    pub(crate) fn kind(self) -> Option<AtomKind> {
        match self {
            ColumnRole::Timestamps | ColumnRole::Kinds | ColumnRole::Validity => None,
            ColumnRole::Floats => Some(AtomKind::Float),
            ColumnRole::Ints => Some(AtomKind::Int),
            ColumnRole::TextOffsets | ColumnRole::TextData => Some(AtomKind::Text),
            ColumnRole::BytesOffsets | ColumnRole::BytesData => Some(AtomKind::Bytes),
        }
    }

    pub(crate) fn is_offsets(self) -> bool {
        matches!(self, ColumnRole::TextOffsets | ColumnRole::BytesOffsets)
    }

    /// Decoded bytes of this column in a block of `rows` rows, `own_rows` of them with a slot in
    /// the value columns; `None` where any length is possible.
    pub(super) fn decoded_len(self, rows: u64, own_rows: u64) -> Option<u64> {
        match self {
            ColumnRole::Timestamps => rows.checked_mul(8),
            ColumnRole::Kinds => Some(rows),
            ColumnRole::Validity => Some(rows.div_ceil(8)),
            ColumnRole::Floats | ColumnRole::Ints => own_rows.checked_mul(8),
            ColumnRole::TextOffsets | ColumnRole::BytesOffsets => {
                own_rows.checked_add(1)?.checked_mul(4)
            }
            ColumnRole::TextData | ColumnRole::BytesData => None,
        }
    }
}

/// How a column is laid out. Numbered as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum EncodingId {
    /// As it is.
    Raw = 0,
    /// One value.
    Constant = 1,
    /// Packed as they are.
    FrameOfReference = 2,
    /// Differences, packed.
    Delta = 3,
    /// Differences of differences, packed.
    DeltaOfDelta = 4,
    /// Each value once, and codes.
    Dictionary = 5,
    /// Decimals as integers, packed.
    Alp = 6,
    /// Decimals as integers, their differences packed.
    AlpDelta = 7,
    /// Bits in the order of doubles, their differences packed.
    OrderedDelta = 8,
    /// An LZ4 block.
    Lz4 = 9,
    /// Lengths of runs, packed, and their values.
    Runs = 11,
    /// The cold tier.
    Pco = 12,
}

impl EncodingId {
    const ALL: [EncodingId; 12] = [
        EncodingId::Raw,
        EncodingId::Constant,
        EncodingId::FrameOfReference,
        EncodingId::Delta,
        EncodingId::DeltaOfDelta,
        EncodingId::Dictionary,
        EncodingId::Alp,
        EncodingId::AlpDelta,
        EncodingId::OrderedDelta,
        EncodingId::Lz4,
        EncodingId::Runs,
        EncodingId::Pco,
    ];

    pub(crate) fn from_u8(number: u8) -> Result<Self> {
        // Whatever an encoding needs of the layout is not known either, so a chunk with another one
        // is refused as a whole and before its lengths are compared.
        Self::ALL
            .into_iter()
            .find(|encoding| *encoding as u8 == number)
            .ok_or(ChunkError::Unsupported { what: "column encoding", value: number.into() })
    }

    /// Whether columns of `role` may be laid out so.
    pub(super) fn fits(self, role: ColumnRole) -> bool {
        use EncodingId::*;
        match role {
            ColumnRole::Timestamps | ColumnRole::Ints => matches!(
                self,
                Raw | Constant | FrameOfReference | Delta | DeltaOfDelta | Dictionary | Pco
            ),
            ColumnRole::Floats => {
                matches!(self, Raw | Constant | Dictionary | Alp | AlpDelta | OrderedDelta | Pco)
            }
            ColumnRole::Kinds => matches!(self, Raw | Constant | FrameOfReference | Runs),
            ColumnRole::Validity => matches!(self, Raw | Constant | Runs),
            ColumnRole::TextOffsets | ColumnRole::BytesOffsets => {
                matches!(self, Raw | Delta | Dictionary | Lz4)
            }
            ColumnRole::TextData | ColumnRole::BytesData => {
                matches!(self, Raw | Dictionary | Lz4)
            }
        }
    }
}
