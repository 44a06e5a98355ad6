//! Lists of keys, of which there may be millions.

use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::errors::Raise;
use crate::wait::{long, patiently};

/// Up to so many keys, a list of them is there before anybody would wait for it.
const FEW: u64 = 50_000;

/// Does what takes as long as there are keys: at once if they are few.
pub(crate) fn of_keys<T: Send + 'static>(
    py: Python<'_>,
    count: u64,
    work: impl FnOnce() -> synadb::Result<T> + Send + 'static,
) -> PyResult<T> {
    if count <= FEW { py.detach(work).raise() } else { long(py, work)?.raise() }
}

/// Keys as a list.
pub(crate) fn list_of<'py>(
    py: Python<'py>,
    keys: impl IntoIterator<Item = impl AsRef<str>>,
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for key in patiently(py, keys.into_iter()) {
        list.append(key?.as_ref())?;
    }
    Ok(list)
}
