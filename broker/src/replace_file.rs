//! Atomic replacement of files that others may read.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;
use tracing::warn;

/// Replaces the content of a file, or creates it for its owner only.
///
/// Readers see the old or the new content at any time, also after a power cut. The permissions stay,
/// since the file may hold passwords; on Windows the file gets those of its folder. A failure leaves the
/// old content and no other file.
///
/// # Errors
///
/// The new content cannot be written. The log has the path and the cause.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content)
        .inspect_err(|error| warn!(path = %path.display(), %error, "cannot replace file"))
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    NewFile::create(path, content)?.replace(path)?;
    sync_name(path)
}

/// A file beside the one that it is to replace. Dropping it removes it.
pub(crate) struct NewFile(NamedTempFile);

impl NewFile {
    /// Writes `content` to a new file and to the disk.
    pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = directory(path);
        // Its owner alone may read it.
        let mut new = tempfile::Builder::new().prefix(name).suffix(".tmp").tempfile_in(dir)?;
        if let Ok(known) = fs::metadata(path) {
            new.as_file().set_permissions(known.permissions())?;
        }
        new.write_all(content)?;
        new.as_file().sync_all()?;
        Ok(Self(new))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Appends to the file, without a sync.
    pub(crate) fn append(&mut self, content: &[u8]) -> io::Result<()> {
        self.0.write_all(content)
    }

    /// Replaces the file at `path`. [`sync_name`] makes that survive a power cut.
    #[cfg(not(windows))]
    pub(crate) fn replace(self, path: &Path) -> io::Result<()> {
        self.0.persist(path)?;
        Ok(())
    }

    /// Replaces the file at `path`, which this process must not have open. Another program may have it
    /// open for a moment, such as one that searches for viruses, so this tries for a second.
    #[cfg(windows)]
    pub(crate) fn replace(self, path: &Path) -> io::Result<()> {
        /// The codes of the system for a file that is open, or open without a share of it.
        const IN_USE: [i32; 2] = [5, 32];
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

        let mut new = self.0;
        let end = std::time::Instant::now() + std::time::Duration::from_secs(1);
        loop {
            let Err(error) = new.persist(path) else { return Ok(()) };
            let is_in_use = error.error.raw_os_error().is_some_and(|code| IN_USE.contains(&code));
            if !is_in_use || std::time::Instant::now() > end {
                return Err(error.error);
            }
            new = error.file;
            std::thread::sleep(PAUSE);
        }
    }
}

/// Makes the name of a replaced file survive a power cut.
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    sync_directory(directory(path))
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn sync_directory(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_permissions_of_a_file_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.acl");
        replace_file(&path, b"new").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o600, 0o640] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            replace_file(&path, b"newer").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"newer");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_no_other_file() {
        let dir = tempfile::tempdir().unwrap();
        // A directory in the place of the file fails the last step, for root as well.
        let path = dir.path().join("users.acl");
        fs::create_dir_all(path.join("full")).unwrap();
        assert!(replace_file(&path, b"new").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
