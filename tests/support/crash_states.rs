//! The states a disk may be in after a power loss, derived from a trace.
//!
//! # Model
//!
//! What was written before the start of a sync that succeeded is durable. Of everything else:
//!
//! - each sector (512 bytes) of a file holds what it held after any one of the writes to it, or
//!   what was durable, independently of all other sectors; so writes persist as any subset and in
//!   any order, at sector grain and therefore at page grain;
//! - the length is any one the file had since, independently of the bytes: bytes beyond it are
//!   gone, and below it, what was not persisted is zero or garbage (random bytes, or stale ones
//!   that this or another file once held, at the same or at another offset);
//! - the names are those after any prefix of the creations, renames and removals since the last
//!   sync of the folder, independently of the files' bytes and lengths;
//! - bytes whose sync failed stay uncertain for ever, whatever later syncs report, until they are
//!   written again and synced (unless the fault said that they stay dirty).
//!
//! A sync in progress at the crash has promised nothing yet.
//!
//! # Enumeration
//!
//! All combinations when they are no more than the limit, and where garbage is possible all of them
//! several times, with other garbage. Otherwise first the corners (nothing,
//! everything, each length or name prefix alone, what was written up to each moment), then all
//! combinations of sectors if these fit the limit, and random ones up to the limit, drawn by
//! several strategies because independent coins hardly ever give "all but one". The same seed
//! gives the same states.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::content::{Content, PAGE, SECTOR, Sector};
use super::disk_image::DiskImage;
use super::fault::FailedPages;
use super::rng::SplitMix64;
use super::trace::{Event, FileId, SyncOutcome, Trace};

/// How many earlier contents are kept as a source of stale bytes.
const STALE_MAX: usize = 4;

/// How far beyond the last byte written garbage may stand, in sectors.
const GARBAGE_REACH: u64 = 8;

/// How often all combinations are gone through if garbage is possible.
const GARBAGE_ROUNDS: u128 = 8;

/// Walks through a trace and enumerates the states at its crash points.
///
/// The durable state advances with the crash point, so ascending points cost one pass over the
/// trace; an earlier point starts again.
#[derive(Debug)]
pub struct CrashStates<'t> {
    trace: &'t Trace,
    seed: u64,
    disk: Disk,
}

impl<'t> CrashStates<'t> {
    pub fn new(trace: &'t Trace, seed: u64) -> Self {
        CrashStates { trace, seed, disk: Disk::new(trace) }
    }

    /// The states after a power loss when `point` events have happened, at most `limit`.
    pub fn states_at(&mut self, point: usize, limit: usize) -> States<'_> {
        self.advance(point);
        States::new(&self.disk, self.seed, point, limit)
    }

    /// What is left when only the process dies at that point: all that was written.
    pub fn killed_at(&mut self, point: usize) -> DiskImage {
        self.advance(point);
        self.disk.cached_names.iter().fold(DiskImage::new(), |image, (path, file)| {
            image.with_content(path, self.disk.files[file.0].cache.clone())
        })
    }

    fn advance(&mut self, point: usize) {
        assert!(point <= self.trace.events.len(), "the trace has no crash point {point}");
        if point < self.disk.point {
            self.disk = Disk::new(self.trace);
        }
        while self.disk.point < point {
            self.disk.apply(&self.trace.events[self.disk.point]);
        }
    }
}

type Names = BTreeMap<PathBuf, FileId>;

/// What is durable at a crash point, and what may be.
#[derive(Debug)]
struct Disk {
    point: usize,
    names: Names,
    cached_names: Names,
    name_changes: Vec<(usize, NameChange)>,
    files: Vec<FileState>,
    /// When the syncs in progress started.
    syncs: BTreeMap<u64, usize>,
    /// Contents of files that lost their name.
    removed: Vec<Content>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Create(PathBuf, FileId),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Debug, Default)]
struct FileState {
    durable: Content,
    cache: Content,
    /// Writes that are not known to be durable, in order.
    writes: Vec<Write>,
    /// Lengths since the durable one, and when they were set.
    lens: Vec<(usize, u64)>,
    /// Contents before they were cut.
    stale: Vec<Content>,
}

/// Bytes written, or with no `bytes` zeros; `[from, to)` is what is left of the range.
#[derive(Debug, Clone)]
struct Write {
    at: usize,
    from: u64,
    to: u64,
    bytes: Option<(Arc<[u8]>, u64)>,
    /// Its sync failed: no later sync makes it durable.
    failed: bool,
}

impl Disk {
    fn new(trace: &Trace) -> Self {
        let names: Names = trace
            .initial
            .iter()
            .enumerate()
            .map(|(index, (path, _))| (path.clone(), FileId(index)))
            .collect();
        let files = trace.initial.iter().map(|(_, content)| FileState {
            durable: content.clone(),
            cache: content.clone(),
            ..FileState::default()
        });
        Disk {
            point: 0,
            cached_names: names.clone(),
            names,
            name_changes: Vec::new(),
            files: files.collect(),
            syncs: BTreeMap::new(),
            removed: Vec::new(),
        }
    }

    fn apply(&mut self, event: &Event) {
        let at = self.point;
        self.point += 1;
        match event {
            Event::Create { file, path } => {
                assert_eq!(file.0, self.files.len(), "files are numbered in order");
                self.files.push(FileState::default());
                self.change_name(NameChange::Create(path.clone(), *file));
            }
            Event::Rename { from, to } => {
                self.change_name(NameChange::Rename(from.clone(), to.clone()));
            }
            Event::Remove { path } => self.change_name(NameChange::Remove(path.clone())),
            Event::Write { file, offset, bytes } => {
                self.files[file.0].write(at, *offset, bytes, false);
            }
            Event::Lost { file, offset, bytes } => {
                self.files[file.0].write(at, *offset, bytes, true);
            }
            Event::SetLen { file, len } | Event::Allocate { file, len } => {
                self.files[file.0].set_len(at, *len);
            }
            Event::SyncStart { sync, .. } | Event::FolderSyncStart { sync, .. } => {
                self.syncs.insert(*sync, at);
            }
            Event::SyncEnd { file, sync, outcome } => {
                let start = self.syncs.remove(sync).expect("a sync starts before it ends");
                match outcome {
                    SyncOutcome::Ok => self.files[file.0].sync(start),
                    SyncOutcome::Failed(FailedPages::Dirty) => {}
                    SyncOutcome::Failed(_) => self.files[file.0].fail_sync(start),
                }
            }
            Event::FolderSyncEnd { folder, sync, outcome } => {
                let start = self.syncs.remove(sync).expect("a sync starts before it ends");
                if *outcome == SyncOutcome::Ok {
                    let changes = std::mem::take(&mut self.name_changes);
                    let (durable, pending): (Vec<_>, Vec<_>) =
                        changes.into_iter().partition(|(at, change)| {
                            *at < start && change.path().parent() == Some(folder)
                        });
                    self.name_changes = pending;
                    for (_, change) in durable {
                        change.apply(&mut self.names);
                    }
                }
            }
            Event::Lock { .. } | Event::Unlock { .. } | Event::Mark(_) => {}
        }
    }

    fn change_name(&mut self, change: NameChange) {
        let gone = match &change {
            NameChange::Rename(_, path) | NameChange::Remove(path) => self.cached_names.get(path),
            NameChange::Create(..) => None,
        };
        if let Some(file) = gone {
            keep_stale(&mut self.removed, &self.files[file.0].cache);
        }
        change.apply(&mut self.cached_names);
        self.name_changes.push((self.point - 1, change));
    }

    /// The names when the first `count` pending changes persisted.
    fn names_after(&self, count: usize) -> Names {
        let mut names = self.names.clone();
        for (_, change) in &self.name_changes[..count] {
            change.apply(&mut names);
        }
        names
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Create(path, file) => {
                names.insert(path.clone(), *file);
            }
            NameChange::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            NameChange::Remove(path) => {
                names.remove(path);
            }
        }
    }

    fn path(&self) -> &PathBuf {
        match self {
            NameChange::Create(path, _)
            | NameChange::Rename(path, _)
            | NameChange::Remove(path) => path,
        }
    }
}

impl FileState {
    fn write(&mut self, at: usize, offset: u64, bytes: &Arc<[u8]>, failed: bool) {
        let len = self.cache.len();
        self.cache.write(bytes, offset);
        let to = offset + bytes.len() as u64;
        let bytes = Some((Arc::clone(bytes), offset));
        self.writes.push(Write { at, from: offset, to, bytes, failed });
        if self.cache.len() != len {
            self.lens.push((at, self.cache.len()));
        }
    }

    fn set_len(&mut self, at: usize, len: u64) {
        let old = self.cache.len();
        if len < old {
            keep_stale(&mut self.stale, &self.cache);
            // If the file grows again, what was cut off reads as zeros.
            self.writes.push(Write { at, from: len, to: old, bytes: None, failed: false });
        }
        self.cache.set_len(len);
        self.lens.push((at, len));
    }

    /// Makes durable what was written before `start`.
    fn sync(&mut self, start: usize) {
        let mut kept: Vec<Write> = Vec::new();
        for write in std::mem::take(&mut self.writes) {
            if write.failed || write.at >= start {
                kept.push(write);
                continue;
            }
            match &write.bytes {
                Some((bytes, offset)) => {
                    let range = (write.from - offset) as usize..(write.to - offset) as usize;
                    self.durable.write(&bytes[range], write.from);
                }
                None => self.durable.zero(write.from, write.to),
            }
            // What it covers of writes that failed before no longer matters.
            kept = kept.into_iter().flat_map(|earlier| earlier.without(&write)).collect();
        }
        self.writes = kept;
        let settled = self.lens.iter().take_while(|(at, _)| *at < start).count();
        if let Some((_, len)) = self.lens.drain(..settled).next_back() {
            self.durable.set_len(len);
        }
    }

    fn fail_sync(&mut self, start: usize) {
        for write in self.writes.iter_mut().filter(|write| write.at < start) {
            write.failed = true;
        }
    }
}

impl Write {
    /// What is left of it outside the range of another.
    fn without(self, other: &Write) -> impl Iterator<Item = Write> {
        let before = Write { to: self.to.min(other.from), ..self.clone() };
        let after = Write { from: self.from.max(other.to), ..self };
        [before, after].into_iter().filter(|write| write.from < write.to)
    }
}

fn keep_stale(kept: &mut Vec<Content>, content: &Content) {
    if kept.len() == STALE_MAX {
        kept.remove(0);
    }
    kept.push(content.clone());
}

/// What may be persisted of one file.
#[derive(Debug)]
struct FileChoices {
    file: FileId,
    /// The durable length and those since, with the time they were set.
    lens: Vec<(usize, u64)>,
    sectors: Vec<SectorChoices>,
    /// The sectors that hold garbage unless they were persisted.
    garbage: Range<u64>,
}

/// What a sector held after each write since the sync.
#[derive(Debug)]
struct SectorChoices {
    index: u64,
    versions: Vec<(usize, Sector)>,
}

impl FileChoices {
    fn new(file: FileId, state: &FileState) -> Self {
        let mut lens = vec![(0, state.durable.len())];
        for (at, len) in &state.lens {
            if lens.last().is_none_or(|(_, last)| last != len) {
                lens.push((*at, *len));
            }
        }
        let mut sectors = BTreeMap::new();
        for write in &state.writes {
            write.add_versions(&state.durable, &mut sectors);
        }
        let changed = sectors.into_iter().filter(|(_, versions)| !versions.is_empty());
        let sectors: Vec<SectorChoices> =
            changed.map(|(index, versions)| SectorChoices { index, versions }).collect();
        let start = state.durable.sector_count();
        let len_max = lens.iter().map(|(_, len)| *len).max().unwrap_or(0);
        let reach = sectors.last().map_or(0, |last| last.index).max(start) + GARBAGE_REACH;
        let end = len_max.div_ceil(SECTOR as u64).min(reach);
        FileChoices { file, lens, sectors, garbage: start..end }
    }

    fn fills(&self) -> usize {
        if self.garbage.is_empty() { 1 } else { Fill::ALL.len() }
    }
}

impl Write {
    fn add_versions(&self, durable: &Content, sectors: &mut BTreeMap<u64, Vec<(usize, Sector)>>) {
        let mut index = self.from / SECTOR as u64;
        while index * (SECTOR as u64) < self.to {
            let start = index * SECTOR as u64;
            if self.bytes.is_none() && durable.is_hole(start) && !sectors.contains_key(&index) {
                // Zeros over a hole, often a long one.
                index += 1;
                continue;
            }
            let versions = sectors.entry(index).or_default();
            let before = versions.last().map_or_else(|| durable.sector(index), |last| last.1);
            let mut after = before;
            let (from, to) = (self.from.max(start), self.to.min(start + SECTOR as u64));
            let part = &mut after[(from - start) as usize..(to - start) as usize];
            match &self.bytes {
                Some((bytes, offset)) => {
                    let range = (from - offset) as usize..(to - offset) as usize;
                    part.copy_from_slice(&bytes[range]);
                }
                None => part.fill(0),
            }
            if after != before {
                versions.push((self.at, after));
            }
            index += 1;
        }
    }
}

/// What stands where nothing was persisted, above the durable length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    Zero,
    /// Bytes that this or another file once held.
    Stale,
    Random,
    /// Each sector one of the three.
    Mixed,
}

impl Fill {
    const ALL: [Fill; 4] = [Fill::Zero, Fill::Stale, Fill::Random, Fill::Mixed];
}

/// What persisted of one file: 0 stands for what is durable, `i` for the i-th change since.
#[derive(Debug, Clone)]
struct FileChoice {
    len: usize,
    fill: Fill,
    sectors: Vec<u32>,
}

#[derive(Debug, Clone)]
struct Choice {
    name_changes: usize,
    files: Vec<FileChoice>,
}

/// How a state came about; its `Display` is for the message of a failing test. The state is
/// `states_at(point, limit).state(number)` of the same trace, seed and limit.
#[derive(Debug, Clone)]
pub struct Origin {
    pub seed: u64,
    pub point: usize,
    pub limit: usize,
    pub number: usize,
    choice: Choice,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { seed, point, limit, number, choice } = self;
        write!(f, "state {number} of at most {limit} at point {point}, seed {seed:#x}:")?;
        write!(f, " {} name changes", choice.name_changes)?;
        for file in &choice.files {
            write!(f, "; len {}, {:?}, sectors {:?}", file.len, file.fill, file.sectors)?;
        }
        Ok(())
    }
}

/// The states at one crash point.
#[derive(Debug)]
pub struct States<'d> {
    disk: &'d Disk,
    seed: u64,
    point: usize,
    limit: usize,
    files: Vec<FileChoices>,
    /// Moments at which something changed that is not durable.
    moments: Vec<usize>,
    /// Number of all combinations, and of those of sectors alone.
    total: u128,
    sector_total: u128,
    next: usize,
}

impl<'d> States<'d> {
    fn new(disk: &'d Disk, seed: u64, point: usize, limit: usize) -> Self {
        let mut reachable: Vec<FileId> = disk.names.values().copied().collect();
        let changes = disk.name_changes.iter();
        reachable.extend(changes.filter_map(|(_, change)| match change {
            NameChange::Create(_, file) => Some(*file),
            _ => None,
        }));
        reachable.sort_unstable();
        reachable.dedup();
        let files: Vec<FileChoices> =
            reachable.into_iter().map(|file| FileChoices::new(file, &disk.files[file.0])).collect();

        let mut moments: Vec<usize> = disk.name_changes.iter().map(|(at, _)| *at).collect();
        let (mut total, mut sector_total) = (disk.name_changes.len() as u128 + 1, 1_u128);
        for file in &files {
            total = total.saturating_mul((file.lens.len() * file.fills()) as u128);
            for sector in &file.sectors {
                let versions = sector.versions.len() as u128 + 1;
                total = total.saturating_mul(versions);
                sector_total = sector_total.saturating_mul(versions);
                moments.extend(sector.versions.iter().map(|(at, _)| *at));
            }
            moments.extend(file.lens.iter().skip(1).map(|(at, _)| *at));
        }
        moments.sort_unstable();
        moments.dedup();
        States { disk, seed, point, limit, files, moments, total, sector_total, next: 0 }
    }

    /// Number of all combinations, whatever the limit.
    pub fn total(&self) -> u128 {
        self.total
    }

    /// Whether every combination is among the states.
    pub fn is_exhaustive(&self) -> bool {
        self.total <= self.limit as u128
    }

    /// Number of states.
    pub fn len(&self) -> usize {
        let all = usize::try_from(self.count()).unwrap_or(usize::MAX);
        if self.is_exhaustive() { self.limit.min(all) } else { self.limit }
    }

    /// The state of that number, `None` beyond the last.
    pub fn state(&self, number: usize) -> Option<DiskImage> {
        if number >= self.limit || (self.is_exhaustive() && number as u128 >= self.count()) {
            return None;
        }
        let mut rng = SplitMix64::new(self.seed);
        for salt in [self.point, number] {
            rng = SplitMix64::new(rng.next_u64() ^ salt as u64);
        }
        let choice = self.choice(number, &mut rng);
        Some(self.image(number, choice, &mut rng))
    }

    /// Number of states if no limit cuts them off.
    fn count(&self) -> u128 {
        let garbage = self.files.iter().any(|file| file.fills() > 1);
        if garbage { self.total.saturating_mul(GARBAGE_ROUNDS) } else { self.total }
    }

    fn choice(&self, number: usize, rng: &mut SplitMix64) -> Choice {
        if self.is_exhaustive() {
            let (round, number) = (number as u128 / self.total, number as u128 % self.total);
            let mut choice = self.combination(number);
            for (file, choices) in choice.files.iter_mut().zip(&self.files) {
                // Zeros are always the same: once is enough.
                if round > 0 && file.fill == Fill::Zero && choices.fills() > 1 {
                    file.fill = Fill::Stale;
                }
            }
            return choice;
        }
        let Some(beyond) = number.checked_sub(self.corner_count()) else {
            return self.corner(number);
        };
        let mut choice = self.random(rng);
        if (beyond as u128) < self.sector_total
            && self.sector_total <= (self.limit - self.corner_count()) as u128
        {
            let mut digits = beyond as u128;
            self.decode_sectors(&mut choice, &mut digits);
        }
        choice
    }

    /// Reads a number in the mixed radix of all choices.
    fn combination(&self, number: u128) -> Choice {
        let mut digits = number;
        let mut choice = self.uniform(0, 0, Fill::Zero, Some(0));
        self.decode_sectors(&mut choice, &mut digits);
        for (file, choices) in choice.files.iter_mut().zip(&self.files) {
            file.len = digit(&mut digits, choices.lens.len());
            file.fill = Fill::ALL[digit(&mut digits, choices.fills())];
        }
        choice.name_changes = digit(&mut digits, self.disk.name_changes.len() + 1);
        choice
    }

    fn decode_sectors(&self, choice: &mut Choice, digits: &mut u128) {
        for (file, choices) in choice.files.iter_mut().zip(&self.files) {
            for (version, sector) in file.sectors.iter_mut().zip(&choices.sectors) {
                *version = digit(digits, sector.versions.len() + 1) as u32;
            }
        }
    }

    fn corner_count(&self) -> usize {
        let fixed = 7 + 2 * (self.disk.name_changes.len() + 1);
        // With very many moments the random choices have to do.
        let count = fixed + self.moments.len();
        if count <= self.limit / 2 { count } else { fixed.min(self.limit) }
    }

    fn corner(&self, number: usize) -> Choice {
        let names = self.disk.name_changes.len();
        let (none, all) = (Some(0), None);
        match number {
            0 => self.uniform(0, 0, Fill::Zero, none),
            1 => self.uniform(names, usize::MAX, Fill::Zero, all),
            2 => self.uniform(names, usize::MAX, Fill::Zero, none),
            3 => self.uniform(names, usize::MAX, Fill::Stale, none),
            4 => self.uniform(names, usize::MAX, Fill::Random, none),
            5 => self.uniform(names, usize::MAX, Fill::Mixed, none),
            6 => self.uniform(names, 0, Fill::Zero, all),
            _ => {
                let number = number - 7;
                if number <= names {
                    self.uniform(number, usize::MAX, Fill::Zero, all)
                } else if number <= 2 * names + 1 {
                    self.uniform(number - names - 1, 0, Fill::Zero, none)
                } else {
                    self.as_of(self.moments[number - 2 * names - 2])
                }
            }
        }
    }

    /// The same for all files and sectors. `None` is the newest version of each sector.
    fn uniform(&self, names: usize, len: usize, fill: Fill, version: Option<u32>) -> Choice {
        let files = self.files.iter().map(|file| FileChoice {
            len: len.min(file.lens.len() - 1),
            fill: if file.fills() == 1 { Fill::Zero } else { fill },
            sectors: file
                .sectors
                .iter()
                .map(|sector| version.unwrap_or(sector.versions.len() as u32))
                .collect(),
        });
        Choice { name_changes: names, files: files.collect() }
    }

    /// Everything up to a moment and nothing after: writes that persist in order.
    fn as_of(&self, moment: usize) -> Choice {
        let changes = self.disk.name_changes.iter();
        let files = self.files.iter().map(|file| FileChoice {
            len: file.lens.iter().skip(1).take_while(|(at, _)| *at <= moment).count(),
            fill: Fill::Zero,
            sectors: file.sectors.iter().map(|sector| sector.as_of(moment)).collect(),
        });
        Choice {
            name_changes: changes.take_while(|(at, _)| *at <= moment).count(),
            files: files.collect(),
        }
    }

    fn random(&self, rng: &mut SplitMix64) -> Choice {
        let names = self.disk.name_changes.len();
        let name_changes = if rng.chance(1, 2) { names } else { rng.below(names + 1) };
        let files = self.files.iter().map(|file| {
            let len = match rng.below(4) {
                0 | 1 => file.lens.len() - 1,
                2 => 0,
                _ => rng.below(file.lens.len()),
            };
            let fill = Fill::ALL[rng.below(file.fills())];
            FileChoice { len, fill, sectors: self.random_sectors(file, rng) }
        });
        Choice { name_changes, files: files.collect() }
    }

    fn random_sectors(&self, file: &FileChoices, rng: &mut SplitMix64) -> Vec<u32> {
        let sectors = &file.sectors;
        if sectors.is_empty() {
            return Vec::new();
        }
        let newest = |sector: &SectorChoices| sector.versions.len() as u32;
        let any = |sector: &SectorChoices, rng: &mut SplitMix64| {
            rng.below(sector.versions.len() + 1) as u32
        };
        let mut chosen: Vec<u32> = match rng.below(7) {
            // Independent sectors, then independent pages.
            0 | 1 => sectors.iter().map(|sector| any(sector, rng)).collect(),
            2 => {
                let mut moments = BTreeMap::new();
                let page = |sector: &SectorChoices| sector.index / (PAGE / SECTOR) as u64;
                for sector in sectors {
                    moments.entry(page(sector)).or_insert_with(|| self.random_moment(rng));
                }
                sectors.iter().map(|sector| sector.as_of(moments[&page(sector)])).collect()
            }
            // A first or last part of the file.
            3 => {
                let cut = rng.below(sectors.len() + 1);
                let part = |(i, sector)| if i < cut { newest(sector) } else { 0 };
                return sectors.iter().enumerate().map(part).collect();
            }
            4 => {
                let cut = rng.below(sectors.len() + 1);
                let part = |(i, sector)| if i >= cut { newest(sector) } else { 0 };
                return sectors.iter().enumerate().map(part).collect();
            }
            // All or nothing; with the exceptions below.
            5 => sectors.iter().map(newest).collect(),
            _ => vec![0; sectors.len()],
        };
        for _ in 0..rng.below(3) {
            let exception = rng.below(sectors.len());
            chosen[exception] = any(&sectors[exception], rng);
        }
        chosen
    }

    fn random_moment(&self, rng: &mut SplitMix64) -> usize {
        if rng.chance(1, 4) { 0 } else { *rng.pick(&self.moments) }
    }

    /// Puts together what was chosen.
    fn image(&self, number: usize, choice: Choice, rng: &mut SplitMix64) -> DiskImage {
        let mut image = DiskImage::new();
        for (path, id) in self.disk.names_after(choice.name_changes) {
            let state = &self.disk.files[id.0];
            let index = self.files.iter().position(|file| file.file == id);
            let content = match index {
                Some(index) => self.content(state, &self.files[index], &choice.files[index], rng),
                None => state.durable.clone(),
            };
            image = image.with_content(path, content);
        }
        let (seed, point, limit) = (self.seed, self.point, self.limit);
        image.with_origin(Origin { seed, point, limit, number, choice })
    }

    fn content(
        &self,
        state: &FileState,
        choices: &FileChoices,
        choice: &FileChoice,
        rng: &mut SplitMix64,
    ) -> Content {
        let mut content = state.durable.clone();
        let (_, len) = choices.lens[choice.len];
        if choice.fill != Fill::Zero {
            let stale = self.stale(state, rng);
            let end = choices.garbage.end.min(len.div_ceil(SECTOR as u64));
            for index in choices.garbage.start..end {
                if let Some(garbage) = stale.sector(index, choice.fill, rng) {
                    content.write(&garbage, index * SECTOR as u64);
                }
            }
        }
        for (sector, version) in choices.sectors.iter().zip(&choice.sectors) {
            let start = sector.index * SECTOR as u64;
            if let Some(version) = version.checked_sub(1).filter(|_| start < len) {
                content.write(&sector.versions[version as usize].1, start);
            }
        }
        content.set_len(len);
        content
    }

    /// Picks where stale bytes come from.
    fn stale<'a>(&'a self, state: &'a FileState, rng: &mut SplitMix64) -> Stale<'a> {
        let mut sources = vec![&state.durable, &state.cache];
        sources.extend(&state.stale);
        sources.extend(&self.disk.removed);
        sources.extend(self.disk.files.iter().map(|file| &file.cache));
        sources.retain(|source| source.len() > 0);
        if sources.is_empty() {
            return Stale { source: None, shift: 0 };
        }
        let source = *rng.pick(&sources);
        let shift = match rng.below(4) {
            0 | 1 => 0,
            2 => rng.below(source.sector_count() as usize) as u64,
            _ => rng.below(source.sector_count() as usize) as u64 / 8 * 8,
        };
        Stale { source: Some(source), shift }
    }
}

impl Iterator for States<'_> {
    type Item = DiskImage;

    fn next(&mut self) -> Option<DiskImage> {
        let state = self.state(self.next)?;
        self.next += 1;
        Some(state)
    }
}

impl SectorChoices {
    fn as_of(&self, moment: usize) -> u32 {
        self.versions.iter().take_while(|(at, _)| *at <= moment).count() as u32
    }
}

struct Stale<'a> {
    source: Option<&'a Content>,
    shift: u64,
}

impl Stale<'_> {
    /// Garbage for a sector, `None` for zeros.
    fn sector(&self, index: u64, fill: Fill, rng: &mut SplitMix64) -> Option<Sector> {
        match (fill, self.source) {
            (Fill::Zero, _) => None,
            (Fill::Mixed, _) => {
                let fill = Fill::ALL[rng.below(3)];
                self.sector(index, fill, rng)
            }
            (Fill::Stale, Some(source)) => {
                Some(source.sector((index + self.shift) % source.sector_count()))
            }
            (Fill::Random | Fill::Stale, _) => {
                let mut bytes = [0; SECTOR];
                rng.fill(&mut bytes);
                Some(bytes)
            }
        }
    }
}

/// Takes the lowest digit of that radix.
fn digit(digits: &mut u128, radix: usize) -> usize {
    let digit = *digits % radix as u128;
    *digits /= radix as u128;
    digit as usize
}
