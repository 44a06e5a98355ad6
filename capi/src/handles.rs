//! Handles that C programs hold.
//!
//! A handle is a number in the clothes of a pointer: it is looked up and never followed, so that a
//! closed handle, one of another kind, or any other pointer is an error instead of a crash. It
//! names a slot and how often the slot was used before; slots are never freed, only used again. A
//! look-up takes no lock and counts nothing that threads share, and whoever is in the middle of a
//! call keeps what he uses while another thread closes the handle.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use crate::status::{Failure, Result};

/// Bits of a handle, from the lowest: kind, slot, uses.
const KIND_BITS: u32 = 3;
const SLOT_BITS: u32 = 24;
const USE_BITS: u32 = 36;

/// Slots of the first chunk; every further one doubles what there is.
const FIRST_CHUNK_LEN: u32 = 64;
const CHUNKS: usize = (SLOT_BITS as usize) - 5;

/// All handles of one kind. `K` tells kinds apart, from 1 to 7.
pub(crate) struct Handles<T, const K: u64> {
    chunks: [OnceLock<Box<[Slot<T>]>>; CHUNKS],
    /// How many slots were ever used.
    len: AtomicU32,
    /// The free slot that is taken next, plus one, and in the upper half a count of changes, so
    /// that nobody takes a list for the one it was before.
    free: AtomicU64,
}

struct Slot<T> {
    held: ArcSwapOption<Held<T>>,
    uses: AtomicU64,
    /// The next free slot plus one.
    next_free: AtomicU32,
}

struct Held<T> {
    handle: u64,
    value: T,
}

impl<T> Slot<T> {
    fn new() -> Slot<T> {
        Slot {
            held: ArcSwapOption::const_empty(),
            uses: AtomicU64::new(0),
            next_free: AtomicU32::new(0),
        }
    }
}

/// The chunk of a slot, its place there, and the chunk's length.
fn place_of(slot: u32) -> (usize, usize, u32) {
    let chunk = (slot / FIRST_CHUNK_LEN + 1).ilog2();
    let len = FIRST_CHUNK_LEN << chunk;
    (chunk as usize, (slot - (len - FIRST_CHUNK_LEN)) as usize, len)
}

impl<T, const K: u64> Handles<T, K> {
    pub(crate) const fn new() -> Self {
        assert!(K > 0 && K < 1 << KIND_BITS);
        Handles {
            chunks: [const { OnceLock::new() }; CHUNKS],
            len: AtomicU32::new(0),
            free: AtomicU64::new(0),
        }
    }

    fn slot(&self, number: u32) -> Option<&Slot<T>> {
        let (chunk, place, _) = place_of(number);
        self.chunks.get(chunk)?.get()?.get(place)
    }

    fn take_free(&self) -> Option<u32> {
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            let number = u32::try_from(free & u64::from(u32::MAX)).ok()?.checked_sub(1)?;
            let next = self.slot(number)?.next_free.load(Ordering::Relaxed);
            let changed = ((free >> 32).wrapping_add(1) << 32) | u64::from(next);
            match self.free.compare_exchange_weak(
                free,
                changed,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(number),
                Err(now) => free = now,
            }
        }
    }

    fn give_back(&self, number: u32, slot: &Slot<T>) {
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            let next = u32::try_from(free & u64::from(u32::MAX)).unwrap_or_default();
            slot.next_free.store(next, Ordering::Relaxed);
            let changed = ((free >> 32).wrapping_add(1) << 32) | u64::from(number + 1);
            match self.free.compare_exchange_weak(
                free,
                changed,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return,
                Err(now) => free = now,
            }
        }
    }

    fn take_new(&self) -> Result<u32> {
        let taken = self.len.fetch_update(Ordering::AcqRel, Ordering::Acquire, |len| {
            (len < 1 << SLOT_BITS).then_some(len + 1)
        });
        let number = taken.map_err(|_| Failure::Argument("there are too many open handles"))?;
        let (chunk, _, len) = place_of(number);
        if let Some(chunk) = self.chunks.get(chunk) {
            chunk.get_or_init(|| (0..len).map(|_| Slot::new()).collect());
        }
        Ok(number)
    }

    /// A new handle on `value`.
    pub(crate) fn insert<H>(&self, value: T) -> Result<*mut H> {
        let number = match self.take_free() {
            Some(number) => number,
            None => self.take_new()?,
        };
        let Some(slot) = self.slot(number) else { return Err(Failure::NoMemory) };
        let uses = slot.uses.fetch_add(1, Ordering::Relaxed) & ((1 << USE_BITS) - 1);
        let handle = (uses << (SLOT_BITS + KIND_BITS)) | (u64::from(number) << KIND_BITS) | K;
        slot.held.store(Some(Arc::new(Held { handle, value })));
        let address = usize::try_from(handle).map_err(|_| Failure::NoMemory)?;
        Ok(std::ptr::without_provenance_mut(address))
    }

    /// The handle as a number, and its slot.
    #[inline]
    fn find<H>(&self, handle: *const H) -> Result<(u64, u32, &Slot<T>)> {
        let handle = handle.addr() as u64;
        let unknown = || Failure::Argument("this is no handle, or one of another kind");
        if handle & ((1 << KIND_BITS) - 1) != K {
            return Err(unknown());
        }
        let number = (handle >> KIND_BITS) & ((1 << SLOT_BITS) - 1);
        let number = u32::try_from(number).map_err(|_| unknown())?;
        let slot = self.slot(number).ok_or_else(unknown)?;
        Ok((handle, number, slot))
    }

    /// Runs `call` with what the handle stands for.
    #[inline]
    pub(crate) fn with<H, R>(
        &self,
        handle: *const H,
        call: impl FnOnce(&T) -> Result<R>,
    ) -> Result<R> {
        let (handle, _, slot) = self.find(handle)?;
        match &*slot.held.load() {
            Some(held) if held.handle == handle => call(&held.value),
            _ => Err(Failure::Closed),
        }
    }

    /// Ends the handle; of several who try, one does. What it stands for goes when the last call
    /// that uses it ends.
    pub(crate) fn remove<H>(&self, handle: *const H, end: impl FnOnce(&T)) -> Result<()> {
        let (handle, number, slot) = self.find(handle)?;
        let held = slot.held.load_full().filter(|held| held.handle == handle);
        let held = held.ok_or(Failure::Closed)?;
        let before = slot.held.compare_and_swap(&Some(Arc::clone(&held)), None);
        if !before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &held)) {
            return Err(Failure::Closed);
        }
        drop(before);
        self.give_back(number, slot);
        end(&held.value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing;

    #[test]
    fn slots_lie_where_they_should() {
        assert_eq!(place_of(0), (0, 0, 64));
        assert_eq!(place_of(63), (0, 63, 64));
        assert_eq!(place_of(64), (1, 0, 128));
        assert_eq!(place_of(191), (1, 127, 128));
        assert_eq!(place_of(192), (2, 0, 256));
        assert!(place_of((1 << SLOT_BITS) - 1).0 < CHUNKS);
    }

    #[test]
    fn closed_handles_and_those_of_another_kind_are_errors() {
        let texts: Handles<String, 1> = Handles::new();
        let numbers: Handles<u8, 2> = Handles::new();
        let a: *mut Thing = texts.insert("a".to_owned()).unwrap();
        assert_eq!(texts.with(a, |text| Ok(text.clone())).unwrap(), "a");
        assert!(matches!(numbers.with(a, |_| Ok(())), Err(Failure::Argument(_))));
        texts.remove(a, |_| ()).unwrap();
        assert!(matches!(texts.with(a, |_| Ok(())), Err(Failure::Closed)));
        assert!(matches!(texts.remove(a, |_| ()), Err(Failure::Closed)));
        let b: *mut Thing = texts.insert("b".to_owned()).unwrap();
        assert_ne!(a, b, "the slot is the same, the handle is another one");
        assert!(matches!(texts.with(a, |_| Ok(())), Err(Failure::Closed)));
        let null: *mut Thing = std::ptr::null_mut();
        assert!(matches!(texts.with(null, |_| Ok(())), Err(Failure::Argument(_))));
        let far: *mut Thing = std::ptr::without_provenance_mut(usize::MAX & !7 | 1);
        assert!(texts.with(far, |_| Ok(())).is_err());
    }

    #[test]
    fn threads_that_open_and_close_never_meet_anothers_handle() {
        static HANDLES: Handles<u64, 3> = Handles::new();
        std::thread::scope(|scope| {
            for thread in 0..8u64 {
                scope.spawn(move || {
                    for round in 0..2000 {
                        let mine = thread << 32 | round;
                        let held: Vec<*mut Thing> =
                            (0..5).map(|_| HANDLES.insert(mine).unwrap()).collect();
                        for handle in held {
                            assert_eq!(HANDLES.with(handle, |value| Ok(*value)).unwrap(), mine);
                            HANDLES.remove(handle, |_| ()).unwrap();
                            assert!(HANDLES.with(handle, |_| Ok(())).is_err());
                        }
                    }
                });
            }
        });
        assert!(HANDLES.len.load(Ordering::Relaxed) <= 40, "slots are used again");
    }
}
