//! Arrow to points: what a record batch brings to which key, read from where it lies.
//!
//! A batch comes in the *long* form, with a column each for key, timestamp and value, or in the
//! *wide* one, with one column of timestamps and one column for every key. Either becomes a
//! [`Table`]: stamps in microseconds, columns of values in the kinds of the store, and of each key
//! the rows that are its own. Everything that may be wrong with a batch is found here, before
//! anything is written. How points become entries is [`crate::db`]'s affair.
//!
//! Numbers are not copied while they lie side by side, and moved column by column otherwise.

#[cfg(feature = "c-data")]
pub(crate) mod c_data;
mod groups;
mod keys;
mod options;
mod staging;
mod table;
mod times;
mod values;

pub use options::{WriteOptions, Written};
pub(crate) use staging::Staging;
pub(crate) use table::{Form, Series, Table, Taken};
pub use times::micros_of;
pub(crate) use values::Cell;
