//! A column of keys: the distinct ones, and which row has which.
//!
//! Looking a text up in a table costs ten times as much as comparing it with the one expected. So
//! the key of a row is first compared with the one that came behind the key before it when that was
//! seen last: it is the same in long runs of one key as well as where keys take turns. Keys that
//! come as a dictionary are looked up once for each of its entries.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayAccessor, DictionaryArray, GenericStringArray, OffsetSizeTrait};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;

use crate::error::{CellFault, Result};

use super::table::Place;

/// The keys of the rows of a batch.
pub(super) struct Keys<'a> {
    /// Each key once, in order of appearance.
    pub(super) names: Vec<&'a str>,
    /// Of each row, the place of its key in `names`; empty if all rows have the same.
    pub(super) codes: Vec<u32>,
    /// Number of runs of rows with the same key.
    pub(super) runs: usize,
}

/// Keys while they are being told apart.
struct Distinct<'a, 'p> {
    place: &'p Place<'p>,
    names: Vec<&'a str>,
    codes: HashMap<&'a str, u32, foldhash::fast::RandomState>,
}

impl<'a> Distinct<'a, '_> {
    /// The code of the key in `row`.
    fn code(&mut self, row: usize, name: &'a str) -> Result<u32> {
        if let Some(code) = self.codes.get(name) {
            return Ok(*code);
        }
        match name.len() {
            0 => return Err(self.place.fault(row, CellFault::EmptyKey)),
            len if len > usize::from(u16::MAX) => {
                return Err(self.place.fault(row, CellFault::KeyTooLong { len }));
            }
            _ => {}
        }
        // A table has fewer rows than 2^32.
        let code = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name);
        self.codes.insert(name, code);
        Ok(code)
    }
}

impl<'a> Keys<'a> {
    /// Reads a column of keys.
    pub(super) fn read(array: &'a dyn Array, place: &Place<'_>) -> Result<Keys<'a>> {
        if let Some(row) = place.first_null(array) {
            return Err(place.fault(row, CellFault::NullKey));
        }
        let mut distinct = Distinct { place, names: Vec::new(), codes: HashMap::default() };
        let (codes, runs) = match array.data_type() {
            DataType::Utf8 => of_offsets(array.as_string::<i32>(), &mut distinct)?,
            DataType::LargeUtf8 => of_offsets(array.as_string::<i64>(), &mut distinct)?,
            DataType::Utf8View => of_texts(array.as_string_view(), &mut distinct)?,
            DataType::Dictionary(key, _) => match key.as_ref() {
                DataType::Int8 => of_dictionary::<Int8Type>(array, &mut distinct)?,
                DataType::Int16 => of_dictionary::<Int16Type>(array, &mut distinct)?,
                DataType::Int32 => of_dictionary::<Int32Type>(array, &mut distinct)?,
                DataType::Int64 => of_dictionary::<Int64Type>(array, &mut distinct)?,
                DataType::UInt8 => of_dictionary::<UInt8Type>(array, &mut distinct)?,
                DataType::UInt16 => of_dictionary::<UInt16Type>(array, &mut distinct)?,
                DataType::UInt32 => of_dictionary::<UInt32Type>(array, &mut distinct)?,
                DataType::UInt64 => of_dictionary::<UInt64Type>(array, &mut distinct)?,
                _ => return Err(unfit(place)),
            },
            // Tables without rows often have no types either.
            DataType::Null => (Vec::new(), 0),
            _ => return Err(unfit(place)),
        };
        Ok(Keys { names: distinct.names, codes, runs })
    }
}

fn unfit(place: &Place<'_>) -> crate::SynaError {
    place.unfit("a column of keys holds texts, as they are or in a dictionary: cast it")
}

/// Whether two keys are the same. Most have 8 to 16 bytes, for which no call is worth its time.
#[inline]
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    if one.len() > 16 {
        return one == other;
    }
    match (one.first_chunk::<8>(), other.first_chunk::<8>()) {
        (Some(a), Some(b)) => a == b && one.last_chunk::<8>() == other.last_chunk::<8>(),
        _ => one == other,
    }
}

/// As [`of_texts`], for texts that lie one after the other: that all are the same is seen by
/// comparing them with themselves, moved on by one.
fn of_offsets<'a, O: OffsetSizeTrait>(
    texts: &'a GenericStringArray<O>,
    distinct: &mut Distinct<'a, '_>,
) -> Result<(Vec<u32>, usize)> {
    let offsets = texts.value_offsets();
    if let ([first, second, ..], Some(last)) = (offsets, offsets.last()) {
        let (first, second, last) = (first.as_usize(), second.as_usize(), last.as_usize());
        let len = second.saturating_sub(first);
        let data = texts.value_data();
        let (early, late) = (data.get(first..last.saturating_sub(len)), data.get(second..last));
        let steps = offsets.iter().zip(offsets.iter().skip(1));
        let differ = |d, (a, b): (&O, &O)| d | (b.as_usize().wrapping_sub(a.as_usize()) != len);
        if early.is_some() && early == late && !steps.fold(false, differ) {
            distinct.code(0, texts.value(0))?;
            return Ok((Vec::new(), 1));
        }
    }
    of_texts(texts, distinct)
}

/// Codes of texts, and the number of runs of equal ones.
fn of_texts<'a>(
    texts: impl ArrayAccessor<Item = &'a str>,
    distinct: &mut Distinct<'a, '_>,
) -> Result<(Vec<u32>, usize)> {
    let rows = texts.len();
    if rows == 0 {
        return Ok((Vec::new(), 0));
    }
    let first = texts.value(0);
    distinct.code(0, first)?;
    let Some(change) = (1..rows).find(|row| texts.value(*row) != first) else {
        return Ok((Vec::new(), 1));
    };
    let mut codes = Vec::with_capacity(rows);
    codes.resize(change, 0);
    let (mut runs, mut last) = (1, 0_u32);
    // Which code came behind each when it was seen last.
    let mut follows: Vec<u32> = vec![0];
    for row in change..rows {
        let name = texts.value(row);
        let expected = follows.get(last as usize).copied().unwrap_or(0);
        let code = if distinct.names.get(expected as usize).is_some_and(|n| is_same(n, name)) {
            expected
        } else {
            let code = distinct.code(row, name)?;
            follows.resize(distinct.names.len(), 0);
            if let Some(follower) = follows.get_mut(last as usize) {
                *follower = code;
            }
            code
        };
        runs += usize::from(code != last);
        codes.push(code);
        last = code;
    }
    Ok((codes, runs))
}

/// Codes of a dictionary's keys. Its entries need not be different, nor be used.
fn of_dictionary<'a, K: ArrowDictionaryKeyType>(
    array: &'a dyn Array,
    distinct: &mut Distinct<'a, '_>,
) -> Result<(Vec<u32>, usize)> {
    let dictionary = array.as_dictionary::<K>();
    let texts = dictionary.values().as_ref();
    match texts.data_type() {
        DataType::Utf8 => of_entries(dictionary, texts.as_string::<i32>(), distinct),
        DataType::LargeUtf8 => of_entries(dictionary, texts.as_string::<i64>(), distinct),
        DataType::Utf8View => of_entries(dictionary, texts.as_string_view(), distinct),
        _ => Err(unfit(distinct.place)),
    }
}

fn of_entries<'a, K: ArrowDictionaryKeyType>(
    dictionary: &'a DictionaryArray<K>,
    texts: impl ArrayAccessor<Item = &'a str>,
    distinct: &mut Distinct<'a, '_>,
) -> Result<(Vec<u32>, usize)> {
    let entries = dictionary.keys().values();
    let Some(first) = entries.first() else { return Ok((Vec::new(), 0)) };
    distinct.code(0, texts.value(first.as_usize()))?;
    // Whole stretches are compared without a branch.
    let differs = |entries: &[K::Native]| entries.iter().fold(false, |d, e| d | (e != first));
    if !entries.chunks(1024).any(differs) {
        return Ok((Vec::new(), 1));
    }
    const UNKNOWN: u32 = u32::MAX;
    // A dictionary may be far larger than the batch: then each row's entry is looked up.
    let is_large = texts.len() > entries.len().saturating_mul(4).saturating_add(1024);
    let mut known = vec![UNKNOWN; if is_large { 0 } else { texts.len() }];
    let mut codes = Vec::with_capacity(entries.len());
    let (mut runs, mut last) = (0, UNKNOWN);
    for (row, entry) in entries.iter().enumerate() {
        let entry = entry.as_usize();
        let code = match known.get_mut(entry) {
            Some(code) if *code != UNKNOWN => *code,
            Some(code) => {
                *code = distinct.code(row, texts.value(entry))?;
                *code
            }
            None => distinct.code(row, texts.value(entry))?,
        };
        runs += usize::from(code != last);
        codes.push(code);
        last = code;
    }
    if distinct.names.len() == 1 { Ok((Vec::new(), 1)) } else { Ok((codes, runs)) }
}
