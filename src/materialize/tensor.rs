//! Numbers that their holder owns and may change.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use arrow_buffer::{ArrowNativeType, Buffer, ScalarBuffer};

use super::pool::{PoolBuf, Word};

/// What a [`Tensor`] is made of: `f64` or `i64`.
pub trait TensorNumber: Word + ArrowNativeType {}

impl TensorNumber for f64 {}
impl TensorNumber for i64 {}

/// Numbers in one piece of memory, 64-byte aligned, owned by whoever holds it.
///
/// It is a copy: it may be changed, and stays whatever happens to the database. Its memory returns
/// to the pool of the database when it is dropped.
pub struct Tensor<T = f64> {
    buffer: PoolBuf,
    numbers: PhantomData<T>,
}

impl<T: TensorNumber> Tensor<T> {
    pub(crate) fn new(buffer: PoolBuf) -> Tensor<T> {
        Tensor { buffer, numbers: PhantomData }
    }

    /// The numbers as an Arrow buffer; nothing is copied.
    pub fn into_buffer(self) -> ScalarBuffer<T> {
        let buffer: Buffer = self.buffer.into_buffer();
        let len = buffer.len() / 8;
        ScalarBuffer::new(buffer, 0, len)
    }
}

impl<T: TensorNumber> Deref for Tensor<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.buffer.as_words()
    }
}

impl<T: TensorNumber> DerefMut for Tensor<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.buffer.as_mut_words()
    }
}

impl<T: TensorNumber> AsRef<[T]> for Tensor<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: TensorNumber> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor").field("len", &self.len()).finish_non_exhaustive()
    }
}
