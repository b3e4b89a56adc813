//! What the write-ahead log holds after a crash: whole, cut off, or damaged. Looked at before SQLite opens the file.
//!
//! SQLite ends its reading of the log at the first frame whose checksum does not fit, and drops the rest without a word.
//! For a write that a power cut tore that is right: it was never acknowledged. For damage it is not: what stands behind
//! it was. The two differ in what follows, because one group is synced before the next is written:
//!
//! ```text
//!  ✓ ✓ commit │ ✓ commit │ ✗ ✓ commit                    torn: at most one group is behind
//!  ✓ ✓ commit │ ✗ commit │ ✓ ✓ commit │ ✓ commit         damaged: groups behind it were synced, and so was it
//! ```
//!
//! The layout is SQLite's and fixed (sqlite.org/fileformat2.html, section 4).

use super::super::{Damage, Error, Place};
use crate::domain::Seq;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// SQLite's largest page, in bytes; what bounds the memory that a damaged header can ask for.
const PAGE_BYTES_MAX: usize = 65_536;

/// The log's two magic numbers; they differ in the order of the bytes that are summed up.
const MAGIC_LITTLE: u32 = 0x377f_0682;
const MAGIC_BIG: u32 = 0x377f_0683;

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// Everything in it was committed, or there is none.
    Whole,
    /// Behind so many whole frames stands a write that was never finished.
    Torn {
        /// Frames of SQLite's log, a page each.
        frames: u64,
    },
}

/// Looks at the log beside a journal file that nobody has open.
///
/// # Errors
///
/// [`Error::Damaged`] where groups that were synced can no longer be read.
pub(super) fn inspect(journal: &Path) -> Result<Log, Error> {
    let path: Arc<Path> = beside(journal).into();
    let log = match File::open(&path) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Log::Whole),
        Err(error) => return Err(Error::io("opening", &path, error)),
    };
    let bytes = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    if bytes(journal) == 0 && bytes(&path) > 0 {
        // SQLite would take the log for a leftover and delete it.
        return Err(damaged(&journal.into(), "it is empty, and its log is not".to_owned()));
    }
    let found = Frames::read(BufReader::new(log)).map_err(|error| {
        if error.kind() == ErrorKind::InvalidData {
            return damaged(&path, "its header does not fit".to_owned());
        }
        Error::io("reading", &path, error)
    })?;
    let Frames { whole, finished, behind } = found;
    match behind {
        Behind::Synced => {
            Err(damaged(&path, format!("frame {} of the log", whole.saturating_add(1))))
        }
        Behind::Nothing if whole == finished => Ok(Log::Whole),
        Behind::Nothing | Behind::Unfinished => Ok(Log::Torn { frames: finished }),
    }
}

fn damaged(path: &Arc<Path>, what: String) -> Error {
    Error::Damaged {
        place: Place::File(Arc::clone(path)),
        seq: Seq::ZERO,
        what: Damage::Pages(what),
    }
}

/// The log of a journal file.
pub(super) fn beside(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// What stands behind the frames that SQLite reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Nothing,
    /// Frames of this log, of one group at most.
    Unfinished,
    /// Frames that only follow once everything before them is synced.
    Synced,
}

struct Frames {
    /// How many frames SQLite reads.
    whole: u64,
    /// How many of them belong to a group that was committed.
    finished: u64,
    behind: Behind,
}

impl Frames {
    /// `InvalidData` for a header that was written whole and is not whole now.
    fn read(mut log: impl Read) -> std::io::Result<Self> {
        let mut frames = Self { whole: 0, finished: 0, behind: Behind::Nothing };
        let mut header = [0; HEADER_BYTES];
        if !fill(&mut log, &mut header)? {
            return Ok(frames);
        }
        let mut page = vec![0; FRAME_HEADER_BYTES];
        let Some(layout) = Layout::parse(&header) else {
            // A header is synced before anything follows it.
            let follows = fill(&mut log, &mut page)? && page.iter().any(|byte| *byte != 0);
            return if follows { Err(ErrorKind::InvalidData.into()) } else { Ok(frames) };
        };
        page.resize(FRAME_HEADER_BYTES.saturating_add(layout.page_bytes), 0);
        let (mut sum, mut is_broken, mut commits_behind) = (layout.sum, false, 0_u32);
        while fill(&mut log, &mut page)? {
            let frame = Frame { bytes: &page };
            let of_this_log = frame.salts() == Some(layout.salts);
            let fits = of_this_log && frame.stored() == Some(frame.sum(sum, layout.is_big));
            is_broken |= !fits;
            if !is_broken {
                frames.whole = frames.whole.saturating_add(1);
                if frame.is_commit() {
                    frames.finished = frames.whole;
                }
            } else if of_this_log {
                let is_new_group = commits_behind > 0;
                frames.behind = if is_new_group { Behind::Synced } else { frames.behind };
                if frames.behind == Behind::Nothing {
                    frames.behind = Behind::Unfinished;
                }
                commits_behind = commits_behind.saturating_add(u32::from(frame.is_commit()));
            }
            sum = frame.stored().unwrap_or(sum);
        }
        Ok(frames)
    }
}

/// The header, as far as it matters here.
struct Layout {
    is_big: bool,
    page_bytes: usize,
    salts: (u32, u32),
    sum: (u32, u32),
}

impl Layout {
    /// `None` where it is not whole.
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

/// A frame: page number, pages after the commit, salts, sum; then the page.
struct Frame<'a> {
    bytes: &'a [u8],
}

impl Frame<'_> {
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

/// SQLite's running sum over pairs of numbers.
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
