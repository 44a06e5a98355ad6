//! Doubles that their holder owns and may change.

use std::fmt;
use std::ops::{Deref, DerefMut};

use arrow_buffer::{Buffer, ScalarBuffer};

use super::pool::PoolBuf;

/// Doubles in one piece of memory, 64-byte aligned, owned by whoever holds it.
///
/// It is a copy: it may be changed, and stays whatever happens to the database. Its memory returns
/// to the pool of the database when it is dropped.
pub struct Tensor(PoolBuf);

impl Tensor {
    pub(crate) fn new(buffer: PoolBuf) -> Tensor {
        Tensor(buffer)
    }

    /// The doubles as an Arrow buffer; nothing is copied.
    pub fn into_buffer(self) -> ScalarBuffer<f64> {
        let buffer: Buffer = self.0.into_buffer();
        let len = buffer.len() / 8;
        ScalarBuffer::new(buffer, 0, len)
    }
}

impl Deref for Tensor {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        self.0.as_floats()
    }
}

impl DerefMut for Tensor {
    fn deref_mut(&mut self) -> &mut [f64] {
        self.0.as_mut_floats()
    }
}

impl AsRef<[f64]> for Tensor {
    fn as_ref(&self) -> &[f64] {
        self
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor").field("len", &self.len()).finish_non_exhaustive()
    }
}
