//! Style, script and icon, built into the binary. Their names change with their content, so that browsers may cache
//! them.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::sync::OnceLock;

/// A static file.
pub(super) struct Asset {
    stem: &'static str,
    extension: &'static str,
    pub content_type: &'static str,
    pub text: &'static str,
    compressed: OnceLock<Vec<u8>>,
}

pub(super) static STYLE: Asset = Asset::new("page", "css", "text/css; charset=utf-8", include_str!("assets/page.css"));

pub(super) static SCRIPT: Asset =
    Asset::new("page", "js", "text/javascript; charset=utf-8", include_str!("assets/page.js"));

pub(super) static ICON: Asset = Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg"));

impl Asset {
    const fn new(stem: &'static str, extension: &'static str, content_type: &'static str, text: &'static str) -> Self {
        Self { stem, extension, content_type, text, compressed: OnceLock::new() }
    }

    /// Its path relative to the overview.
    pub(super) fn path(&self) -> String {
        let (name, sum) = (self.stem, crc32fast::hash(self.text.as_bytes()));
        format!("static/{name}-{sum:08x}{:04x}.{}", self.text.len() & 0xffff, self.extension)
    }

    /// Its gzip form, compressed at the first request.
    pub(super) fn gzip(&self) -> &[u8] {
        self.compressed.get_or_init(|| gzip(self.text.as_bytes(), Compression::best()))
    }

    /// The file for a request's path.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        let name = path.strip_prefix('/')?;
        [&STYLE, &SCRIPT, &ICON].into_iter().find(|asset| asset.path() == name)
    }
}

/// Compresses into one gzip member.
pub(super) fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4 + 64), level);
    // Infallible: writing to a vector.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Asset, SCRIPT, STYLE};

    #[test]
    fn every_asset_has_a_name_of_its_own_and_the_script_is_small() {
        assert!(Asset::find(&format!("/{}", STYLE.path())).is_some_and(|asset| asset.text == STYLE.text));
        assert!(Asset::find("/static/page.css").is_none() && Asset::find("/static/../x").is_none());
        assert!(SCRIPT.text.len() < 10_000, "{}", SCRIPT.text.len());
        assert!(STYLE.gzip().len() * 2 < STYLE.text.len());
    }
}
