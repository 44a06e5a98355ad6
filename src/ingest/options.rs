//! What a caller says about the batches that are to be written, and what is told about them after.

/// How record batches are read and written. `WriteOptions::default()` is what
/// [`SynaDB::write`](crate::SynaDB::write) uses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Long form: the column of keys. Default `key`.
    pub key_column: String,
    /// The column of timestamps. Default `timestamp`.
    pub time_column: String,
    /// Long form: the column of values. Default `value`.
    pub value_column: String,
    /// Wide form: what stands before the name of a column in its key. Default nothing.
    pub prefix: String,
    /// Round timestamps that are finer than a microsecond down to one. Default false: they are
    /// refused, because two of them might become equal.
    pub floor: bool,
    /// Write all batches of a reader as one commit: all of them are visible, or none. They are
    /// staged in memory until the last one has come. Default false: each batch is a commit.
    pub atomic: bool,
    /// What an atomic write of a reader, or one into a batch, may stage, in bytes: 16 a point, of a text or bytes its
    /// length and 16 more, and of each key its length and 256. Default 1 GiB.
    pub write_budget_bytes: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            key_column: "key".into(),
            time_column: "timestamp".into(),
            value_column: "value".into(),
            prefix: String::new(),
            floor: false,
            atomic: false,
            write_budget_bytes: 1 << 30,
        }
    }
}

impl WriteOptions {
    /// Sets the name of the column of keys.
    #[must_use]
    pub fn with_key_column(mut self, name: impl Into<String>) -> Self {
        self.key_column = name.into();
        self
    }

    /// Sets the name of the column of timestamps.
    #[must_use]
    pub fn with_time_column(mut self, name: impl Into<String>) -> Self {
        self.time_column = name.into();
        self
    }

    /// Sets the name of the column of values.
    #[must_use]
    pub fn with_value_column(mut self, name: impl Into<String>) -> Self {
        self.value_column = name.into();
        self
    }

    /// Sets what stands before the names of columns in the wide form.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets whether timestamps finer than a microsecond are rounded down.
    #[must_use]
    pub fn with_floor(mut self, floor: bool) -> Self {
        self.floor = floor;
        self
    }

    /// Sets whether all batches of a reader are one commit.
    #[must_use]
    pub fn with_atomic(mut self, atomic: bool) -> Self {
        self.atomic = atomic;
        self
    }

    /// Sets how many bytes an atomic write, or one into a batch, may stage.
    #[must_use]
    pub fn with_write_budget_bytes(mut self, bytes: u64) -> Self {
        self.write_budget_bytes = bytes;
        self
    }
}

/// What a write has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Number of points: in the long form the rows, in the wide one the rows times the keys.
    pub points: u64,
    /// Number of rows of all batches.
    pub rows: u64,
    /// Number of commits: one for each batch that had points, or one for all.
    pub commits: u64,
    /// Offset of the first entry of the last commit (of the log's end, if nothing was written): all
    /// is durable when [`wait_durable`](crate::SynaDB::wait_durable) has waited for it.
    pub offset: u64,
}
