//! Memory for what histories decode to, used again instead of returned to the system.
//!
//! Fresh pages cost more than any decoding: the kernel has to find and clear each of them. So
//! blocks of [`BLOCK_LEN_MIN`] and more are mapped anonymously, from 2 MiB on with huge pages, and
//! come back here when the last array or tensor that lies in them is dropped. At most
//! `idle_bytes_max` wait here to be used again; what is handed out is limited by who holds it.
//! Smaller buffers come from the allocator, which does the same for them.
//!
//! Every buffer begins at an address divisible by 64, as Arrow recommends.

use std::collections::VecDeque;
use std::panic::RefUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_buffer::{Buffer, MutableBuffer};
use memmap2::MmapMut;

use crate::error::{Result, SynaError};
use crate::fork;
use crate::mutex::Mutex;

/// Smaller buffers come from the allocator.
const BLOCK_LEN_MIN: usize = 64 << 10;
const HUGE_PAGE_LEN: usize = 2 << 20;

/// Blocks to be used again.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
    used_bytes: AtomicUsize,
    /// The count of forks when it was made.
    forks: u64,
}

#[derive(Debug)]
struct Idle {
    /// The one returned last is at the back, and still in the processor's cache.
    blocks: VecDeque<MmapMut>,
    bytes: usize,
    bytes_max: usize,
}

/// Length of the block for `len` bytes: steps of an eighth of a power of two, so that results of
/// about the same length share blocks and little is wasted. (What is wasted is address space: a
/// page that nobody touches takes no memory.)
fn block_len(len: usize) -> Option<usize> {
    let len = len.max(BLOCK_LEN_MIN);
    let step = (len.checked_next_power_of_two()? / 16).max(4096);
    let len = len.checked_next_multiple_of(step)?;
    if len < HUGE_PAGE_LEN { Some(len) } else { len.checked_next_multiple_of(HUGE_PAGE_LEN) }
}

impl Pool {
    /// A pool that keeps at most so many bytes for later.
    pub(crate) fn new(idle_bytes_max: usize) -> Arc<Pool> {
        let idle = Idle { blocks: VecDeque::new(), bytes: 0, bytes_max: idle_bytes_max };
        let forks = fork::count();
        Arc::new(Pool { idle: Mutex::new(idle), used_bytes: AtomicUsize::new(0), forks })
    }

    /// A buffer of `len` bytes. It holds anything, also what others left in it: whoever takes it
    /// writes all of it.
    ///
    /// # Errors
    ///
    /// `OutOfMemory` if the system refuses.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Result<PoolBuf> {
        if len < BLOCK_LEN_MIN {
            return Ok(PoolBuf::small(len));
        }
        let no_memory = || SynaError::OutOfMemory { bytes: len as u64 };
        let block_len = block_len(len).ok_or_else(no_memory)?;
        let idle = self.idle.lock().take(block_len);
        let Some(block) = idle.or_else(|| map_block(block_len)) else {
            if len < HUGE_PAGE_LEN {
                // There may be too many mappings for one more, and still memory enough.
                return Ok(PoolBuf::small(len));
            }
            return Err(no_memory());
        };
        self.used_bytes.fetch_add(block_len, Ordering::Relaxed);
        let pool = Arc::clone(self);
        Ok(PoolBuf { memory: Memory::Block(Block { map: Some(block), pool }), len })
    }

    /// Bytes of the blocks that are handed out: held by the column cache, by arrays, by tensors.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of the blocks that wait to be used again.
    pub(crate) fn idle_bytes(&self) -> usize {
        self.idle.lock().bytes
    }

    /// Returns what waits to the system; says how many bytes.
    pub(crate) fn trim(&self) -> usize {
        let mut idle = self.idle.lock();
        let blocks = std::mem::take(&mut idle.blocks);
        let bytes = std::mem::take(&mut idle.bytes);
        // Unmapping takes a while, and nobody needs to wait for it.
        drop(idle);
        drop(blocks);
        bytes
    }

    /// From now on nothing is kept.
    pub(crate) fn close(&self) {
        self.idle.lock().bytes_max = 0;
        self.trim();
    }

    fn give_back(&self, block: MmapMut) {
        self.used_bytes.fetch_sub(block.len(), Ordering::Relaxed);
        if fork::count() != self.forks {
            // An array of the parent's, dropped in a forked child: a thread that the child does not have may
            // hold the lock. Unmapped here, it stays with the parent.
            return;
        }
        let gone = self.idle.lock().keep(block);
        drop(gone);
    }
}

impl Idle {
    fn take(&mut self, len: usize) -> Option<MmapMut> {
        let at = self.blocks.iter().rposition(|block| block.len() == len)?;
        self.bytes -= len;
        self.blocks.remove(at)
    }

    /// Keeps a block; returns those that have to go for it.
    fn keep(&mut self, block: MmapMut) -> Vec<MmapMut> {
        let mut gone = Vec::new();
        if block.len() > self.bytes_max {
            gone.push(block);
            return gone;
        }
        self.bytes += block.len();
        self.blocks.push_back(block);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.blocks.pop_front() else { break };
            self.bytes -= oldest.len();
            gone.push(oldest);
        }
        gone
    }
}

fn map_block(len: usize) -> Option<MmapMut> {
    let block = MmapMut::map_anon(len).ok()?;
    #[cfg(target_os = "linux")]
    if len >= HUGE_PAGE_LEN {
        // Where the system has none, small pages do.
        let _ = block.advise(memmap2::Advice::HugePage);
    }
    Some(block)
}

/// A block that returns to its pool.
#[derive(Debug)]
struct Block {
    /// Taken out by `drop` only.
    map: Option<MmapMut>,
    pool: Arc<Pool>,
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(map) = self.map.take() {
            self.pool.give_back(map);
        }
    }
}

/// Nothing in a block can be left in a half-changed state by a panic: it is bytes.
impl RefUnwindSafe for Block {}

#[derive(Debug)]
enum Memory {
    Small(MutableBuffer),
    Block(Block),
}

mod word {
    /// Eight bytes of which every pattern is a value.
    ///
    /// Out of reach of other crates, for `as_words` relies on what it says.
    pub trait Word: Copy + Send + Sync + 'static {}

    impl Word for f64 {}
    impl Word for i64 {}
}
pub(crate) use word::Word;

/// A buffer that one owner writes, 64-byte aligned.
#[derive(Debug)]
pub(crate) struct PoolBuf {
    memory: Memory,
    len: usize,
}

impl PoolBuf {
    fn small(len: usize) -> PoolBuf {
        PoolBuf { memory: Memory::Small(MutableBuffer::from_len_zeroed(len)), len }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        let bytes = match &self.memory {
            Memory::Small(buffer) => buffer.as_slice(),
            Memory::Block(block) => block.map.as_deref().unwrap_or_default(),
        };
        bytes.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        let bytes = match &mut self.memory {
            Memory::Small(buffer) => buffer.as_slice_mut(),
            Memory::Block(block) => block.map.as_deref_mut().unwrap_or_default(),
        };
        bytes.get_mut(..self.len).unwrap_or_default()
    }

    /// The bytes as numbers of eight; a rest of less is left out.
    #[expect(unsafe_code, reason = "a tensor is bytes that are read as numbers")]
    pub(crate) fn as_words<T: Word>(&self) -> &[T] {
        // SAFETY: every bit pattern is a number (`Word`); `align_to` leaves out what is not
        // aligned, which is nothing, for buffers begin at multiples of 64.
        unsafe { self.as_slice().align_to().1 }
    }

    /// The bytes as numbers to be written.
    #[expect(unsafe_code, reason = "a tensor is bytes that are written as numbers")]
    pub(crate) fn as_mut_words<T: Word>(&mut self) -> &mut [T] {
        // SAFETY: as in `as_words`; every number is eight valid bytes.
        unsafe { self.as_mut_slice().align_to_mut().1 }
    }

    /// Keeps the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The bytes as an Arrow buffer; the memory comes back to the pool when the last holder of a
    /// part of it is gone.
    pub(crate) fn into_buffer(self) -> Buffer {
        match self.memory {
            Memory::Small(mut buffer) => {
                buffer.truncate(self.len);
                buffer.into()
            }
            Memory::Block(block) => buffer_of_block(block, self.len),
        }
    }
}

#[expect(unsafe_code, reason = "an Arrow buffer is made of a block of the pool")]
fn buffer_of_block(block: Block, len: usize) -> Buffer {
    let Some(map) = &block.map else { return Buffer::default() };
    let len = len.min(map.len());
    let Some(start) = NonNull::new(map.as_ptr().cast_mut()) else { return Buffer::default() };
    let owner = Arc::new(block);
    // SAFETY: `start` points to `len` initialised bytes of a mapping that `owner` holds until the
    // last buffer is dropped; moving the owner does not move the mapping. Nobody can write to it
    // any more: the only mutable access was through the `PoolBuf`, which was consumed.
    unsafe { Buffer::from_custom_allocation(start, len, owner) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_drops_what_the_parent_took_without_its_lock() {
        let mut pool = Pool::new(1 << 30);
        let parents = Arc::get_mut(&mut pool).unwrap();
        parents.forks = parents.forks.wrapping_sub(1);
        let taken = pool.take(BLOCK_LEN_MIN).unwrap();
        let locked = pool.idle.lock();
        drop(taken);
        assert_eq!(locked.bytes, 0);
    }

    #[test]
    fn blocks_come_back_and_are_used_again() {
        let pool = Pool::new(64 << 20);
        let mut buffer = pool.take(3 << 20).unwrap();
        buffer.as_mut_slice().fill(7);
        let buffer = buffer.into_buffer();
        let address = buffer.as_ptr();
        assert_eq!(address as usize % 64, 0);
        assert!(buffer.iter().all(|byte| *byte == 7));
        assert_eq!((pool.used_bytes(), pool.idle_bytes()), (4 << 20, 0));
        let part = buffer.slice_with_length(1 << 20, 64);
        drop(buffer);
        assert_eq!(pool.idle_bytes(), 0, "a part of it is still held");
        drop(part);
        assert_eq!((pool.used_bytes(), pool.idle_bytes()), (0, 4 << 20));
        assert_eq!(pool.take(3 << 20).unwrap().into_buffer().as_ptr(), address);
        assert_eq!(pool.trim(), 4 << 20);
        assert_eq!(pool.idle_bytes(), 0);
    }

    #[test]
    fn no_more_is_kept_than_allowed() {
        let pool = Pool::new(8 << 20);
        let held: Vec<_> = (0..6).map(|_| pool.take(2 << 20).unwrap()).collect();
        drop(held);
        assert_eq!(pool.idle_bytes(), 8 << 20);
        drop(pool.take(100 << 20).unwrap());
        assert_eq!(pool.idle_bytes(), 8 << 20, "a block larger than the pool is not kept");
        let held = pool.take(2 << 20).unwrap();
        pool.close();
        drop(held);
        assert_eq!((pool.used_bytes(), pool.idle_bytes()), (0, 0));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let pool = Pool::new(0);
        assert!(matches!(pool.take(usize::MAX), Err(SynaError::OutOfMemory { .. })));
        assert!(matches!(pool.take(1 << 60), Err(SynaError::OutOfMemory { .. })));
        assert_eq!(pool.used_bytes(), 0);
    }

    #[test]
    fn small_and_large_buffers_hold_numbers() {
        let pool = Pool::new(1 << 20);
        for len in [0, 8, 4096, BLOCK_LEN_MIN, 1 << 20] {
            let mut buffer = pool.take(len).unwrap();
            assert_eq!(buffer.as_slice().as_ptr() as usize % 64, 0);
            buffer.as_mut_words().fill(1.5);
            assert_eq!(buffer.as_words::<f64>(), vec![1.5; len / 8]);
            assert_eq!(buffer.into_buffer().len(), len);
        }
    }
}
