//! Appending: the one place that writes entries and slots, and that syncs them.

use std::io::{self, IoSlice};
use std::sync::Arc;

use arrow_buffer::Buffer;

use crate::canary::{Canary, planted};
use crate::column::EncodedChunk;
use crate::config::Durability;
use crate::error::{Result, SharedIo, SynaError};
use crate::format::checksum::{Salt, extend};
use crate::format::chunk::DATA_ALIGN;
use crate::format::entry::{
    BodyCrc, CommitValue, Frame, HEADER_LEN, Kind, Position, entry_len, flags,
};
use crate::format::slot::{Slot, SlotPage};
use crate::format::{LOG_START, PAGE_SIZE};
use crate::storage::StorageFile;

use super::file::{LogFile, write_all};

/// Appends to one log file. Bytes go to the buffer first; when they leave it is the durability's
/// question.
///
/// ```text
///   file:   ... committed bytes | zeros (preallocated) ...
///                               ^ written
///   buffer:                     | framed bytes, whole commits |
///                                                             ^ end
/// ```
pub(crate) struct LogWriter {
    log: Arc<LogFile>,
    durability: Durability,
    /// Where the next entry goes.
    end: Position,
    /// Bytes below are with the operating system.
    written: u64,
    buffer: Vec<u8>,
    /// Column data that stand between bytes of the buffer: `(index in the buffer, data)`. With any
    /// of them everything is written out by the end of the group.
    data: Vec<(usize, Buffer)>,
    /// Something was framed that is read from the file only: everything is written out by the end of
    /// the group.
    read_from_file: bool,
    /// Length of the file, preallocated zeros included.
    allocated: u64,
    can_allocate: bool,
    /// The last commit known to be durable.
    durable: Position,
    /// Nothing was written since the last sync began: the next entry may carry `AFTER_SYNC`.
    after_sync: bool,
    /// `written` when the last sync began.
    sync_began_at: u64,
    slot: Slot,
    slot_page: SlotPage,
    /// Begin and end of a checkpoint that is not durable yet: no slot may name it before.
    new_checkpoint: Option<(u64, u64)>,
    /// The slot pages do not say yet what `slot` should.
    slot_is_stale: bool,
    poison: Option<(&'static str, SharedIo)>,
    syncs: u64,
    cuts: u64,
}

/// The members of a batch that is being framed.
pub(crate) struct BatchFrame {
    first: u64,
    count: u32,
    crc: u32,
}

/// A state of framing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) end: Position,
    after_sync: bool,
    buffer_len: usize,
    data_len: usize,
    read_from_file: bool,
}

/// Columns up to this size are copied to the buffer: that costs less than a slice of their own in
/// the call that writes them.
const COPIED_MAX: usize = 64 << 10;

/// Smallest and largest step of preallocation, and the part of the file it is in between.
const ALLOCATE_MIN: u64 = 256 << 10;
const ALLOCATE_MAX: u64 = 64 << 20;
const ALLOCATE_PART: u64 = 8;

/// How a group ended that could not be written whole.
pub(crate) struct WriteFailure {
    /// The commits that end at or before this offset are in the file all the same.
    pub(crate) kept_to: u64,
    pub(crate) error: SynaError,
}

impl LogWriter {
    /// Goes on behind the last commit of a recovered log. `slot` is the newest intact one and
    /// stands in `slot_page`.
    pub(crate) fn new(
        log: Arc<LogFile>,
        durability: Durability,
        end: Position,
        slot: Slot,
        slot_page: SlotPage,
    ) -> Result<Self> {
        let allocated = log.len()?;
        Ok(LogWriter {
            log,
            durability,
            end,
            written: end.offset,
            buffer: Vec::new(),
            data: Vec::new(),
            read_from_file: false,
            allocated,
            can_allocate: true,
            durable: Position { offset: slot.durable_len, head_crc: slot.head_crc },
            after_sync: false,
            sync_began_at: end.offset,
            slot,
            slot_page,
            new_checkpoint: None,
            slot_is_stale: false,
            poison: None,
            syncs: 0,
            cuts: 0,
        })
    }

    pub(crate) fn log(&self) -> &Arc<LogFile> {
        &self.log
    }

    /// Where the next entry goes.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    pub(crate) fn durable_len(&self) -> u64 {
        self.durable.offset
    }

    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.written - self.sync_began_at
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.syncs
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.cuts
    }

    pub(crate) fn allocated(&self) -> u64 {
        self.allocated
    }

    pub(crate) fn has_buffered(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Refuses if an earlier failure made the state of the medium unknown.
    pub(crate) fn check_writable(&self) -> Result<()> {
        match &self.poison {
            Some((operation, source)) => {
                Err(SynaError::Poisoned { operation, source: source.clone() })
            }
            None => Ok(()),
        }
    }

    /// Refuses all writing from now on.
    pub(crate) fn poison(&mut self, operation: &'static str, error: io::Error) -> SynaError {
        let source = SharedIo::new(error);
        self.poison.get_or_insert((operation, source.clone()));
        SynaError::Poisoned { operation, source }
    }

    // ---- framing -------------------------------------------------------------------------------

    /// The flag of the next entry: it carries `AFTER_SYNC` if nothing was framed since a sync.
    #[inline]
    fn sync_flag(&mut self) -> u8 {
        if std::mem::take(&mut self.after_sync) || planted(Canary::FalseAfterSync) {
            flags::AFTER_SYNC
        } else {
            0
        }
    }

    /// Frames an entry and returns its offset.
    #[inline]
    pub(crate) fn frame(
        &mut self,
        frame: Frame<'_>,
        value: &[u8],
        batch: Option<&mut BatchFrame>,
    ) -> u64 {
        self.frame_by(frame, batch, |frame, buffer, end, salt| {
            frame.write(buffer, end, salt, value)
        })
    }

    /// Frames an entry with a number or null, as [`encode_number`](crate::format::value::encode_number) makes
    /// it, and returns its offset.
    #[inline]
    pub(crate) fn frame_number(
        &mut self,
        frame: Frame<'_>,
        value: ([u64; 2], usize),
        batch: Option<&mut BatchFrame>,
    ) -> u64 {
        self.frame_by(frame, batch, |frame, buffer, end, salt| {
            frame.write_short(buffer, end, salt, value)
        })
    }

    #[inline]
    fn frame_by(
        &mut self,
        frame: Frame<'_>,
        batch: Option<&mut BatchFrame>,
        write: impl FnOnce(Frame<'_>, &mut Vec<u8>, &mut Position, &Salt) -> BodyCrc,
    ) -> u64 {
        let offset = self.end.offset;
        let batch_flag = if batch.is_some() { flags::IN_BATCH } else { 0 };
        let frame = Frame { flags: frame.flags | batch_flag | self.sync_flag(), ..frame };
        let salt = self.log.header().salt;
        let body = write(frame, &mut self.buffer, &mut self.end, &salt);
        if let Some(batch) = batch {
            batch.add(body);
        }
        offset
    }

    /// Frames a chunk of `key` whose first row is `first_row`; returns the entry's offset and the
    /// length of its value. Where the points are not kept `in_memory`, the chunk is written out with
    /// its group in any durability, for it is read from the file.
    pub(crate) fn frame_chunk(
        &mut self,
        key: &str,
        first_row: u64,
        chunk: &mut EncodedChunk,
        in_memory: bool,
        batch: Option<&mut BatchFrame>,
    ) -> Result<(u64, u32)> {
        let offset = self.end.offset;
        let (val_len, body) = self.frame_chunk_head(key, first_row, chunk, batch.is_some())?;
        let mut len = 0_usize;
        for columns in chunk.take_data() {
            let gap = len.next_multiple_of(DATA_ALIGN) - len;
            self.buffer.resize(self.buffer.len() + gap, 0);
            len += gap + columns.len();
            if columns.len() <= COPIED_MAX {
                self.buffer.extend_from_slice(&columns);
            } else {
                self.data.push((self.buffer.len(), columns));
            }
        }
        self.read_from_file |= !in_memory;
        self.buffer.extend((0..chunk_padding(key, val_len)).map(|_| 0));
        if let Some(batch) = batch {
            batch.add(body);
        }
        Ok((offset, val_len))
    }

    /// Frames a chunk entry up to its first column. Returns the length of the value and the
    /// checksum of the body.
    fn frame_chunk_head(
        &mut self,
        key: &str,
        first_row: u64,
        chunk: &mut EncodedChunk,
        in_batch: bool,
    ) -> Result<(u32, u32)> {
        let val_len = chunk.place(first_row, self.end.offset, key.len());
        let limit = self.log.limits().chunk_size_max;
        let val_len = u32::try_from(val_len).ok().filter(|len| u64::from(*len) <= limit).ok_or(
            SynaError::BatchTooLarge { what: "the chunk of one key", len: val_len, max: limit },
        )?;
        let batch_flag = if in_batch { flags::IN_BATCH } else { 0 };
        let frame = Frame {
            kind: Kind::Chunk,
            timestamp: chunk.timestamp_min(),
            flags: chunk.header().entry_flags() | batch_flag | self.sync_flag(),
            key: key.as_bytes(),
        };
        let salt = self.log.header().salt;
        let head = chunk.header_bytes();
        let (covered, rest) =
            head.split_at_checked(chunk.header().covered_len()).unwrap_or((head, &[]));
        let body = frame.write_chunk(&mut self.buffer, &mut self.end, &salt, covered, val_len);
        self.buffer.extend_from_slice(rest);
        Ok((val_len, body))
    }

    /// Writes a chunk whose columns are produced piece by piece, so that it is never in memory as a
    /// whole; returns the entry's offset and the length of its value. What is less than a step of
    /// writing stays in the buffer, in any durability, until the next write or `flush`.
    ///
    /// An error leaves half an entry and a writer that knows nothing of it: for a file that is
    /// given up then.
    pub(crate) fn write_chunk(
        &mut self,
        key: &str,
        first_row: u64,
        chunk: &mut EncodedChunk,
        columns: impl FnOnce(&mut Pieces<'_>) -> Result<()>,
    ) -> Result<(u64, u32)> {
        debug_assert!(self.data.is_empty(), "a chunk is no part of a group");
        let offset = self.end.offset;
        let (val_len, _) = self.frame_chunk_head(key, first_row, chunk, false)?;
        let buffer = std::mem::take(&mut self.buffer);
        self.allocate(self.end.offset - self.written);
        let data_at = self.written + buffer.len() as u64;
        let mut pieces = Pieces { log: &self.log, at: self.written, data_at, buffer };
        columns(&mut pieces)?;
        pieces.pad_to(chunk.header().data_len)?;
        let padding = chunk_padding(key, val_len);
        pieces.buffer.extend((0..padding).map(|_| 0));
        if pieces.buffer.len() >= PIECES_STEP {
            pieces.write_out()?;
        }
        let Pieces { at, buffer, .. } = pieces;
        debug_assert_eq!(at + buffer.len() as u64, self.end.offset);
        (self.written, self.buffer) = (at, buffer);
        self.allocated = self.allocated.max(self.written);
        Ok((offset, val_len))
    }

    pub(crate) fn begin_batch(&self) -> BatchFrame {
        BatchFrame { first: self.end.offset, count: 0, crc: 0 }
    }

    /// Frames the commit entry that makes the members of a batch count.
    pub(crate) fn end_batch(&mut self, batch: BatchFrame, timestamp: i64) {
        let value = CommitValue { first: batch.first, count: batch.count, members_crc: batch.crc };
        let frame = Frame { kind: Kind::Commit, timestamp, flags: 0, key: &[] };
        self.frame(frame, &value.encode(), None);
    }

    /// Where framing stands, to come back to.
    #[inline]
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            end: self.end,
            after_sync: self.after_sync,
            buffer_len: self.buffer.len(),
            data_len: self.data.len(),
            read_from_file: self.read_from_file,
        }
    }

    /// Takes back what was framed since `mark`, none of which was written.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.buffer.truncate(mark.buffer_len);
        self.data.truncate(mark.data_len);
        self.read_from_file = mark.read_from_file;
        self.end = mark.end;
        self.after_sync = mark.after_sync;
    }

    // ---- writing -------------------------------------------------------------------------------

    /// Whether what is in the buffer may stay there.
    pub(crate) fn may_stay_buffered(&self) -> bool {
        let may_wait = self.data.is_empty() && !self.read_from_file;
        may_wait && matches!(self.durability, Durability::Buffered { .. })
    }

    /// Whether the buffer is to be written out before more is framed.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        match self.durability {
            Durability::Buffered { size_bytes, .. } => self.buffer.len() >= size_bytes,
            _ => false,
        }
    }

    /// Hands a full buffer to the operating system up to the last page boundary. Whatever could
    /// not be written stays in the buffer.
    pub(crate) fn flush_pages(&mut self) -> Result<()> {
        let whole = self.end.offset & !(PAGE_SIZE as u64 - 1);
        let len = usize::try_from(whole.saturating_sub(self.written)).unwrap_or(0);
        self.flush_front(if len == 0 { self.buffer.len() } else { len })
    }

    /// Hands the buffer to the operating system. Whatever could not be written stays in it.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.flush_front(self.buffer.len())
    }

    fn flush_front(&mut self, len: usize) -> Result<()> {
        debug_assert!(self.data.is_empty(), "data are written by the end of their group");
        let len = len.min(self.buffer.len());
        if len == 0 {
            return Ok(());
        }
        self.check_writable()?;
        self.allocate(len as u64);
        let front = self.buffer.get(..len).unwrap_or_default();
        let result = write_all(&**self.log.storage_file(), front, self.written);
        let count = match &result {
            Ok(()) => len,
            // Never cut: the first commits of these bytes may be whole in the file and seen.
            Err((count, _)) => usize::try_from(*count).unwrap_or(len),
        };
        self.buffer.drain(..count);
        self.written += count as u64;
        self.allocated = self.allocated.max(self.written);
        result.map_err(|(_, error)| self.log.io_error("write", error))
    }

    /// Writes everything that was framed, as one operation where it can.
    ///
    /// `commits` are the ends of the commits framed since `start`, in order. After a failure the
    /// file is cut back to the last of them that is whole in it (or to `start`; what was buffered
    /// before stays), and the writer stands there.
    pub(crate) fn write_group(
        &mut self,
        start: Mark,
        commits: &[Position],
    ) -> Result<(), WriteFailure> {
        let total = self.end.offset - self.written;
        self.allocate(total);
        let result = self.write_framed();
        let Err((count, error)) = result else {
            self.written = self.end.offset;
            self.allocated = self.allocated.max(self.written);
            self.buffer.clear();
            self.data.clear();
            self.read_from_file = false;
            return Ok(());
        };
        let reached = self.written + count;
        self.allocated = self.allocated.max(reached);
        let error = self.log.io_error("write", error);
        let kept = commits.iter().rev().find(|end| end.offset <= reached).copied();
        if let Some(kept) = kept {
            // Acknowledged now or soon: never cut.
            self.buffer.clear();
            self.data.clear();
            self.read_from_file = false;
            self.written = kept.offset;
            self.end = kept;
            self.after_sync = false;
        } else {
            self.rewind(start);
            let gone = usize::try_from(count).unwrap_or(usize::MAX).min(self.buffer.len());
            self.buffer.drain(..gone);
            self.written = reached.min(start.end.offset);
        }
        if reached > self.written {
            self.cuts += 1;
            if let Err(cut) = self.log.storage_file().set_len(self.written) {
                let error = self.poison("cutting back an incomplete write", cut);
                return Err(WriteFailure { kept_to: self.written, error });
            }
            self.allocated = self.written;
            // A cut that is not durable could be undone by a power loss: if only the padding of a
            // commit is missing, zeros where it stood make it whole, long after it was reported
            // as failed.
            if let Err(error) = self.sync_written() {
                return Err(WriteFailure { kept_to: self.written, error });
            }
        }
        Err(WriteFailure { kept_to: self.written, error })
    }

    /// Writes buffer and data; on failure says how many bytes of both arrived.
    fn write_framed(&mut self) -> Result<(), (u64, io::Error)> {
        let file = &**self.log.storage_file();
        if self.data.is_empty() {
            return write_all(file, &self.buffer, self.written);
        }
        let mut parts: Vec<&[u8]> = Vec::with_capacity(self.data.len() * 2 + 1);
        let mut from = 0;
        for (index, data) in &self.data {
            parts.push(self.buffer.get(from..*index).unwrap_or_default());
            parts.push(data);
            from = *index;
        }
        parts.push(self.buffer.get(from..).unwrap_or_default());
        write_parts(file, &parts, self.written)
    }

    /// Preallocates, if what is to be written goes beyond what is there. Failing is no error: the
    /// file grows as it is written then, or the write says what is wrong.
    fn allocate(&mut self, len: u64) {
        let need = self.written + len;
        if need <= self.allocated || !self.can_allocate {
            return;
        }
        let step = (need / ALLOCATE_PART).clamp(ALLOCATE_MIN, ALLOCATE_MAX);
        let target = (need + step).next_multiple_of(PAGE_SIZE as u64);
        match self.log.storage_file().allocate(target) {
            Ok(()) => self.allocated = target,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.can_allocate = false,
            // A full disk: part of it may have been extended.
            Err(_) => {
                self.allocated = self.log.storage_file().len().unwrap_or(self.allocated);
            }
        }
    }

    // ---- syncing -------------------------------------------------------------------------------

    /// Begins a sync of everything written: what it will have made durable.
    pub(crate) fn begin_sync(&mut self) -> Position {
        self.sync_began_at = self.written;
        // In a buffered mode the file may end inside an entry; the last whole commit counts.
        if self.buffer.is_empty() { self.end } else { self.durable }
    }

    /// Ends the sync that `begin_sync` began.
    pub(crate) fn end_sync(&mut self, began: Position, result: io::Result<()>) -> Result<()> {
        match result {
            Ok(()) => {
                self.syncs += 1;
                if began.offset > self.durable.offset {
                    self.durable = began;
                    self.slot.durable_len = began.offset;
                    self.slot.head_crc = began.head_crc;
                    self.slot_is_stale = true;
                }
                if let Some((offset, end)) = self.new_checkpoint
                    && end <= self.durable.offset
                {
                    self.slot.checkpoint = offset;
                    self.new_checkpoint = None;
                }
                // Nothing was written while it ran, and it covered all that is in the file.
                if self.written == self.sync_began_at && self.end.offset == self.written {
                    self.after_sync = self.durable.offset == self.written;
                }
                Ok(())
            }
            Err(error) => {
                if self.poison.is_none() {
                    self.slot.suspect_from = self.durable.offset;
                    self.slot_is_stale = true;
                    // If this fails, too, the next writer sees an unclean stop without the hint.
                    // There is nobody else to tell: the caller gets the sync's error.
                    let _ = self.write_slot();
                }
                Err(self.poison("sync", error))
            }
        }
    }

    /// Syncs everything written while the caller holds the writer.
    pub(crate) fn sync_written(&mut self) -> Result<()> {
        let began = self.begin_sync();
        let result = sync_data(&**self.log.storage_file());
        self.end_sync(began, result)
    }

    /// Notes where the newest checkpoint is. A slot names it once it is durable: an image that a
    /// power loss leaves without the entries before it would stand for commits that are not there.
    pub(crate) fn set_checkpoint(&mut self, offset: u64, end: u64) {
        self.new_checkpoint = Some((offset, end));
    }

    /// Whether a checkpoint waits for a sync to count.
    pub(crate) fn checkpoint_waits(&self) -> bool {
        self.new_checkpoint.is_some()
    }

    pub(crate) fn slot_is_stale(&self) -> bool {
        self.slot_is_stale
    }

    /// Writes the slot into the page that does not hold the newest one.
    pub(crate) fn write_slot(&mut self) -> Result<()> {
        let page = self.slot_page.other();
        let mut slot = self.slot;
        slot.epoch += 1;
        let header = self.log.header();
        let bytes = slot.encode(&header.salt, page, &header.encode());
        write_all(&**self.log.storage_file(), &bytes, page.offset())
            .map_err(|(_, error)| self.log.io_error("write", error))?;
        self.slot = slot;
        self.slot_page = page;
        self.slot_is_stale = false;
        Ok(())
    }

    /// Cuts the preallocated space off.
    pub(crate) fn trim(&mut self) -> Result<()> {
        if self.allocated > self.written {
            let file = self.log.storage_file();
            file.set_len(self.written).map_err(|e| self.log.io_error("truncate", e))?;
            self.allocated = self.written;
        }
        Ok(())
    }
}

/// Zeros behind the value of a chunk entry.
fn chunk_padding(key: &str, val_len: u32) -> u64 {
    let unpadded = HEADER_LEN as u64 + key.len() as u64 + u64::from(val_len);
    entry_len(key.len(), val_len.into()) - unpadded
}

/// The columns of a chunk on their way into the file, see [`LogWriter::write_chunk`].
pub(crate) struct Pieces<'a> {
    log: &'a LogFile,
    /// Where the buffer goes.
    at: u64,
    /// Where the first column begins.
    data_at: u64,
    buffer: Vec<u8>,
}

/// Pieces are written in steps of about this many bytes.
const PIECES_STEP: usize = 1 << 20;

impl Pieces<'_> {
    /// Bytes of columns so far.
    fn position(&self) -> u64 {
        (self.at + self.buffer.len() as u64).saturating_sub(self.data_at)
    }

    /// Adds zeros up to `offset`, counted from the first column.
    fn pad_to(&mut self, offset: u64) -> Result<()> {
        let zeros = usize::try_from(offset.saturating_sub(self.position())).unwrap_or(0);
        debug_assert!(zeros < 64, "gaps between columns are short");
        self.buffer.resize(self.buffer.len().saturating_add(zeros), 0);
        Ok(())
    }

    /// Adds a column that begins at `offset`. Where it shares bytes with the one before it, those
    /// are there already.
    pub(crate) fn column(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.pad_to(offset)?;
        let shared = usize::try_from(self.position() - offset).unwrap_or(usize::MAX);
        for part in bytes.get(shared..).unwrap_or_default().chunks(PIECES_STEP) {
            self.buffer.extend_from_slice(part);
            if self.buffer.len() >= PIECES_STEP {
                self.write_out()?;
            }
        }
        Ok(())
    }

    fn write_out(&mut self) -> Result<()> {
        write_all(&**self.log.storage_file(), &self.buffer, self.at)
            .map_err(|(_, error)| self.log.io_error("write", error))?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl BatchFrame {
    #[inline]
    fn add(&mut self, body_crc: u32) {
        self.count = self.count.saturating_add(1);
        self.crc = extend(self.crc, &body_crc.to_le_bytes());
    }
}

/// Syncs a log file.
pub(crate) fn sync_data(file: &dyn StorageFile) -> io::Result<()> {
    if planted(Canary::SkipSync) {
        return Ok(());
    }
    file.sync_data()
}

/// Writes slices one after the other; on failure says how many bytes arrived.
fn write_parts(
    file: &dyn StorageFile,
    parts: &[&[u8]],
    offset: u64,
) -> Result<(), (u64, io::Error)> {
    // The system takes at most so many slices in one call.
    const SLICES_MAX: usize = 512;
    let mut done = 0u64;
    let (mut first, mut skip) = (0usize, 0usize);
    loop {
        let mut slices = Vec::with_capacity(parts.len().min(SLICES_MAX));
        for (number, part) in parts.iter().enumerate().skip(first) {
            let part = if number == first { part.get(skip..).unwrap_or_default() } else { part };
            if !part.is_empty() && slices.len() < SLICES_MAX {
                slices.push(IoSlice::new(part));
            }
        }
        if slices.is_empty() {
            return Ok(());
        }
        let mut count = match file.write_vectored_at(&slices, offset + done) {
            Ok(0) => return Err((done, io::ErrorKind::WriteZero.into())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err((done, error)),
        };
        done += count as u64;
        while let Some(part) = parts.get(first) {
            let left = part.len() - skip;
            if count < left {
                skip += count;
                break;
            }
            count -= left;
            first += 1;
            skip = 0;
        }
    }
}

/// The slot of a file that has nothing but its pages.
pub(crate) fn first_slot(head_crc: u32) -> Slot {
    Slot { epoch: 1, durable_len: LOG_START, head_crc, checkpoint: 0, suspect_from: 0 }
}
