//! `synadb._synadb`, the extension module of the Python package.
//!
//! It translates and decides nothing: what a call does, the library does. One file for each class;
//! [`value`] and [`time`] turn scalars into Python's and back, [`input`] takes what comes in bulk,
//! [`arrow`], [`memory`] and [`dlpack`] are the ways arrays leave, [`wait`] keeps long calls from
//! holding the interpreter. What is nicer in Python is in `synadb/*.py`, reached by [`sugar`].
//!
//! The interpreter stays attached for `get` and for appends that need not wait; every other call
//! detaches, and no lock of the store is waited for while it is attached. No lock is held while Python
//! runs: streams, progress callbacks and iterators may use the same database.

mod arrow;
mod batch;
mod column;
mod database;
mod dlpack;
mod errors;
mod follow;
mod frame;
mod history;
mod import;
mod input;
mod keys;
mod memory;
mod scan;
mod snapshot;
mod sugar;
mod time;
mod value;
mod wait;
mod write_batch;

use pyo3::prelude::*;

/// The extension module of the package `synadb`.
#[pymodule(gil_used = false)]
mod _synadb {
    #[pymodule_export]
    use super::batch::Batch;
    #[pymodule_export]
    use super::column::Column;
    #[pymodule_export]
    use super::database::{_main, Database, salvage};
    #[pymodule_export]
    use super::errors::_one_of_each_error;
    #[pymodule_export]
    use super::follow::Follower;
    #[pymodule_export]
    use super::frame::Frame;
    #[pymodule_export]
    use super::history::History;
    #[pymodule_export]
    use super::scan::Scan;
    #[pymodule_export]
    use super::snapshot::Snapshot;
    #[pymodule_export]
    use super::write_batch::WriteBatch;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
