//! The counters file keeps integer keys without a deadline across a restart.
//!
//! The file starts with all such keys. Each change appends a line, and a file with many lines is
//! rewritten. Each line has a checksum. The reader drops an incomplete last line, which a crash can
//! cause, and refuses a damaged file.
//!
//! A line is written before its client receives the reply, and before clients of other threads
//! receive a message with the number. So it survives a crash of the process. A sync to the disk
//! follows about once a second.
//!
//! A rewrite takes long when there are many counters, so commands do not wait for it. Meanwhile each
//! line is written to the old file and kept for the new one.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use locks::Mutex;
use locks::atomic::{AtomicBool, Ordering};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tracing::{error, info};

use crate::keyspace::{Counter, Queue, Record};
use crate::protocol::words;
use crate::replace_file::{NewFile, replace_file, sync_name};

/// The file and the queue of its records.
#[derive(Debug)]
pub(crate) struct CountersFile {
    path: PathBuf,
    queue: Arc<Queue>,
    open: Mutex<Open>,
    /// Held during a rewrite.
    rewriting: Mutex<()>,
    has_failed: AtomicBool,
    /// Whether another server has put its file in this place. It keeps the place.
    has_lost_place: AtomicBool,
}

/// The open file.
#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
    /// Bytes after the last rewrite.
    bytes_at_first: u64,
    is_synced: bool,
    /// Lines that are not written yet.
    unwritten: Vec<u8>,
    /// Whether the file may end with a part of a line.
    is_torn: bool,
    /// Whether `file` is another one, since the one at the path could not be opened again.
    #[cfg(windows)]
    is_elsewhere: bool,
    /// The rewrite that has begun.
    rewrite: Option<Rewrite>,
}

/// The content of a file that is to replace the open one.
#[derive(Debug)]
struct Rewrite {
    /// The counters at its start; `None` once they are being written.
    counters: Option<Vec<Counter>>,
    /// The lines after them.
    lines: Vec<u8>,
}

/// The reason why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum CountersError {
    #[error("line {0}: expected a counter with its checksum, found something else")]
    Damaged(usize),
    #[error("expected {expected} counters, found {found}: its end is missing")]
    CutOff { expected: usize, found: usize },
    #[error("expected a counters file of version 1, found something else")]
    NotCounters,
}

/// Growth that triggers a rewrite, if the file also has several times its first size.
const GROWTH_BYTES_MAX: u64 = 1024 * 1024;
const REPLACED: &str = "another server has replaced the file";
const HEADER: &str = "broker-counters 1";

impl CountersFile {
    /// Opens the file for the records of the queue, and returns its counters: none if it is new.
    ///
    /// # Errors
    ///
    /// The file is not a counters file, cannot be written, or another server uses it.
    pub(crate) fn open(path: PathBuf, queue: Arc<Queue>) -> io::Result<(Self, Vec<Counter>)> {
        let held = hold(&path)?;
        let counters = match &held {
            Some(file) => read(file)?,
            None => Vec::new(),
        };
        // Windows replaces no file that is open.
        #[cfg(windows)]
        drop(held);
        let open = Open::create(&path, &counters)?;
        let file = Self {
            path,
            queue,
            open: Mutex::new(open),
            rewriting: Mutex::default(),
            has_failed: AtomicBool::new(false),
            has_lost_place: AtomicBool::new(false),
        };
        Ok((file, counters))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether records could not be written. Further changes must be refused then, or a
    /// crash would take back numbers that clients have.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Writes all records queued before the call, and returns whether that has worked. Lines that
    /// cannot be written wait for [`write_again`](Self::write_again).
    pub(crate) fn write_queued(&self) -> bool {
        self.queue.is_written() || self.write(&mut self.open.lock())
    }

    /// Tries to write the lines that could not be written before.
    pub(crate) fn write_again(&self) {
        if self.has_failed() {
            self.write(&mut self.open.lock());
        }
    }

    fn write(&self, open: &mut Open) -> bool {
        // The file is locked first, so that lines are in the order of the changes.
        for record in self.queue.take() {
            match record {
                Record::Snapshot(counters) => {
                    open.rewrite = Some(Rewrite { counters: Some(counters), lines: Vec::new() });
                }
                record => open.add(line(&record.words()).as_bytes()),
            }
        }
        #[cfg(windows)]
        open.come_back(&self.path);
        let path = self.path.display();
        let written = match self.has_lost_place.load(Ordering::Acquire) {
            true => Err(io::Error::other(REPLACED)),
            false => open.write(),
        };
        match &written {
            Ok(()) => {
                if self.has_failed.swap(false, Ordering::Release) {
                    info!(%path, "the counters file can be written again");
                }
            }
            Err(error) => {
                if !self.has_failed.swap(true, Ordering::Release) {
                    error!(%path, %error, "cannot write the counters file: changes are refused");
                }
            }
        }
        self.queue.record_written();
        written.is_ok()
    }

    /// Replaces the file by one that begins with the last snapshot, if there is one. If that fails,
    /// the old file stays in use. Other threads can write meanwhile.
    pub(crate) fn rewrite(&self) {
        let _one_at_a_time = self.rewriting.lock();
        let counters = self.open.lock().rewrite.as_mut().and_then(|new| new.counters.take());
        let Some(counters) = counters else { return };
        let text = snapshot(&counters);
        let new = NewFile::create(&self.path, text.as_bytes());
        if let Err(error) = new.and_then(|new| self.replace(new, text.len() as u64)) {
            error!(path = %self.path.display(), %error, "cannot write the counters file");
            self.open.lock().rewrite.take_if(|new| new.counters.is_none());
        }
    }

    /// Puts a new file with a snapshot of `bytes` bytes in the place of the open one.
    fn replace(&self, mut new: NewFile, bytes: u64) -> io::Result<()> {
        {
            let mut open = self.open.lock();
            // A snapshot that came meanwhile begins another rewrite.
            let Some(Rewrite { lines, .. }) = open.rewrite.take_if(|new| new.counters.is_none())
            else {
                return Ok(());
            };
            new.append(&lines)?;
            // Opened first: after the rename no error may leave the old file in use.
            let mut opened = Open::of(new.path(), bytes)?;
            opened.bytes += lines.len() as u64;
            opened.is_synced = lines.is_empty();
            take_place(new, &self.path, &mut open, opened)?;
            // The new file has lines that the old one could not take.
            self.write(&mut open);
        }
        sync_name(&self.path)
    }

    /// Syncs written lines to the disk. Other threads can write meanwhile.
    pub(crate) fn sync(&self) {
        let file = {
            let mut open = self.open.lock();
            if open.is_synced {
                return;
            }
            open.is_synced = true;
            open.file.try_clone()
        };
        if let Err(error) = file.and_then(|file| file.sync_data()) {
            error!(path = %self.path.display(), %error, "cannot sync the counters file");
        }
    }

    /// Writes all records queued before the call and returns when the disk has them.
    pub(crate) fn save(&self) -> io::Result<()> {
        if self.has_lost_place.load(Ordering::Acquire) {
            return Err(io::Error::other(REPLACED));
        }
        if self.is_gone() {
            return Err(io::Error::other("the file is gone; it is written again within a second"));
        }
        let file = {
            let mut open = self.open.lock();
            self.write(&mut open);
            // Lines that the attempt could not write are still there.
            open.write()?;
            open.is_synced = true;
            open.file.try_clone()?
        };
        file.sync_data()
    }

    /// Returns whether the file was removed or replaced.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(is_at(&self.open.lock().file, &self.path), Ok(false))
    }

    /// Returns whether the place of a file that is gone may be used again. If another server has it, changes
    /// are refused from then on: either server would take back numbers of the other one.
    pub(crate) fn may_come_back(&self) -> bool {
        let open = self.open.lock();
        if self.has_lost_place.load(Ordering::Acquire) {
            return false;
        }
        // Another thread may have written it again.
        if is_at(&open.file, &self.path).unwrap_or(false) {
            return true;
        }
        let found = match File::open(&self.path) {
            Err(error) => return error.kind() == io::ErrorKind::NotFound,
            Ok(found) => found,
        };
        let is_foreign = matches!(found.try_lock(), Err(TryLockError::WouldBlock));
        if is_foreign {
            let path = self.path.display();
            error!(%path, "another server has replaced the counters file: changes are refused");
            self.has_lost_place.store(true, Ordering::Release);
            self.has_failed.store(true, Ordering::Release);
        }
        !is_foreign
    }

    /// Returns whether the file is due for a rewrite.
    pub(crate) fn is_overgrown(&self) -> bool {
        let open = self.open.lock();
        open.bytes > 4 * open.bytes_at_first + GROWTH_BYTES_MAX
    }
}

/// Puts a new file, opened as `opened`, in the place of the open one.
#[cfg(not(windows))]
fn take_place(new: NewFile, path: &Path, open: &mut Open, opened: Open) -> io::Result<()> {
    new.replace(path)?;
    *open = opened;
    Ok(())
}

/// Puts a new file, opened as `opened`, in the place of the open one. Windows replaces no file that is
/// open, so the old one is closed first. After an error it is opened again.
#[cfg(windows)]
fn take_place(new: NewFile, path: &Path, open: &mut Open, opened: Open) -> io::Result<()> {
    let Open { file, bytes, bytes_at_first, is_synced, .. } = opened;
    // This closes the old one.
    (open.file, open.is_elsewhere) = (file, true);
    new.replace(path).inspect_err(|_| open.come_back(path))?;
    (open.bytes, open.bytes_at_first, open.is_synced) = (bytes, bytes_at_first, is_synced);
    open.unwritten.clear();
    (open.is_torn, open.is_elsewhere, open.rewrite) = (false, false, None);
    Ok(())
}

impl Open {
    fn create(path: &Path, counters: &[Counter]) -> io::Result<Self> {
        let text = snapshot(counters);
        replace_file(path, text.as_bytes())?;
        Self::of(path, text.len() as u64)
    }

    /// Opens a file that has just been written.
    fn of(path: &Path, bytes: u64) -> io::Result<Self> {
        // On Windows, append mode allows neither a lock nor a shorter file.
        let file = OpenOptions::new().append(cfg!(not(windows))).write(true).open(path)?;
        lock(&file)?;
        Ok(Self {
            file,
            bytes,
            bytes_at_first: bytes,
            is_synced: true,
            unwritten: Vec::new(),
            is_torn: false,
            #[cfg(windows)]
            is_elsewhere: false,
            rewrite: None,
        })
    }

    /// Opens the file at the path again, if that failed before.
    #[cfg(windows)]
    fn come_back(&mut self, path: &Path) {
        if self.is_elsewhere
            && let Ok(again) = Self::of(path, self.bytes)
        {
            (self.file, self.is_elsewhere) = (again.file, false);
        }
    }

    /// Adds a line to write, also to the file that is to replace this one.
    fn add(&mut self, line: &[u8]) {
        self.unwritten.extend_from_slice(line);
        if let Some(rewrite) = &mut self.rewrite {
            rewrite.lines.extend_from_slice(line);
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let Self { file, unwritten, .. } = self;
        if unwritten.is_empty() {
            return Ok(());
        }
        #[cfg(windows)]
        if self.is_elsewhere {
            return Err(io::Error::other("the file could not be opened again"));
        }
        if self.is_torn {
            file.set_len(self.bytes)?;
            self.is_torn = false;
        }
        // Without append mode, lines go to the end of the whole ones.
        #[cfg(windows)]
        io::Seek::seek(file, io::SeekFrom::Start(self.bytes))?;
        if let Err(error) = file.write_all(unwritten) {
            // A part of a line would make the file a damaged one.
            self.is_torn = file.set_len(self.bytes).is_err();
            return Err(error);
        }
        self.bytes += unwritten.len() as u64;
        unwritten.clear();
        self.is_synced = false;
        Ok(())
    }
}

/// Locks the file at a path, if there is one. Two servers that write the same file would take back each
/// other's numbers.
///
/// A server that ends writes the file once more after its last client, and the next one may start
/// meanwhile, so this tries for a second. The file is read afterwards.
fn hold(path: &Path) -> io::Result<Option<File>> {
    const PAUSE: Duration = Duration::from_millis(10);

    let end = Instant::now() + Duration::from_secs(1);
    loop {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match lock(&file) {
            // The other server may have replaced the file before the lock.
            Ok(()) if is_at(&file, path)? => return Ok(Some(file)),
            Err(error) if Instant::now() > end => return Err(error),
            _ => std::thread::sleep(PAUSE),
        }
    }
}

/// Returns whether a path leads to this open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let found = match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let own = file.metadata()?;
    Ok((own.dev(), own.ino()) == (found.dev(), found.ino()))
}

/// Returns true: Windows replaces no file that is open.
#[cfg(windows)]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

fn read(mut file: &File) -> io::Result<Vec<Counter>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Locks a file until it is closed. Systems that cannot lock files go without.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::other("another server uses this counters file"))
        }
        #[cfg(windows)]
        Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}

impl Record {
    fn words(&self) -> String {
        match self {
            Self::Set(Counter { database, key, number }) => {
                format!("set {database} {} {number}", words::quote(key))
            }
            Self::Forget { database, key } => format!("forget {database} {}", words::quote(key)),
            Self::Flush(Some(database)) => format!("flush {database}"),
            Self::Flush(None) => "flush all".to_owned(),
            Self::Swap(one, other) => format!("swap {one} {other}"),
            Self::Snapshot(_) => unreachable!("a snapshot is a file of its own"),
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let words = words::split(text).ok()?;
        let number = |at: usize| std::str::from_utf8(words.get(at)?).ok()?.parse::<i64>().ok();
        let database = |at| u16::try_from(number(at)?).ok();
        let key = || Some(words.get(2)?.as_slice().into());
        Some(match (words.first()?.as_slice(), words.len()) {
            (b"set", 4) => {
                let (database, key, number) = (database(1)?, key()?, number(3)?);
                Self::Set(Counter { database, key, number })
            }
            (b"forget", 3) => Self::Forget { database: database(1)?, key: key()? },
            (b"flush", 2) if words[1] == b"all" => Self::Flush(None),
            (b"flush", 2) => Self::Flush(Some(database(1)?)),
            (b"swap", 3) => Self::Swap(database(1)?, database(2)?),
            _ => return None,
        })
    }

    fn apply(self, counters: &mut Known) {
        match self {
            Self::Set(Counter { database, key, number }) => {
                counters.insert((database, key), number);
            }
            Self::Forget { database, key } => {
                counters.remove(&(database, key));
            }
            Self::Flush(Some(database)) => counters.retain(|(number, _), _| *number != database),
            Self::Flush(None) => counters.clear(),
            Self::Snapshot(all) => {
                let entry = |counter: Counter| ((counter.database, counter.key), counter.number);
                *counters = all.into_iter().map(entry).collect();
            }
            Self::Swap(one, other) => {
                let swapped = |number| match number {
                    number if number == one => other,
                    number if number == other => one,
                    number => number,
                };
                let all = std::mem::take(counters).into_iter();
                counters.extend(all.map(|((number, key), value)| ((swapped(number), key), value)));
            }
        }
    }
}

/// Numbers by database and key.
type Known = BTreeMap<(u16, Box<[u8]>), i64>;

/// Returns the content of a file with these counters.
fn snapshot(counters: &[Counter]) -> String {
    let mut text = line(&format!("{HEADER} {}", counters.len()));
    for counter in counters {
        text.push_str(&line(&Record::Set(counter.clone()).words()));
    }
    text
}

/// Parses a file. Drops an incomplete line at the end.
fn parse(bytes: &[u8]) -> Result<Vec<Counter>, CountersError> {
    // Bytes after the last line end are an incomplete line.
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut lines = bytes[..end].split_inclusive(|byte| *byte == b'\n').map(checked);
    let header = lines.next().flatten().ok_or(CountersError::NotCounters)?;
    let expected = std::str::from_utf8(header)
        .ok()
        .and_then(|text| text.strip_prefix(HEADER)?.trim_start().parse::<usize>().ok())
        .ok_or(CountersError::NotCounters)?;
    let mut counters = Known::new();
    let mut found = 0;
    for (index, line) in lines.enumerate() {
        let record = line.and_then(Record::parse).ok_or(CountersError::Damaged(index + 2))?;
        record.apply(&mut counters);
        found += 1;
    }
    if found < expected {
        return Err(CountersError::CutOff { expected, found });
    }
    let counter = |((database, key), number)| Counter { database, key, number };
    Ok(counters.into_iter().map(counter).collect())
}

/// Returns the text of a line if its checksum is right.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let text = line.strip_suffix(b"\n")?;
    let (sum, text) = text.split_at_checked(CHECKSUM_DIGITS)?;
    let text = text.strip_prefix(b" ")?;
    (checksum(text).as_bytes() == sum).then_some(text)
}

fn line(text: &str) -> String {
    format!("{} {text}\n", checksum(text.as_bytes()))
}

const CHECKSUM_DIGITS: usize = 8;

fn checksum(text: &[u8]) -> String {
    Sha256::digest(text)[..CHECKSUM_DIGITS / 2].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(database: u16, key: &[u8], number: i64) -> Counter {
        Counter { database, key: key.into(), number }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let counters =
            [counter(0, b"a\r\n\x00\xff\" '", i64::MIN), counter(0, b"b", 0), counter(15, b"", 7)];
        assert_eq!(parse(snapshot(&counters).as_bytes()), Ok(counters.to_vec()));
    }

    #[test]
    fn changes_are_applied_in_order() {
        let mut text = snapshot(&[counter(0, b"a", 1), counter(1, b"b", 2)]);
        for (record, expected) in [
            (Record::Set(counter(0, b"a", 9)), vec![counter(0, b"a", 9), counter(1, b"b", 2)]),
            (Record::Swap(0, 1), vec![counter(0, b"b", 2), counter(1, b"a", 9)]),
            (
                Record::Forget { database: 0, key: b"a"[..].into() },
                vec![counter(0, b"b", 2), counter(1, b"a", 9)],
            ),
            (Record::Flush(Some(1)), vec![counter(0, b"b", 2)]),
            (Record::Flush(None), vec![]),
        ] {
            text.push_str(&line(&record.words()));
            assert_eq!(parse(text.as_bytes()), Ok(expected), "{record:?}");
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_the_last_whole_state_or_refused() {
        let first = snapshot(&[counter(0, b"a", 1), counter(0, b"b", 2)]);
        let second = line(&Record::Set(counter(0, b"a", 1_000)).words());
        let whole = format!("{first}{second}");
        for end in 0..whole.len() {
            let read = parse(&whole.as_bytes()[..end]);
            match end {
                end if end < first.len() => assert!(read.is_err(), "{end}"),
                _ => assert_eq!(read, Ok(vec![counter(0, b"a", 1), counter(0, b"b", 2)]), "{end}"),
            }
        }
        assert_eq!(parse(whole.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn lines_written_during_a_rewrite_are_in_the_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        let queue = Arc::new(Queue::default());
        let file = CountersFile::open(path.clone(), queue.clone()).unwrap().0;
        let write = |record| {
            queue.push(record);
            assert!(file.write_queued());
        };
        write(Record::Set(counter(0, b"a", 1)));
        let first = file.open.lock().bytes;
        write(Record::Snapshot(vec![counter(0, b"a", 1)]));
        // The old file takes lines until the new one is complete.
        write(Record::Set(counter(0, b"b", 2)));
        assert_eq!(read(&File::open(&path).unwrap()).unwrap().len(), 2);
        assert!(file.open.lock().bytes > first);
        file.rewrite();
        write(Record::Set(counter(0, b"c", 3)));
        let keys: Vec<_> =
            read(&File::open(&path).unwrap()).unwrap().into_iter().map(|c| c.key).collect();
        assert_eq!(keys, [b"a"[..].into(), b"b"[..].into(), b"c"[..].into()]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        // Without a snapshot there is nothing to rewrite.
        file.rewrite();
        assert_eq!(read(&File::open(&path).unwrap()).unwrap().len(), 3);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let whole = format!(
            "{}{}",
            snapshot(&[counter(0, b"a", 1)]),
            line(&Record::Set(counter(0, b"a", 2)).words())
        );
        for at in 0..whole.len() {
            let mut bytes = whole.clone().into_bytes();
            bytes[at] ^= 1;
            let read = parse(&bytes);
            // Without its line end, the last line counts as incomplete.
            let is_last = at == whole.len() - 1;
            assert_eq!(read.is_err(), !is_last, "{at}");
        }
        assert_eq!(
            parse(b"no counters\n").unwrap_err().to_string(),
            "expected a counters file of version 1, found something else"
        );
    }
}
