//! Opening: from a path to the state that handles share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::config::{Create, DbConfig};
use crate::error::{Result, SynaError};
use crate::fork;
use crate::format::LOG_START;
use crate::format::checkpoint::PieceHeader;
use crate::format::entry::{EntryHeader, HEADER_LEN, Position};
use crate::format::slot::{Slot, SlotPage};
use crate::index::{Index, IndexWriter, Replay, ReplayStep};
use crate::log::group::Group;
use crate::log::lock::FileLock;
use crate::log::recovery::{self, RecoveryReport, Tail};
use crate::log::{Content, LogFile, LogWriter, Scanned, Scanner, create};
use crate::materialize::Materializer;
use crate::mutex::Mutex;
use crate::storage::{FileKind, FileStatus, Medium, OpenMode, Replace, Storage, StorageFile};

use super::core::{Core, Durable, Generation, Side, WriterSide};
use super::follow::Cursor;
use super::keeper::Keeper;
use super::reader_side::ReaderSide;

/// An index rebuilt from a log.
pub(crate) struct Loaded {
    pub(crate) index: IndexWriter,
    pub(crate) replay: Replay,
    /// The checkpoint it began at: offset and length.
    pub(crate) checkpoint: Option<(u64, u64)>,
    /// Where the entries end, and what stands there unless it is the clean end.
    pub(crate) bad: Option<(u64, &'static str)>,
    pub(crate) scanned_from: u64,
}

/// Rebuilds the index of a log: from its newest checkpoint if that holds, else from the start.
pub(crate) fn load(log: &LogFile, slot: &Slot, tail_budget_bytes: usize) -> Result<Loaded> {
    load_up_to(log, slot, tail_budget_bytes, u64::MAX)
}

/// As [`load`], of what lies before `end` only.
pub(crate) fn load_up_to(
    log: &LogFile,
    slot: &Slot,
    tail_budget_bytes: usize,
    end: u64,
) -> Result<Loaded> {
    if slot.checkpoint != 0 && slot.checkpoint < end {
        match load_from_checkpoint(log, slot, tail_budget_bytes, end) {
            Ok(Some(loaded)) => return Ok(loaded),
            // An image that is not there, or that the entries after it contradict. The log itself
            // decides: if it is damaged, the scan from the start finds that, too.
            Ok(None) | Err(SynaError::Corrupt { .. } | SynaError::UnsupportedFeature { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let start = Position { offset: LOG_START, head_crc: log.header().salt.chain_start() };
    let index = IndexWriter::new(Arc::new(Index::new(LOG_START)), tail_budget_bytes);
    let scanner = Scanner::new(log, start, slot.durable_len)?.ending_at(end);
    load_rest(log, scanner, Replay::new(start), index, None)
}

fn load_from_checkpoint(
    log: &LogFile,
    slot: &Slot,
    tail_budget_bytes: usize,
    end: u64,
) -> Result<Option<Loaded>> {
    let offset = slot.checkpoint;
    let mut head = [0; HEADER_LEN + crate::format::checkpoint::PIECE_HEADER_LEN];
    // Nothing here looks at the entries before it: they must be known to be durable.
    if offset < LOG_START || offset > slot.durable_len {
        return Ok(None);
    }
    if log.read_up_to(&mut head, offset)? < head.len() {
        return Ok(None);
    }
    let (Some(entry), Some(first)) =
        (EntryHeader::parse(&head), head.get(HEADER_LEN..).and_then(PieceHeader::parse))
    else {
        return Ok(None);
    };
    if entry.key_len != 0 || first.covers != offset || first.piece != 0 || first.pieces == 0 {
        return Ok(None);
    }
    // The chain is taken up here; head and body checksum of the piece vouch for the value.
    let start = Position { offset, head_crc: first.previous_head_crc };
    // Beyond what is durable both checksums are asked for; asked for everywhere here.
    let mut scanner = Scanner::new(log, start, slot.durable_len)?.ending_at(end);
    let mut replay = Replay::new(start);
    let mut index = IndexWriter::new(Arc::new(Index::new(LOG_START)), tail_budget_bytes);
    for number in 0..first.pieces {
        let Scanned::Entry(entry) = scanner.next()? else { return Ok(None) };
        let Content::Checkpoint(piece) = entry.content else { return Ok(None) };
        let Some(header) = PieceHeader::parse(piece) else { return Ok(None) };
        if header != (PieceHeader { piece: number, keys: header.keys, ..first })
            || !index.restore_piece(piece, &header)?
        {
            return Ok(None);
        }
        replay.step(&mut index, log, entry)?;
    }
    if first.pieces > 1 {
        let Scanned::Entry(entry) = scanner.next()? else { return Ok(None) };
        if replay.step(&mut index, log, entry)? != ReplayStep::Commit {
            return Ok(None);
        }
    }
    if replay.commit().offset != scanner.position().offset {
        return Ok(None);
    }
    let len = replay.commit().offset - offset;
    load_rest(log, scanner, replay, index, Some((offset, len))).map(Some)
}

/// Replays all entries from the scanner's position on.
fn load_rest(
    log: &LogFile,
    mut scanner: Scanner<'_>,
    mut replay: Replay,
    mut index: IndexWriter,
    checkpoint: Option<(u64, u64)>,
) -> Result<Loaded> {
    let scanned_from = checkpoint.map_or(LOG_START, |(offset, _)| offset);
    let bad = replay_all(log, &mut scanner, &mut replay, &mut index)?;
    index.publish(replay.commit().offset);
    Ok(Loaded { index, replay, checkpoint, bad, scanned_from })
}

/// Replays entries until there is no good one; says what stands there unless it is the clean end.
pub(crate) fn replay_all(
    log: &LogFile,
    scanner: &mut Scanner<'_>,
    replay: &mut Replay,
    index: &mut IndexWriter,
) -> Result<Option<(u64, &'static str)>> {
    loop {
        let last_good = replay.commit().offset;
        let offset = scanner.position().offset;
        let step = match scanner.next() {
            Ok(Scanned::Entry(entry)) => replay.step(index, log, entry).map(|_| None),
            Ok(Scanned::End) => {
                return Ok(if !scanner.only_zeros_follow()? {
                    Some((offset, "zeros with other bytes behind them"))
                } else if replay.commit().offset < offset {
                    Some((offset, "a batch without its commit entry"))
                } else {
                    None
                });
            }
            Ok(Scanned::Bad(what)) => Ok(Some((offset, what))),
            Err(error) => Err(error),
        };
        match step {
            Ok(None) => {}
            Ok(bad) => return Ok(bad),
            Err(SynaError::Corrupt { offset, next_good, what, .. }) => {
                return Err(SynaError::Corrupt { offset, last_good, next_good, what });
            }
            Err(error) => return Err(error),
        }
    }
}

/// What a path names, resolved.
pub(crate) struct Target {
    pub(crate) name: PathBuf,
    pub(crate) path: PathBuf,
    /// `None` if nothing is there.
    pub(crate) status: Option<FileStatus>,
}

impl Target {
    pub(crate) fn find(storage: &dyn Storage, name: &Path) -> Result<Target> {
        let path = match storage.resolve(name) {
            Ok(path) => path,
            Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => {
                return Err(SynaError::IsDirectory { path: name.to_owned() });
            }
            Err(error) => return Err(SynaError::io("resolve", name, error)),
        };
        let status = match storage.status(&path) {
            Ok(status) => Some(status),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(SynaError::io("stat", name, error)),
        };
        match status.map(|status| status.kind) {
            Some(FileKind::Folder) => Err(SynaError::IsDirectory { path: name.to_owned() }),
            Some(FileKind::Other) => Err(SynaError::NotARegularFile { path: name.to_owned() }),
            Some(FileKind::File) | None => Ok(Target { name: name.to_owned(), path, status }),
        }
    }
}

/// As [`Target::find`] for who will not create anything: a missing folder is a missing database.
pub(crate) fn find_existing(storage: &dyn Storage, name: &Path) -> Result<Target> {
    Target::find(storage, name).map_err(|error| match error.io_kind() {
        Some(std::io::ErrorKind::NotFound) => SynaError::NotFound { path: name.to_owned() },
        _ => error,
    })
}

/// Opens the file at a path; `Ok(None)` if it vanished meanwhile.
fn open_file(
    storage: &dyn Storage,
    target: &Target,
    mode: OpenMode,
) -> Result<Option<Arc<dyn StorageFile>>> {
    match storage.open(&target.path, mode) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SynaError::io("open", &target.name, error)),
    }
}

/// Makes sure that there is a file at the path, creating an empty database if allowed.
pub(crate) fn ensure_exists(
    storage: &Arc<dyn Storage>,
    name: &Path,
    config: &DbConfig,
) -> Result<Target> {
    for _ in 0..100 {
        let target = match config.create {
            Create::Never => find_existing(&**storage, name)?,
            _ => Target::find(&**storage, name)?,
        };
        let is_empty = target.status.is_some_and(|status| status.len == 0);
        match (target.status, config.create) {
            (Some(_), Create::New) => {
                return Err(SynaError::AlreadyExists { path: target.name });
            }
            (Some(_), _) if !is_empty => return Ok(target),
            (None, Create::Never) => return Err(SynaError::NotFound { path: target.name }),
            (Some(_), Create::Never) => return Ok(target),
            _ => {}
        }
        check_medium(&**storage, &target, config)?;
        if is_empty {
            replace_empty(storage, &target)?;
        } else if create::create(storage, &target.path, Replace::No)?
            && config.create == Create::New
        {
            return Target::find(&**storage, name);
        }
    }
    Err(SynaError::io("create", name, std::io::ErrorKind::Interrupted.into()))
}

/// Puts an empty database in the place of an empty file.
fn replace_empty(storage: &Arc<dyn Storage>, target: &Target) -> Result<()> {
    let Some(file) = open_file(&**storage, target, OpenMode::ReadWrite)? else { return Ok(()) };
    let lock = FileLock::take(&file, &target.name)?;
    let still_empty = file.is_empty().map_err(|e| SynaError::io("stat", &target.name, e))?;
    if still_empty && lock.is_of(&**storage, &target.path)? {
        create::create(storage, &target.path, Replace::Yes)?;
    }
    Ok(())
}

/// The medium a database is on, unless it must not be written there.
fn check_medium(storage: &dyn Storage, target: &Target, config: &DbConfig) -> Result<Medium> {
    let place = if target.status.is_some() {
        target.path.as_path()
    } else {
        create::folder_of(&target.path)
    };
    let medium = storage.medium(place).map_err(|e| SynaError::io("stat", &target.name, e))?;
    match medium {
        Medium::Network(file_system) if !config.allow_network_fs => {
            Err(SynaError::NetworkFileSystem { path: target.name.clone(), file_system })
        }
        medium => Ok(medium),
    }
}

/// Opens for writing what `ensure_exists` found. `Ok(None)` if the file was replaced meanwhile:
/// look again.
pub(crate) fn open_writer(
    storage: &Arc<dyn Storage>,
    target: Target,
    config: &DbConfig,
) -> Result<Option<Arc<Core>>> {
    fork::watch();
    let medium = check_medium(&**storage, &target, config)?;
    let Some(file) = open_file(&**storage, &target, OpenMode::ReadWrite)? else { return Ok(None) };
    let status = file.status().map_err(|e| SynaError::io("stat", &target.name, e))?;
    if target.status.is_none_or(|found| found.identity != status.identity) {
        // Another file took the name meanwhile. Its lock may be held by this very process, which
        // would have found it open had it looked for this one.
        return Ok(None);
    }
    // What is not ours is told before anybody asks who holds its lock.
    let log = Arc::new(LogFile::open(Arc::clone(&file), &target.path)?);
    let lock = FileLock::take(&file, &target.name)?;
    if !lock.is_of(&**storage, &target.path)? {
        return Ok(None);
    }
    create::remove_leftovers(&**storage, &target.path);
    let (side, recovery) = recover(&**storage, log, lock, config)?;
    let generation = Generation::new(Arc::clone(side.log.log()), Arc::clone(side.index.index()));
    let durable = side.log.durable_len();
    let core = Arc::new(new_core(
        storage,
        target,
        config,
        (true, medium, status.identity),
        recovery,
        generation,
        Side::Writer(side),
        durable,
    ));
    core.keeper.start(Arc::downgrade(&core), config.durability);
    Ok(Some(core))
}

#[expect(clippy::too_many_arguments, reason = "the fields of one struct, in one place")]
fn new_core(
    storage: &Arc<dyn Storage>,
    target: Target,
    config: &DbConfig,
    (is_writer, medium, identity): (bool, Medium, crate::storage::FileIdentity),
    recovery: RecoveryReport,
    generation: Arc<Generation>,
    side: Side,
    durable: u64,
) -> Core {
    Core {
        storage: Arc::clone(storage),
        name: target.name,
        path: target.path,
        config: config.clone(),
        is_writer,
        medium,
        limits: *generation.log.limits(),
        recovery,
        generation: ArcSwap::new(generation),
        materializer: Materializer::new(config.buffer_pool_bytes, config.column_cache_bytes),
        side: Mutex::new(side),
        group: Group::new(),
        durable: Durable { offset: AtomicU64::new(durable), before_rewrite: AtomicU64::new(0) },
        syncing: Mutex::new(()),
        rewriting: AtomicBool::new(false),
        followers: Mutex::default(),
        auto_optimize: Mutex::default(),
        detached: AtomicBool::new(false),
        keeper: Keeper::new(),
        forks: fork::count(),
        opened: Instant::now(),
        looked_us: AtomicU64::new(0),
        identity: Mutex::new(identity),
    }
}

/// Finds the end of a locked log, cuts what is torn, and makes the writing end of it.
fn recover(
    storage: &dyn Storage,
    log: Arc<LogFile>,
    lock: FileLock,
    config: &DbConfig,
) -> Result<(WriterSide, RecoveryReport)> {
    let Some((slot_page, mut slot)) = log.newest_slot()? else {
        return Err(no_slot());
    };
    let loaded = load(&log, &slot, config.tail_budget_bytes)?;
    let commit = loaded.replay.commit();
    let mut report = RecoveryReport {
        entries: loaded.replay.entries(),
        bytes_scanned: commit.offset - loaded.scanned_from,
        from_checkpoint: loaded.checkpoint.is_some(),
        ..RecoveryReport::default()
    };
    let tail = tail_of(&log, &loaded, slot.durable_len)?;
    recovery::cut(storage, &log, commit, &tail, &mut report)?;
    let suspect = slot.suspect_from != 0;
    if suspect {
        report.bytes_rewritten = recovery::rewrite_suspect(&log, slot.suspect_from, commit.offset)?;
        slot.suspect_from = 0;
        slot.durable_len = commit.offset;
        slot.head_crc = commit.head_crc;
    }
    let mut writer = LogWriter::new(Arc::clone(&log), config.durability, commit, slot, slot_page)?;
    if suspect {
        writer.write_slot()?;
    }
    let (checkpoint, checkpoint_len) = loaded.checkpoint.unwrap_or((LOG_START, 0));
    let side = WriterSide {
        policy: config.policy(),
        log: writer,
        index: loaded.index,
        lock,
        checkpoint,
        checkpoint_len,
    };
    Ok((side, report))
}

/// Judges the end of a log that was loaded.
pub(crate) fn tail_of(log: &LogFile, loaded: &Loaded, durable_len: u64) -> Result<Tail> {
    let commit = loaded.replay.commit();
    match loaded.bad {
        None if commit.offset >= durable_len => Ok(Tail::Clean),
        None => {
            let bad = (commit.offset, "durable entries are missing");
            recovery::judge(log, commit, bad, durable_len)
        }
        Some(bad) => recovery::judge(log, commit, bad, durable_len),
    }
}

pub(crate) fn no_slot() -> SynaError {
    SynaError::Corrupt {
        offset: SlotPage::A.offset(),
        last_good: 0,
        next_good: None,
        what: "both slot pages fail their checksums",
    }
}

/// Opens for reading only.
pub(crate) fn open_reader(
    storage: &Arc<dyn Storage>,
    name: &Path,
    config: &DbConfig,
) -> Result<Arc<Core>> {
    open_reader_by(storage, name, config, ReaderSide::open)
}

/// Opens for reading only what a log holds up to the commit at `cursor`.
pub(crate) fn open_reader_at(
    storage: &Arc<dyn Storage>,
    name: &Path,
    config: &DbConfig,
    cursor: &Cursor,
) -> Result<Arc<Core>> {
    open_reader_by(storage, name, config, |log| ReaderSide::open_at(log, cursor))
}

fn open_reader_by(
    storage: &Arc<dyn Storage>,
    name: &Path,
    config: &DbConfig,
    read: impl Fn(Arc<LogFile>) -> Result<(ReaderSide, RecoveryReport)>,
) -> Result<Arc<Core>> {
    fork::watch();
    for _ in 0..100 {
        let target = find_existing(&**storage, name)?;
        if target.status.is_none() {
            return Err(SynaError::NotFound { path: target.name });
        }
        let Some(file) = open_file(&**storage, &target, OpenMode::Read)? else { continue };
        let log = Arc::new(LogFile::open(Arc::clone(&file), &target.path)?);
        let status = file.status().map_err(|e| log.io_error("stat", e))?;
        let medium = storage.medium(&target.path).unwrap_or(Medium::Disk);
        let (reader, recovery) = read(log)?;
        let generation = reader.generation();
        let durable = reader.durable_len();
        let core = new_core(
            storage,
            target,
            config,
            (false, medium, status.identity),
            recovery,
            generation,
            Side::Reader(reader),
            durable,
        );
        return Ok(Arc::new(core));
    }
    Err(SynaError::io("open", name, std::io::ErrorKind::Interrupted.into()))
}
