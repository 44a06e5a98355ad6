//! What was handed out to be freed by the caller.
//!
//! Every block stands in a table by its address until it is freed. So a pointer that was freed
//! already, is another function's, or never came from here is noticed, and freeing it does
//! nothing. A second free would be missed where the address was handed out again in between: the
//! last [`QUARANTINE_LEN`] freed blocks of at most [`QUARANTINE_BLOCK_BYTES`] wait before their
//! memory is used again, larger ones return to the store's buffer pool at once.

use std::alloc::Layout;
use std::collections::{HashMap, VecDeque};
use std::ffi::c_char;
use std::ptr::NonNull;
use std::sync::LazyLock;

use synadb_core::Tensor;
use synadb_core::bindings::{Mutex, PerProcess};

use crate::status::{Failure, Result, nothing};

const QUARANTINE_LEN: usize = 1024;
const QUARANTINE_BLOCK_BYTES: usize = 4096;
const SHARDS: usize = 64;

/// Which function frees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Bytes,
    Tensor,
    IntTensor,
    Keys,
}

struct Block {
    kind: Kind,
    len: usize,
    memory: Memory,
}

enum Memory {
    Raw(Raw),
    Floats { _held: Tensor },
    Ints { _held: Tensor<i64> },
}

/// Memory of the allocator.
struct Raw {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it is plain memory that it owns.
unsafe impl Send for Raw {}

impl Raw {
    /// Zeroed memory, of at least one byte.
    fn zeroed(len: usize) -> Result<Raw> {
        let layout = Layout::from_size_align(len.max(1), 64).map_err(|_| Failure::NoMemory)?;
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) });
        Ok(Raw { start: start.ok_or(Failure::NoMemory)?, layout })
    }

    /// The memory of a vector; it has some.
    fn of_vec(vec: Vec<u8>) -> Result<Raw> {
        if vec.capacity() == 0 {
            return Raw::zeroed(1);
        }
        let mut vec = std::mem::ManuallyDrop::new(vec);
        let layout = Layout::array::<u8>(vec.capacity()).map_err(|_| Failure::NoMemory)?;
        let start = NonNull::new(vec.as_mut_ptr()).ok_or(Failure::NoMemory)?;
        Ok(Raw { start, layout })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout (that of a vector is the array of its
        // capacity), and is freed once: here.
        unsafe { std::alloc::dealloc(self.start.as_ptr(), self.layout) }
    }
}

type Table = HashMap<usize, Block, foldhash::fast::RandomState>;

struct Blocks {
    shards: [Mutex<Table>; SHARDS],
    quarantine: Mutex<VecDeque<Block>>,
}

impl Default for Blocks {
    fn default() -> Self {
        Blocks { shards: std::array::from_fn(|_| Mutex::default()), quarantine: Mutex::default() }
    }
}

/// A forked child begins with an empty table, since another thread may have held a lock of it. What
/// the parent handed out stays valid in the child and is not freed there.
static BLOCKS: LazyLock<PerProcess<Blocks>> = LazyLock::new(PerProcess::default);

impl Blocks {
    #[expect(clippy::indexing_slicing, reason = "a remainder is below what it was divided by")]
    fn shard(&self, address: usize) -> &Mutex<Table> {
        // Small blocks lie 16 bytes apart and more, large ones at the beginning of pages.
        let mixed = (address >> 4) ^ (address >> 10) ^ (address >> 16) ^ (address >> 21);
        &self.shards[mixed % SHARDS]
    }
}

/// Notes a block as handed out.
fn hand_out<T>(start: *mut T, block: Block) -> *mut T {
    let blocks = BLOCKS.get();
    let mut table = blocks.shard(start.addr()).lock();
    table.insert(start.addr(), block);
    start
}

fn hand_out_raw<T>(kind: Kind, len: usize, raw: Raw) -> *mut T {
    let start = raw.start.as_ptr().cast::<T>();
    hand_out(start, Block { kind, len, memory: Memory::Raw(raw) })
}

/// Hands out bytes; NULL is no result, so that nothing of length 0 has an address, too.
pub(crate) fn bytes(bytes: Vec<u8>) -> Result<*mut u8> {
    let len = bytes.len();
    Ok(hand_out_raw(Kind::Bytes, len, Raw::of_vec(bytes)?))
}

/// Hands out a text, with a NUL behind its end that does not count.
pub(crate) fn text(text: String) -> Result<*mut c_char> {
    let mut bytes = text.into_bytes();
    let len = bytes.len();
    bytes.try_reserve_exact(1).map_err(|_| Failure::NoMemory)?;
    bytes.push(0);
    Ok(hand_out_raw(Kind::Text, len, Raw::of_vec(bytes)?))
}

/// Hands out doubles.
pub(crate) fn floats(mut tensor: Tensor) -> Result<*mut f64> {
    let len = tensor.len();
    if len == 0 {
        return Ok(hand_out_raw(Kind::Tensor, 0, Raw::zeroed(8)?));
    }
    let start = tensor.as_mut_ptr();
    let memory = Memory::Floats { _held: tensor };
    Ok(hand_out(start, Block { kind: Kind::Tensor, len, memory }))
}

/// Hands out integers.
pub(crate) fn ints(mut tensor: Tensor<i64>) -> Result<*mut i64> {
    let len = tensor.len();
    if len == 0 {
        return Ok(hand_out_raw(Kind::IntTensor, 0, Raw::zeroed(8)?));
    }
    let start = tensor.as_mut_ptr();
    let memory = Memory::Ints { _held: tensor };
    Ok(hand_out(start, Block { kind: Kind::IntTensor, len, memory }))
}

/// Keys in one block: the addresses of their texts and a NULL, their lengths, and the texts, each
/// with a NUL behind it.
pub(crate) struct Keys {
    pub(crate) texts: *mut *mut c_char,
    pub(crate) lengths: *mut usize,
}

/// Hands out keys.
pub(crate) fn keys(keys: &[String]) -> Result<Keys> {
    let word = size_of::<usize>();
    let texts_len = keys.iter().map(|key| key.len() + 1).sum::<usize>();
    let raw = Raw::zeroed((2 * keys.len() + 1) * word + texts_len)?;
    let texts = raw.start.as_ptr().cast::<*mut c_char>();
    // SAFETY: the block holds one address more than there are keys, as many lengths behind them,
    // and behind those all texts with their NULs; it is aligned to 64, zeroed, and nobody else's
    // yet.
    let lengths = unsafe {
        let lengths = texts.add(keys.len() + 1).cast::<usize>();
        let mut text = lengths.add(keys.len()).cast::<u8>();
        for (number, key) in keys.iter().enumerate() {
            text.copy_from_nonoverlapping(key.as_ptr(), key.len());
            texts.add(number).write(text.cast::<c_char>());
            lengths.add(number).write(key.len());
            text = text.add(key.len() + 1);
        }
        lengths
    };
    hand_out(texts, Block { kind: Kind::Keys, len: keys.len(), memory: Memory::Raw(raw) });
    Ok(Keys { texts, lengths })
}

/// Frees what `start` points to, if it is a block of this kind and length.
fn free<T>(start: *mut T, len: usize, kind: Kind) -> Result<()> {
    if start.is_null() {
        return Err(Failure::NotOurs("the pointer is NULL"));
    }
    let blocks = BLOCKS.get();
    let mut table = blocks.shard(start.addr()).lock();
    match table.get(&start.addr()) {
        None => {
            let what = "the pointer was freed before, or is not the start of what was handed out";
            return Err(Failure::NotOurs(what));
        }
        Some(block) if block.kind != kind => {
            return Err(Failure::NotOurs("the pointer is freed by another function"));
        }
        Some(block) if block.len != len => {
            return Err(Failure::NotOurs("the length is not the one it was handed out with"));
        }
        Some(_) => {}
    }
    let block = table.remove(&start.addr());
    drop(table);
    let mut gone = block;
    if let Some(block) = gone.take_if(|block| block.waits()) {
        let mut quarantine = blocks.quarantine.lock();
        quarantine.push_back(block);
        if quarantine.len() > QUARANTINE_LEN {
            gone = quarantine.pop_front();
        }
    }
    drop(gone);
    Ok(())
}

impl Block {
    /// Whether its memory waits before it is used again.
    fn waits(&self) -> bool {
        let bytes = match &self.memory {
            Memory::Raw(raw) => raw.layout.size(),
            Memory::Floats { .. } | Memory::Ints { .. } => self.len.saturating_mul(8),
        };
        bytes <= QUARANTINE_BLOCK_BYTES
    }
}

/// Frees a text. `len` is the length it came with.
///
/// A pointer that is NULL, was freed already, is another function's, or never came from here, and
/// a wrong length: nothing is freed and `syna_last_error()` is SYNA_ERR_NOT_OURS. A second free is
/// noticed as long as the address was not handed out again, which the last 1,024 freed blocks of
/// at most 4 KiB are not. The same holds for every function that frees.
///
/// Threads: any, also another than the one that got it. Valid after the database was closed.
/// Status in `syna_last_error()`: SUCCESS, NOT_OURS, INTERNAL_PANIC.
#[unsafe(no_mangle)]
pub extern "C" fn syna_free_text(text: *mut c_char, len: usize) {
    nothing("syna_free_text", || free(text, len, Kind::Text));
}

/// Frees bytes. `len` is the length they came with. Otherwise as `syna_free_text`.
/// Status in `syna_last_error()`: SUCCESS, NOT_OURS, INTERNAL_PANIC.
#[unsafe(no_mangle)]
pub extern "C" fn syna_free_bytes(bytes: *mut u8, len: usize) {
    nothing("syna_free_bytes", || free(bytes, len, Kind::Bytes));
}

/// Frees the doubles of a tensor. `len` is their number as it came. Otherwise as
/// `syna_free_text`.
/// Status in `syna_last_error()`: SUCCESS, NOT_OURS, INTERNAL_PANIC.
#[unsafe(no_mangle)]
pub extern "C" fn syna_free_tensor(tensor: *mut f64, len: usize) {
    nothing("syna_free_tensor", || free(tensor, len, Kind::Tensor));
}

/// Frees the integers or timestamps of a tensor. `len` is their number as it came. Otherwise as
/// `syna_free_text`.
/// Status in `syna_last_error()`: SUCCESS, NOT_OURS, INTERNAL_PANIC.
#[unsafe(no_mangle)]
pub extern "C" fn syna_free_tensor_int(tensor: *mut i64, len: usize) {
    nothing("syna_free_tensor_int", || free(tensor, len, Kind::IntTensor));
}

/// Frees keys, their lengths and their texts, which are one block. `len` is their number as it
/// came. Otherwise as `syna_free_text`.
/// Status in `syna_last_error()`: SUCCESS, NOT_OURS, INTERNAL_PANIC.
#[unsafe(no_mangle)]
pub extern "C" fn syna_free_keys(keys: *mut *mut c_char, len: usize) {
    nothing("syna_free_keys", || free(keys, len, Kind::Keys));
}
