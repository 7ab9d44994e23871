//! Reads a file up to a maximum length.

use std::io::{self, ErrorKind};
use std::path::Path;
use tokio::io::AsyncReadExt as _;

/// Reads a file.
///
/// # Errors
///
/// It is longer than `most` bytes.
pub(super) async fn read_file(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    tokio::fs::File::open(file).await?.take(most + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > most {
        let problem = format!("it has more than {} MiB", most >> 20);
        return Err(io::Error::new(ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}
