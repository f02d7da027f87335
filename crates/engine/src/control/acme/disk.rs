//! Files of keys and certificates: nobody else can read them, and there is all of each or what was there before.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Largest file of a key.
const FILE_BYTES_MAX: u64 = 65_536;

/// What a file has; one that is too large is cut off, and no key.
pub(super) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it: a buffer that grows would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
    let file = fs::File::open(path)?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes files that belong together. All of them are written before the first one takes its place, so that a full disk
/// changes nothing, and they take their places at once.
pub(super) fn store(files: &[(&Path, &[u8])]) -> io::Result<()> {
    let mut written = Vec::with_capacity(files.len());
    for (path, bytes) in files {
        written.push((Beside::write(path, bytes)?, *path));
    }
    for (beside, path) in &mut written {
        beside.take_place(path)?;
    }
    Ok(())
}

/// A file that is to take the place of another; it vanishes when it does not.
struct Beside(Option<PathBuf>);

impl Beside {
    fn write(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut name = OsString::from(path);
        name.push(format!(".{}.new", std::process::id()));
        let beside = PathBuf::from(name);
        // One that was left behind would keep its mode.
        let _ = fs::remove_file(&beside);
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&beside)?;
        let written = Self(Some(beside));
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(written)
    }

    fn take_place(&mut self, path: &Path) -> io::Result<()> {
        if let Some(beside) = &self.0 {
            fs::rename(beside, path)?;
        }
        self.0 = None;
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(beside) = &self.0 {
            let _ = fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_are_replaced_together_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("plimsoll-disk-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (one, two) = (folder.join("one"), folder.join("two"));
        fs::write(&one, "before").expect("a file");
        let nowhere = folder.join("missing/three");
        let failed = store(&[(&one, b"after"), (&nowhere, b"x")]);
        assert!(failed.is_err(), "{failed:?}");
        assert_eq!(fs::read(&one).expect("a file"), b"before");
        store(&[(&one, b"after"), (&two, b"too")]).expect("room");
        assert_eq!(*read(&one).expect("a file"), b"after");
        assert_eq!(*read(&two).expect("a file"), b"too");
        let mode = fs::metadata(&one).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "whoever could read it before");
        let left = fs::read_dir(&folder).expect("a folder").count();
        assert_eq!(left, 2, "nothing is left behind");
        let _ = fs::remove_dir_all(&folder);
    }
}
