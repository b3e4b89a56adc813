//! Inspects the write-ahead log that a crash left, before SQLite opens the file: intact, torn, or
//! damaged.
//!
//! SQLite stops reading the log at the first frame whose checksum does not match, and silently
//! drops the rest. For a write that a power failure tore that is right: it was never acknowledged.
//! For damage it is wrong: the frames after it were acknowledged. The frames after the bad one
//! distinguish the two cases, because one group is synced before the next is written:
//!
//! ```text
//!  ✓ ✓ commit │ ✓ commit │ ✗ ✓ commit               torn: at most one group follows
//!  ✓ ✓ commit │ ✗ commit │ ✓ ✓ commit │ ✓ commit    damaged: later groups were synced, so was it
//! ```
//!
//! The layout is SQLite's and fixed (sqlite.org/fileformat2.html, section 4).

use super::super::error::{Damage, Error};
use lodewatch_core::domain::Seq;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// SQLite's largest page, in bytes; limits the memory that a damaged header can ask for.
const PAGE_BYTES_MAX: usize = 65_536;

/// The log's two magic numbers; they differ in the byte order of the checksum's numbers.
const MAGIC_LITTLE: u32 = 0x377f_0682;
const MAGIC_BIG: u32 = 0x377f_0683;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WalState {
    /// Everything in the log was committed, or there is no log.
    Intact,
    /// The log ends with an unfinished write.
    Torn {
        /// The frames before that write; one page each.
        frames: u64,
    },
}

/// Inspects the log beside a journal file that no process has open.
///
/// # Errors
///
/// [`Error::Damaged`] where groups that were synced can no longer be read.
pub(super) fn inspect(journal: &Path) -> Result<WalState, Error> {
    let path: Arc<Path> = self::path(journal).into();
    let log = match File::open(&path) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(WalState::Intact),
        Err(error) => return Err(Error::io("open", &path, error)),
    };
    let bytes = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    if bytes(journal) == 0 && bytes(&path) > 0 {
        // SQLite would treat the log as a leftover and delete it.
        let what = "it is empty, but its write-ahead log is not".to_owned();
        return Err(damaged(&journal.into(), what));
    }
    let found = WalFrames::read(BufReader::new(log)).map_err(|error| {
        if error.kind() == ErrorKind::InvalidData {
            return damaged(&path, "the checksum of its header does not match".to_owned());
        }
        Error::io("read", &path, error)
    })?;
    let WalFrames { intact, committed, after } = found;
    match after {
        AfterBadFrame::Synced => {
            let frame = intact.saturating_add(1);
            Err(damaged(&path, format!("the checksum of frame {frame} does not match")))
        }
        AfterBadFrame::Nothing if intact == committed => Ok(WalState::Intact),
        AfterBadFrame::Nothing | AfterBadFrame::Unfinished => {
            Ok(WalState::Torn { frames: committed })
        }
    }
}

fn damaged(path: &Arc<Path>, what: String) -> Error {
    Error::damaged_file(path, Seq::ZERO, Damage::Pages(what))
}

/// The path of a journal file's log.
pub(super) fn path(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// What follows the frames that SQLite reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterBadFrame {
    Nothing,
    /// Frames of this log, of one group at most.
    Unfinished,
    /// Frames that are only written once everything before them is synced.
    Synced,
}

struct WalFrames {
    /// How many frames SQLite reads.
    intact: u64,
    /// How many of them belong to a committed group.
    committed: u64,
    after: AfterBadFrame,
}

impl WalFrames {
    /// # Errors
    ///
    /// `InvalidData` for a header that is damaged although frames follow it.
    fn read(mut log: impl Read) -> std::io::Result<Self> {
        let mut frames = Self { intact: 0, committed: 0, after: AfterBadFrame::Nothing };
        let mut header = [0; HEADER_BYTES];
        if !fill(&mut log, &mut header)? {
            return Ok(frames);
        }
        let mut page = vec![0; FRAME_HEADER_BYTES];
        let Some(layout) = WalHeader::parse(&header) else {
            // A header is synced before anything follows it.
            let follows = fill(&mut log, &mut page)? && page.iter().any(|byte| *byte != 0);
            return if follows { Err(ErrorKind::InvalidData.into()) } else { Ok(frames) };
        };
        page.resize(FRAME_HEADER_BYTES.saturating_add(layout.page_bytes), 0);
        let (mut sum, mut is_broken, mut commits_after) = (layout.sum, false, 0_u32);
        while fill(&mut log, &mut page)? {
            let frame = WalFrame { bytes: &page };
            let is_of_this_log = frame.salts() == Some(layout.salts);
            let is_intact = is_of_this_log && frame.stored() == Some(frame.sum(sum, layout.is_big));
            is_broken |= !is_intact;
            if !is_broken {
                frames.intact = frames.intact.saturating_add(1);
                if frame.is_commit() {
                    frames.committed = frames.intact;
                }
            } else if is_of_this_log {
                let is_new_group = commits_after > 0;
                frames.after = if is_new_group { AfterBadFrame::Synced } else { frames.after };
                if frames.after == AfterBadFrame::Nothing {
                    frames.after = AfterBadFrame::Unfinished;
                }
                commits_after = commits_after.saturating_add(u32::from(frame.is_commit()));
            }
            sum = frame.stored().unwrap_or(sum);
        }
        Ok(frames)
    }
}

/// The fields of the log's header that matter here.
struct WalHeader {
    is_big: bool,
    page_bytes: usize,
    salts: (u32, u32),
    sum: (u32, u32),
}

impl WalHeader {
    /// `None` where it is damaged.
    fn parse(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let is_big = match number(header, 0)? {
            MAGIC_BIG => true,
            MAGIC_LITTLE => false,
            _ => return None,
        };
        let (content, _) = header.split_at_checked(HEADER_BYTES.saturating_sub(8))?;
        let sum = (number(header, 24)?, number(header, 28)?);
        if add((0, 0), content, is_big) != sum {
            return None;
        }
        let page_bytes = usize::try_from(number(header, 8)?).ok()?;
        let salts = (number(header, 16)?, number(header, 20)?);
        (page_bytes <= PAGE_BYTES_MAX).then_some(Self { is_big, page_bytes, salts, sum })
    }
}

/// A frame: page number, pages after the commit, salts, checksum; then the page.
struct WalFrame<'a> {
    bytes: &'a [u8],
}

impl WalFrame<'_> {
    fn is_commit(&self) -> bool {
        number(self.bytes, 4).is_some_and(|pages| pages > 0)
    }

    fn salts(&self) -> Option<(u32, u32)> {
        Some((number(self.bytes, 8)?, number(self.bytes, 12)?))
    }

    fn stored(&self) -> Option<(u32, u32)> {
        Some((number(self.bytes, 16)?, number(self.bytes, 20)?))
    }

    fn sum(&self, before: (u32, u32), is_big: bool) -> (u32, u32) {
        let numbers = self.bytes.get(..8).unwrap_or_default();
        let page = self.bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default();
        add(add(before, numbers, is_big), page, is_big)
    }
}

/// SQLite's running checksum over pairs of numbers.
fn add((mut one, mut two): (u32, u32), bytes: &[u8], is_big: bool) -> (u32, u32) {
    for pair in bytes.as_chunks::<8>().0 {
        let read = if is_big { u64::from_be_bytes } else { u64::from_le_bytes };
        let [high, low] = halves(read(*pair));
        let (first, second) = if is_big { (high, low) } else { (low, high) };
        one = one.wrapping_add(first).wrapping_add(two);
        two = two.wrapping_add(second).wrapping_add(one);
    }
    (one, two)
}

fn halves(number: u64) -> [u32; 2] {
    [number >> 32, number & u64::from(u32::MAX)]
        .map(|half| u32::try_from(half).expect("half of 64 bits is 32 bits"))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Fills the whole buffer; false where less is left.
fn fill(from: &mut impl Read, into: &mut [u8]) -> std::io::Result<bool> {
    match from.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
