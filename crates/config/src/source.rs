//! Where configuration text comes from: loaded files, the loader that fetches them, and the variables around them.
//!
//! What is absent: the file system and the process environment. Both are handed in, so that a configuration can be
//! read in a test, in a fuzzer, or from a store.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostic::{FileId, Span};

/// Largest file that is read, in bytes; what lies beyond is refused with a diagnostic.
pub const FILE_BYTES_MAX: usize = 16 << 20;

/// Most bytes in one configuration, all files together.
pub const TEXT_BYTES_MAX: usize = 128 << 20;

/// Most files in one configuration.
pub const FILES_MAX: usize = 4096;

/// Fetches files for the parser.
pub trait Loader {
    /// The whole content of a file. A loader of real files stops one byte behind [`FILE_BYTES_MAX`], so that a device
    /// or a log given by mistake cannot fill the memory; the parser refuses what is longer.
    ///
    /// # Errors
    /// Whatever keeps it from being read; shown to the user as it is.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The entries of a directory in any order, or `None` when `path` is no directory.
    ///
    /// # Errors
    /// Whatever keeps the directory from being listed.
    fn list(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>>;
}

/// A loader over files held in memory, for tests and for text that never was a file.
#[derive(Clone, Debug, Default)]
pub struct MemoryLoader {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemoryLoader {
    /// A loader without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl Loader for MemoryLoader {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.files.get(path) {
            Some(text) => Ok(text.clone()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        let entries: Vec<_> = self
            .files
            .keys()
            .filter(|file| file.parent() == Some(path) && *file != path)
            .cloned()
            .collect();
        Ok((!entries.is_empty()).then_some(entries))
    }
}

/// The variables that `"$NAME"` in a configuration refers to.
///
/// Starts from what the caller passes in; `setenv` and its like change it while the configuration is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Environment {
    /// An environment without variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a variable.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.variables.get(name.as_ref()).map(Vec::as_slice)
    }

    /// Sets a variable, whether or not it was set before.
    pub fn set(&mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.variables.insert(name.into(), value.into());
    }

    /// Forgets a variable.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        self.variables.remove(name.as_ref());
    }

    /// Forgets every variable for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        self.variables.retain(|name, _| keep(name));
    }

    /// All names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }
}

impl<N: Into<Vec<u8>>, V: Into<Vec<u8>>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self {
            variables: variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}

/// A place as people count it; both start at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Line in the file.
    pub line: u32,
    /// Column in characters (bytes that are not UTF-8 count as one each).
    pub column: u32,
}

/// One loaded file.
#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    text: Vec<u8>,
    /// Offset of the first byte of each line.
    line_starts: Vec<u32>,
}

/// The files a configuration was read from; spans point into them.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// No files yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file and names it. Text beyond [`FILE_BYTES_MAX`] is cut off, so that every offset fits a span;
    /// the parsers say so before they come here.
    pub fn add(&mut self, path: impl Into<PathBuf>, mut text: Vec<u8>) -> FileId {
        text.truncate(FILE_BYTES_MAX);
        let breaks = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(breaks.map(|(at, _)| at as u32 + 1))
            .collect();
        self.files.push(Source {
            path: path.into(),
            text,
            line_starts,
        });
        FileId(self.files.len() as u32 - 1)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether nothing was loaded.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The path of a file as the user gave it; empty for a file that is not ours.
    pub fn path(&self, file: FileId) -> &Path {
        self.source(file)
            .map_or_else(|| Path::new(""), |source| &source.path)
    }

    /// The bytes of a file; empty for a file that is not ours.
    pub fn text(&self, file: FileId) -> &[u8] {
        self.source(file).map_or(&[], |source| &source.text)
    }

    /// The text under a span, with what is not UTF-8 replaced; cut where the file ends.
    pub fn slice(&self, span: Span) -> Cow<'_, str> {
        let text = self.text(span.file);
        let end = (span.end as usize).min(text.len());
        String::from_utf8_lossy(&text[(span.start as usize).min(end)..end])
    }

    /// Line and column of an offset; an offset behind the end counts as the end.
    pub fn location(&self, file: FileId, offset: u32) -> Location {
        let Some(source) = self.source(file) else {
            return Location { line: 1, column: 1 };
        };
        let line = source
            .line_starts
            .partition_point(|start| *start <= offset)
            .max(1);
        let start = source.line_starts[line - 1] as usize;
        let end = (offset as usize).clamp(start, source.text.len().max(start));
        let before = String::from_utf8_lossy(&source.text[start..end.min(source.text.len())]);
        Location {
            line: line as u32,
            column: before.chars().count() as u32 + 1,
        }
    }

    /// The bytes of a line (counted from one) without its line end, and the offset of its first byte.
    pub fn line(&self, file: FileId, line: u32) -> (&[u8], u32) {
        let Some(source) = self.source(file) else {
            return (&[], 0);
        };
        let index = (line.max(1) as usize - 1).min(source.line_starts.len() - 1);
        let start = source.line_starts[index];
        let end = source
            .line_starts
            .get(index + 1)
            .map_or(source.text.len(), |next| *next as usize - 1);
        let text = &source.text[start as usize..end];
        (text.strip_suffix(b"\r").unwrap_or(text), start)
    }

    fn source(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_count_characters_from_one() {
        let mut sources = Sources::new();
        let file = sources.add("a.cfg", "ab\r\n\u{e9}x\n".into());
        let cases = [
            (0, 1, 1),
            (1, 1, 2),
            (4, 2, 1),
            (6, 2, 2),
            (8, 3, 1),
            (999, 3, 1),
        ];
        for (offset, line, column) in cases {
            assert_eq!(
                sources.location(file, offset),
                Location { line, column },
                "offset {offset}"
            );
        }
        assert_eq!(sources.line(file, 1), (&b"ab"[..], 0));
        assert_eq!(sources.line(file, 2), ("\u{e9}x".as_bytes(), 4));
        assert_eq!(sources.line(file, 3), (&b""[..], 8));
        assert_eq!(sources.slice(Span::new(file, 4, 6)), "\u{e9}");
        assert_eq!(sources.slice(Span::new(FileId(7), 4, 6)), "");
    }

    #[test]
    fn memory_loader_lists_directories_only() {
        let loader = MemoryLoader::new().file("d/a.cfg", "").file("b.cfg", "");
        assert_eq!(
            loader.list(Path::new("d")).unwrap(),
            Some(vec![PathBuf::from("d/a.cfg")])
        );
        assert_eq!(loader.list(Path::new("b.cfg")).unwrap(), None);
        assert_eq!(
            loader.read(Path::new("nowhere")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
