//! Sizes of encoded columns, and how fast they are encoded and decoded on one core.
//!
//! The sizes are those of a file after `optimize` with default options, or to the cold tier. The
//! speeds are those of the blocks that appends make, 8,192 rows, into memory that was written before.

use std::ops::ControlFlow;
use std::time::Instant;

use synadb::bench::{self, ColumnEncoder, Words};
use synadb::{DbConfig, Durability, OptimizeOptions, SynaDB};

use crate::data::{Random, fresh_seed};
use crate::report::{Bar, Group, Values};
use crate::run::{Result, Run, check, median, remove};

pub const SIZES: Group = Group {
    issue: 2,
    long: false,
    bars: &[
        Bar::at_most("size_walk2", "bytes/value", 1.2),
        Bar::at_most("size_walk", "bytes/value", 5.8),
        Bar::at_most("size_ts_regular", "bytes/value", 0.02),
        Bar::at_most("size_ts_jitter", "bytes/value", 1.7),
        Bar::at_most("size_temp", "bytes/value", 1.15),
        Bar::at_most("size_pressure", "bytes/value", 1.6),
        Bar::at_most("size_wind", "bytes/value", 0.8),
        Bar::at_most("size_cold_temp", "bytes/value", 0.65),
        Bar::at_most("size_cold_pressure", "bytes/value", 0.92),
        Bar::at_most("size_cold_wind", "bytes/value", 0.52),
    ],
    run: sizes,
};

pub const DECODE: Group = Group {
    issue: 2,
    long: false,
    bars: &[
        Bar::at_least("decode_walk2", "GB/s", 5.0),
        Bar::at_least("decode_walk2_in_cache", "GB/s", 10.0),
        Bar::at_least("decode_ts_jitter", "GB/s", 9.0),
        Bar::at_least("decode_ts_jitter_in_cache", "GB/s", 12.0),
    ],
    run: decode,
};

pub const ENCODE: Group = Group {
    issue: 2,
    long: false,
    bars: &[
        Bar::at_least("encode_walk2", "GB/s", 0.4),
        Bar::at_least("encode_walk2_ratio", "ratio", 0.75),
    ],
    run: encode,
};

pub const EXACT: Group =
    Group { issue: 2, long: false, bars: &[Bar::at_most("exact", "wrong bits", 0.0)], run: exact };

/// Rows of the blocks that appends and seals make.
const BLOCK_ROWS: usize = 8_192;
const POINTS: u64 = 10_000_000;

/// A normally distributed number, from twelve uniform ones.
fn normal(random: &mut Random) -> f64 {
    let sum: f64 = (0..12).map(|_| random.below(1 << 32) as f64).sum();
    sum / (1_u64 << 32) as f64 - 6.0
}

/// A random walk with normal steps of 1, rounded to 2 decimals or not.
fn walk(points: u64, seed: u64, rounded: bool) -> Vec<u64> {
    let mut random = Random::new(seed);
    let mut value = 0.0;
    let step = |_| {
        value += normal(&mut random);
        let value: f64 = if rounded { (value * 100.0).round() / 100.0 } else { value };
        value.to_bits()
    };
    (0..points).map(step).collect()
}

/// Timestamps at 1 s, off by a normally distributed jitter of 1 ms or not.
fn timestamps(points: u64, jitter: bool) -> Vec<u64> {
    let mut random = Random::new(2);
    let stamp = |i: u64| {
        let off = if jitter { (normal(&mut random) * 1000.0).round() as i64 } else { 0 };
        (1_735_689_600_000_000 + i as i64 * 1_000_000 + off) as u64
    };
    (0..points).map(stamp).collect()
}

/// A column of the weather of all stations in file order, NaN where a cell is empty.
fn weather(run: &Run, column: &str) -> Result<Vec<u64>> {
    let text = std::fs::read_to_string(run.root().join("examples/data/nyc-weather-2013.csv"))?;
    let mut lines = text.lines();
    let header = lines.next().ok_or("an empty file")?;
    let place = header.split(',').position(|name| name == column).ok_or("no such column")?;
    let mut values = Vec::new();
    for line in lines {
        let cell = line.split(',').nth(place).ok_or("a short line")?;
        let value: f64 = if cell.is_empty() { f64::NAN } else { cell.parse()? };
        values.push(value.to_bits());
    }
    Ok(values)
}

/// An encoded column: number of the encoding, bytes and rows of each block.
struct Column {
    words: Words,
    blocks: Vec<(u8, std::ops::Range<usize>, usize)>,
    stored: Vec<u8>,
}

impl Column {
    fn of(values: &[u64], words: Words, block_rows: usize, cold: bool) -> Column {
        let mut column = Column { words, blocks: Vec::new(), stored: Vec::new() };
        let mut encoder = ColumnEncoder::new(words, cold);
        for block in values.chunks(block_rows) {
            let start = column.stored.len();
            let encoding = encoder.encode(block, &mut column.stored);
            column.blocks.push((encoding, start..column.stored.len(), block.len()));
        }
        column
    }

    fn decode(&self, out: &mut [u8]) -> Result<()> {
        let mut rest = out;
        for (encoding, stored, rows) in &self.blocks {
            let (out, behind) = rest.split_at_mut(rows * 8);
            bench::decode(*encoding, self.words, &self.stored[stored.clone()], out)?;
            rest = behind;
        }
        Ok(())
    }

    /// Which encodings it uses, and how often.
    fn encodings(&self) -> String {
        let used = bench::ENCODINGS.into_iter().filter_map(|encoding| {
            let count = self.blocks.iter().filter(|block| block.0 == encoding).count();
            (count > 0).then(|| format!("{encoding} x {count}"))
        });
        used.collect::<Vec<_>>().join(", ")
    }
}

fn check_same(out: &[u8], values: &[u64]) -> Result<()> {
    let same = out.chunks_exact(8).zip(values).all(|(out, value)| *out == value.to_le_bytes());
    check(same && out.len() == values.len() * 8, || "a decoded column".to_owned())
}

/// A column of a file.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Timestamps,
    Floats,
}

/// Stored bytes per value of a column of one key, written at once, after `optimize`; checked by
/// reading it back.
fn size_of(run: &Run, name: &str, column: &[u64], place: Place, cold: bool) -> Result<f64> {
    const KEY: &str = "column";
    let path = run.file("size.synadb")?;
    let db = SynaDB::with_config(&path, DbConfig::default().with_durability(Durability::Os))?;
    let signed: Vec<i64> = column.iter().map(|word| word.cast_signed()).collect();
    let rows: Vec<i64> = (0..column.len() as i64).collect();
    let floats: Vec<f64> = column.iter().map(|word| f64::from_bits(*word)).collect();
    match place {
        Place::Timestamps => db.append_batch(KEY, &signed, &rows)?,
        Place::Floats => db.append_batch(KEY, &rows, &floats)?,
    };
    let of = |stored: &bench::Stored| match place {
        Place::Timestamps => stored.timestamps.bytes,
        Place::Floats => stored.values.bytes,
    };
    let per_value = |bytes: u64| bytes as f64 / column.len() as f64;
    let appended = per_value(of(&bench::stored(&db, KEY)?));
    let go_on = &mut |_| ControlFlow::Continue(());
    db.optimize_with(&OptimizeOptions::default().with_cold(cold), go_on)?;
    let stored = bench::stored(&db, KEY)?;
    check(stored.rows == column.len() as u64, || "rows outside of chunks".to_owned())?;
    let encodings = match place {
        Place::Timestamps => &stored.timestamps.encodings,
        Place::Floats => &stored.values.encodings,
    };
    let encodings: Vec<String> =
        encodings.iter().map(|(name, count)| format!("{name} x {count}")).collect();
    println!(
        "# {name}: {}; headers {:.4} bytes/row beside it; as appended {appended:.4} bytes/value",
        encodings.join(", "),
        per_value(stored.header_bytes),
    );
    let same = match place {
        Place::Timestamps => db.history(KEY)?.timestamps()?[..] == signed[..],
        Place::Floats => {
            let read = db.get_history_floats(KEY)?;
            read.iter().map(|value| value.to_bits()).eq(column.iter().copied())
        }
    };
    check(same, || "an optimized column".to_owned())?;
    db.close()?;
    remove(&path)?;
    Ok(per_value(of(&stored)))
}

fn sizes(run: &Run) -> Result<Values> {
    let points = run.work(POINTS);
    let mut values = Vec::new();
    let mut size = |name, column: &[u64], place, cold| -> Result<()> {
        values.push((name, size_of(run, name, column, place, cold)?));
        Ok(())
    };
    size("size_walk2", &walk(points, 1, true), Place::Floats, false)?;
    size("size_ts_regular", &timestamps(points, false), Place::Timestamps, false)?;
    size("size_ts_jitter", &timestamps(points, true), Place::Timestamps, false)?;
    for (column, fast, cold) in [
        ("temp", "size_temp", "size_cold_temp"),
        ("pressure", "size_pressure", "size_cold_pressure"),
        ("wind_speed", "size_wind", "size_cold_wind"),
    ] {
        let column = weather(run, column)?;
        size(fast, &column, Place::Floats, false)?;
        size(cold, &column, Place::Floats, true)?;
    }
    // The farther an unrounded walk goes from zero, the fewer bits are behind the point: an eighth
    // of a byte for each doubling. So the middle one of several.
    let walks: Result<Vec<f64>> = (1..=5)
        .map(|seed| size_of(run, "size_walk", &walk(points, seed, false), Place::Floats, false))
        .collect();
    values.push(("size_walk", median(walks?)));
    Ok(values)
}

fn gb_per_s(bytes: usize, began: Instant) -> f64 {
    bytes as f64 / began.elapsed().as_secs_f64() / 1e9
}

/// A column as a whole into memory that was written before, and one block again and again.
fn decode(run: &Run) -> Result<Values> {
    let points = run.work(POINTS);
    let mut values = Vec::new();
    for (whole, in_cache, column, words) in [
        ("decode_walk2", "decode_walk2_in_cache", walk(points, 1, true), Words::Floats),
        ("decode_ts_jitter", "decode_ts_jitter_in_cache", timestamps(points, true), Words::Ints),
    ] {
        let encoded = Column::of(&column, words, BLOCK_ROWS, false);
        let mut out = vec![1; column.len() * 8];
        let copy_of = vec![2_u8; out.len()];
        encoded.decode(&mut out)?;
        check_same(&out, &column)?;
        let (mut speeds, mut cached, mut copies) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..run.at_least(9) {
            let began = Instant::now();
            encoded.decode(&mut out)?;
            speeds.push(gb_per_s(out.len(), began));
            let began = Instant::now();
            let mut bytes = 0;
            for (encoding, stored, rows) in &encoded.blocks {
                let out = &mut out[..rows * 8];
                bench::decode(*encoding, words, &encoded.stored[stored.clone()], out)?;
                bytes += out.len();
            }
            cached.push(gb_per_s(bytes, began));
            let began = Instant::now();
            out.copy_from_slice(std::hint::black_box(&copy_of));
            copies.push(gb_per_s(out.len(), began));
        }
        println!(
            "# {whole}: encodings {}; memcpy of the same bytes {:.2} GB/s",
            encoded.encodings(),
            median(copies)
        );
        values.push((whole, median(speeds)));
        values.push((in_cache, median(cached)));
    }
    Ok(values)
}

fn encode(run: &Run) -> Result<Values> {
    let column = walk(run.work(POINTS), 1, true);
    let mut out = Vec::with_capacity(column.len() * 8);
    let (mut speeds, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..run.at_least(9) {
        let mut encoder = ColumnEncoder::new(Words::Floats, false);
        out.clear();
        let began = Instant::now();
        for block in column.chunks(BLOCK_ROWS) {
            std::hint::black_box(encoder.encode(block, &mut out));
        }
        let chosen = gb_per_s(column.len() * 8, began);
        let len = out.len();
        out.clear();
        let began = Instant::now();
        for block in column.chunks(BLOCK_ROWS) {
            std::hint::black_box(encoder.again(block, &mut out));
        }
        let alone = gb_per_s(column.len() * 8, began);
        check(out.len() <= len + len / 50, || "sizes with and without choosing".to_owned())?;
        speeds.push(chosen);
        ratios.push(chosen / alone);
    }
    // Seals of many keys are of small chunks, each of which is looked at anew.
    let stamps = timestamps(run.work(1_000_000), true);
    let regular = timestamps(run.work(1_000_000), false);
    for (name, column, words) in [
        ("walk2", &column[..stamps.len()], Words::Floats),
        ("ts_jitter", &stamps[..], Words::Ints),
        ("ts_regular", &regular[..], Words::Ints),
    ] {
        out.clear();
        let began = Instant::now();
        for block in column.chunks(1_250) {
            std::hint::black_box(ColumnEncoder::new(words, false).encode(block, &mut out));
        }
        let ns = began.elapsed().as_secs_f64() * 1e9 / column.len() as f64;
        println!("# encode {name} in chunks of 1,250 rows: {ns:.1} ns a value");
    }
    Ok(vec![("encode_walk2", median(speeds)), ("encode_walk2_ratio", median(ratios))])
}

/// Wrong bits in 10^8 values of every class, by every encoding in turn and by the one that is
/// chosen, portable and as this processor runs it.
fn exact(run: &Run) -> Result<Values> {
    let mut left = run.work(100_000_000) as usize;
    let mut random = Random::new(fresh_seed());
    let (mut wrong, mut held) = (0_u64, [0_u64; 256]);
    let (mut stored, mut out) = (Vec::new(), Vec::new());
    let mut round = 0_usize;
    while left > 0 {
        let words = if round.is_multiple_of(2) { Words::Floats } else { Words::Ints };
        let block = any_block(&mut random, words, round);
        round += 1;
        for encoding in bench::ENCODINGS.into_iter().map(Some).chain([None]) {
            bench::use_portable(round % 4 < 2);
            let mut encoder = ColumnEncoder::new(words, false);
            stored.clear();
            let encoding = match encoding {
                None => encoder.encode(&block, &mut stored),
                Some(encoding) if encoder.force(encoding, &block, &mut stored) => encoding,
                Some(_) => continue,
            };
            // What one compilation wrote, both read.
            for portable in [false, true] {
                bench::use_portable(portable);
                out.clear();
                out.resize(block.len() * 8, 0xa5);
                bench::decode(encoding, words, &stored, &mut out)?;
                for (found, value) in out.chunks_exact(8).zip(&block) {
                    let found = u64::from_le_bytes(found.try_into()?);
                    wrong += u64::from((found ^ value).count_ones());
                }
                left = left.saturating_sub(block.len());
            }
            held[usize::from(encoding)] += block.len() as u64;
        }
    }
    bench::use_portable(false);
    let counts = bench::ENCODINGS.into_iter();
    let counts: Vec<String> =
        counts.map(|encoding| format!("{encoding}: {}", held[usize::from(encoding)])).collect();
    println!("# exact: values by encoding {}", counts.join(", "));
    Ok(vec![("exact", wrong as f64)])
}

/// A block of some length and shape: walks, decimals, any bits, few values, outliers and NaNs.
fn any_block(random: &mut Random, words: Words, round: usize) -> Vec<u64> {
    let mut bits = |width: usize| {
        let bits = (random.below(1 << 32) as u64) << 32 | random.below(1 << 32) as u64;
        bits.checked_shr(64 - width as u32).unwrap_or(0)
    };
    let len = match round % 5 {
        0 => BLOCK_ROWS,
        1 => bits(13) as usize + 1,
        _ => bits(9) as usize + 1,
    };
    let (shape, width) = (bits(3), bits(6) as usize);
    let digits = 10_f64.powi(bits(3) as i32);
    let mut last = bits(64);
    (0..len)
        .map(|_| {
            if shape > 4 && bits(6) == 0 {
                return if bits(1) == 0 { f64::NAN.to_bits() } else { bits(64) };
            }
            last = match shape {
                0 => bits(64),
                1 => bits(width),
                2 => last & !7 | bits(3),
                _ => last.wrapping_add(bits(width)).wrapping_sub(bits(width)),
            };
            match words {
                Words::Floats if shape > 3 => ((last >> 14) as f64 / digits).to_bits(),
                _ => last,
            }
        })
        .collect()
}
