//! Compressed files and archives. They are read in place, and never extracted to disk.

use super::meter::Metered;
use super::{ARCHIVES, InputFile, LAYERS, ReadError, Reader, within};
use anyhow::anyhow;
use flate2::read::MultiGzDecoder;
use std::io::{self, Cursor, Read, Seek};
use std::rc::Rc;
use tar::EntryType;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

pub(super) fn is_gzip(beginning: &[u8]) -> bool {
    beginning.starts_with(b"\x1F\x8B")
}

pub(super) fn is_tar(beginning: &[u8]) -> bool {
    beginning.get(257..262) == Some(b"ustar")
}

/// Also true for an archive without files.
pub(super) fn is_zip(beginning: &[u8]) -> bool {
    beginning.starts_with(b"PK\x03\x04") || beginning.starts_with(b"PK\x05\x06")
}

/// The extension of a file name in lower case, without that of a compression; empty if it has none.
fn extension(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    let file = file.strip_suffix(".gz").unwrap_or(&file);
    file.rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.to_owned())
}

/// Whether a file in a bundle may hold objects, by its name. Most of a bundle is logs.
pub(super) fn may_hold_objects(name: &str) -> bool {
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
    // macOS adds such a file for each file.
    !file.starts_with("._")
        && (is_structured(name)
            || matches!(&*extension(name), "" | "txt" | "out" | "dump" | "list" | "tar" | "tgz" | "zip"))
}

/// Whether a file holds JSON or YAML, by its name.
pub(super) fn is_structured(name: &str) -> bool {
    matches!(&*extension(name), "json" | "jsonl" | "ndjson" | "yaml" | "yml")
}

impl Reader<'_, '_> {
    /// Reads to the end, where the checksum is.
    pub(super) fn gzip(&mut self, input: &mut dyn Read, entry: &mut InputFile) -> Result<(), ReadError> {
        entry.layers += 1;
        if entry.layers > LAYERS {
            return Err(ReadError::Input(anyhow!("it is compressed too many times; decompress it with gunzip")));
        }
        let mut decoded = Metered::new(MultiGzDecoder::new(input), &Rc::clone(&self.meter));
        self.file(&mut decoded, entry).map_err(of_gzip)?;
        io::copy(&mut decoded, &mut io::sink()).map_err(|error| of_gzip(error.into()))?;
        Ok(())
    }

    pub(super) fn tar(&mut self, input: &mut dyn Read, at: &InputFile) -> Result<(), ReadError> {
        let archives = nested(at)?;
        let mut end = EndMark { input, zeros: 0 };
        {
            let mut archive = tar::Archive::new(&mut end);
            for entry in archive.entries().map_err(of_tar)? {
                let mut file = entry.map_err(of_tar)?;
                self.meter.file()?;
                let name = String::from_utf8_lossy(&file.path_bytes()).into_owned();
                match file.header().entry_type() {
                    EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {}
                    EntryType::Link | EntryType::Symlink | EntryType::Char | EntryType::Block | EntryType::Fifo => {
                        self.contents.links += 1;
                        continue;
                    }
                    _ => continue,
                }
                if !may_hold_objects(&name) {
                    self.contents.passed_files += 1;
                    continue;
                }
                let mut inner = self.entry(name, true, archives);
                let mut checked = CompleteFile { left: file.size(), input: &mut file };
                self.found(&mut checked, &mut inner)?;
            }
        }
        if end.zeros < TAR_BLOCK {
            return Err(ReadError::Input(anyhow!("it is a tar archive that was cut short: its end is missing")));
        }
        Ok(())
    }

    pub(super) fn zip(&mut self, input: impl Read + Seek, at: &InputFile) -> Result<(), ReadError> {
        let archives = nested(at)?;
        let mut archive = ZipArchive::new(input).map_err(of_zip)?;
        for number in 0..archive.len() {
            self.meter.file()?;
            let file = archive.by_index_raw(number).map_err(of_zip)?;
            let name = String::from_utf8_lossy(file.name_raw()).into_owned();
            if file.encrypted() {
                return Err(ReadError::Input(anyhow!(
                    "it is an encrypted zip archive; decrypt it, and name the directory"
                )));
            }
            if file.is_dir() {
                continue;
            }
            // The upper bits of a Unix mode: 8 is a regular file, and archives of other systems have none.
            if file.is_symlink() || !matches!(file.unix_mode().map_or(0, |mode| mode >> 12), 0 | 8) {
                self.contents.links += 1;
                continue;
            }
            let is_read = matches!(file.compression(), CompressionMethod::Stored | CompressionMethod::Deflated);
            drop(file);
            if !may_hold_objects(&name) {
                self.contents.passed_files += 1;
                continue;
            }
            if !is_read {
                return Err(within(&name, ReadError::Input(anyhow!("{PACKED_OTHERWISE}"))));
            }
            let file = archive.by_index(number).map_err(|error| within(&name, of_zip(error)))?;
            let mut inner = self.entry(name, true, archives);
            let mut metered = Metered::new(file, &Rc::clone(&self.meter));
            self.found(&mut metered, &mut inner).map_err(of_zip_data)?;
            // The checksum is verified at the end.
            let rest = io::copy(&mut metered, &mut io::sink());
            rest.map_err(|error| of_zip_data(within(&inner.name, error.into())))?;
        }
        Ok(())
    }

    /// Reads a zip inside another archive or from a pipe, in memory: its directory is at its end.
    pub(super) fn zip_in_memory(&mut self, input: &mut dyn Read, entry: &mut InputFile) -> Result<(), ReadError> {
        if entry.archives == 0 && entry.layers == 0 {
            return Err(ReadError::Input(anyhow!(
                "it is a zip archive, which cannot be read from a pipe; write it into a file, and name that"
            )));
        }
        let most = self.meter.limits.inner_zip;
        let mut archive = Vec::new();
        input.take(most as u64 + 1).read_to_end(&mut archive)?;
        if archive.len() > most {
            return Err(ReadError::Input(anyhow!(
                "it is a zip archive of more than {} MiB within another; unpack the outer one, and name the directory",
                most >> 20
            )));
        }
        let at = entry.clone();
        if entry.bundled {
            self.zip(Cursor::new(archive), &at)
        } else {
            self.bundle(|reader| reader.zip(Cursor::new(archive), &at))
        }
    }
}

/// Number of archives around the content of this one.
fn nested(at: &InputFile) -> Result<u8, ReadError> {
    if at.archives >= ARCHIVES {
        return Err(ReadError::Input(anyhow!(
            "it is an archive in an archive in an archive; unpack the outer one, and name the directory"
        )));
    }
    Ok(at.archives + 1)
}

fn of_gzip(broken: ReadError) -> ReadError {
    let ReadError::Input(error) = broken else { return broken };
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::UnexpectedEof) => {
            ReadError::Input(anyhow!("it is compressed with gzip, and was cut short"))
        }
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            ReadError::Input(anyhow!("it is compressed with gzip, and broken: {error}"))
        }
        _ => ReadError::Input(error),
    }
}

fn of_tar(error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => error.into(),
        _ if error.get_ref().is_some() => {
            ReadError::Input(anyhow!("it is a tar archive that is broken or was cut short: {error}"))
        }
        _ => error.into(),
    }
}

fn of_zip(error: ZipError) -> ReadError {
    ReadError::Input(match error {
        ZipError::Io(error) => anyhow!(error),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            anyhow!("it is an encrypted zip archive; decrypt it, and name the directory")
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => anyhow!("{PACKED_OTHERWISE}"),
        other => anyhow!("it is a zip archive that is broken or was cut short: {other}"),
    })
}

/// An error for a file whose bytes do not match its archive's directory.
fn of_zip_data(broken: ReadError) -> ReadError {
    let ReadError::Input(error) = broken else { return broken };
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof) => {
            ReadError::Input(error.context("it is a zip archive that is broken or was cut short"))
        }
        _ => ReadError::Input(error),
    }
}

const PACKED_OTHERWISE: &str =
    "it is a zip archive compressed in a way that podskew does not read; unpack it, and name the directory";

const TAR_BLOCK: usize = 512;

/// A file in an archive, which fails if it ends early.
struct CompleteFile<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for CompleteFile<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(out)?;
        self.left = self.left.saturating_sub(read as u64);
        if read == 0 && !out.is_empty() && self.left > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar archive was cut short"));
        }
        Ok(read)
    }
}

/// Checks that an archive ends with blocks of zeros. Truncated between two files it would otherwise look complete.
struct EndMark<'i> {
    input: &'i mut dyn Read,
    zeros: usize,
}

impl Read for EndMark<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(out)?;
        self.zeros = match out[..read].iter().rposition(|byte| *byte != 0) {
            Some(last) => read - last - 1,
            None => self.zeros + read,
        };
        Ok(read)
    }
}
