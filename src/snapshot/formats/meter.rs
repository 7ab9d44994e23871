//! Limits on reading, independent of compression and archives.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Limits on reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadLimits {
    /// Bytes of all files together, decompressed.
    pub bytes: u64,
    /// Files in folders and archives.
    pub files: u64,
    /// Bytes of one YAML document, which is read into memory.
    pub yaml_document: usize,
    /// Bytes of a zip inside an archive, which is read into memory because its directory is at its end.
    pub inner_zip: usize,
    /// Bytes of the items of a list whose kind comes after them.
    pub held_items: usize,
}

const MIB: usize = 1 << 20;

impl ReadLimits {
    /// Far more than any bundle of a cluster needs.
    pub const DEFAULT: Self =
        Self { bytes: 16 << 30, files: 100_000, yaml_document: 64 * MIB, inner_zip: 64 * MIB, held_items: 64 * MIB };
}

/// Counts what was read.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) limits: ReadLimits,
    bytes: Cell<u64>,
    files: Cell<u64>,
}

impl Meter {
    pub(super) fn new(limits: ReadLimits) -> Rc<Self> {
        Rc::new(Self { limits, bytes: Cell::new(0), files: Cell::new(0) })
    }

    /// Counts a file.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub(super) fn file(&self) -> io::Result<()> {
        self.files.set(self.files.get() + 1);
        if self.files.get() > self.limits.files {
            return Err(io::Error::other(format!(
                "there are more than {} files in it; name the directory or the files that hold pods and what owns them",
                self.limits.files
            )));
        }
        Ok(())
    }

    fn bytes(&self, more: usize) -> io::Result<()> {
        self.bytes.set(self.bytes.get() + more as u64);
        if self.bytes.get() > self.limits.bytes {
            return Err(io::Error::other(format!(
                "it is more than {} GiB, decompressed; name the files that hold pods and what owns them",
                self.limits.bytes >> 30
            )));
        }
        Ok(())
    }
}

/// An input whose bytes are counted.
pub(super) struct Metered<R> {
    input: R,
    meter: Rc<Meter>,
}

impl<R> Metered<R> {
    pub(super) fn new(input: R, meter: &Rc<Meter>) -> Self {
        Self { input, meter: Rc::clone(meter) }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(out)?;
        self.meter.bytes(read)?;
        Ok(read)
    }
}

/// Fills `out` as far as the input lasts.
pub(super) fn fill(input: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match input.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads the first bytes; the caller chains them before the rest of the input.
pub(super) fn beginning(input: &mut dyn Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut beginning = vec![0; bytes];
    let filled = fill(input, &mut beginning)?;
    beginning.truncate(filled);
    Ok(beginning)
}
