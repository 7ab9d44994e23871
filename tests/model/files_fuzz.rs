//! Mutated and truncated files of every format: nothing panics, hangs or exceeds its memory limit, and a file with a
//! checksum is read completely or not at all.
//!
//! It runs for a minute. To run longer: `PODSKEW_FUZZ_SECONDS=3600 cargo test --release --test model files_fuzz`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, missing_docs, reason = "tests")]

use crate::common::alone::is_alone;
use crate::common::forms::{Form, dump_of, forms};
use podskew::snapshot::formats::{ReadLimits, ReadOptions, read, read_from};
use podskew::time::UnixTime;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Small enough that limits are reached now and then.
const READING: ReadOptions = ReadOptions {
    limits: ReadLimits { bytes: 64 << 20, files: 100, yaml_document: 1 << 20, inner_zip: 1 << 20, held_items: 1 << 20 },
    now: UnixTime::LAST,
    nodes: false,
};

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) as usize % end.max(1)
    }
}

/// Input that tends to break parsers of text and archives.
const TOKENS: [&[u8]; 16] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"\n---\n",
    b"&a ",
    b"*a ",
    b"\xEF\xBB\xBF",
    b"\xFF\xFE",
    b"\0\0\0\0",
    b"==== START logs for container a of pod b/c ====\n",
    b"PK\x01\x02",
];

fn mutated(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        let length = random.below(200).min(bytes.len() - at);
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = random.below(256) as u8,
            3 => _ = bytes.drain(at..at + length),
            4 => {
                let part = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            5 => _ = bytes.splice(at..at, TOKENS[random.below(TOKENS.len())].iter().copied()),
            _ => bytes[at..at + length].reverse(),
        }
    }
    bytes
}

/// Hashes of the JSON of a file's objects, in order.
fn told(path: &PathBuf) -> Result<Vec<u64>, String> {
    let mut told = Vec::new();
    let read = read(std::slice::from_ref(path), READING, &mut |piece| told.push(hash(piece.json)));
    read.map(|_| told).map_err(|error| format!("{error:#}"))
}

/// The same hashes, reading a few bytes at a time.
fn piped(path: &Path, bytes: &[u8]) -> Option<Vec<u64>> {
    struct Pipe<'b>(&'b [u8]);
    impl Read for Pipe<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let most = out.len().min(977);
            self.0.read(&mut out[..most])
        }
    }
    let mut told = Vec::new();
    let read = read_from(Pipe(bytes), &path.to_string_lossy(), READING, &mut |piece| told.push(hash(piece.json)));
    read.ok().map(|_| told)
}

fn hash(json: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    json.hash(&mut hasher);
    hasher.finish()
}

/// Peak memory of this process, in MiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn mutated_files_of_every_form_are_read_or_refused() {
    if !is_alone(module_path!(), "mutated_files_of_every_form_are_read_or_refused") {
        return;
    }
    let seconds = std::env::var("PODSKEW_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let end = Instant::now() + Duration::from_secs(seconds);
    let folder = tempfile::tempdir().unwrap();
    // Few objects, so that many mutations hit them.
    let mut items = dump_of("statefulset-partition");
    items.truncate(6);
    let forms: Vec<Form> = forms(&items, folder.path()).into_iter().filter(|form| form.files[0].is_file()).collect();
    let whole: Vec<(&Form, Vec<u8>, Vec<u64>)> = forms
        .iter()
        .map(|form| (form, std::fs::read(&form.files[0]).unwrap(), told(&form.files[0]).unwrap()))
        .collect();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut rounds = 0_u32;
    let mut slowest = Duration::ZERO;
    while rounds == 0 || Instant::now() < end {
        rounds += 1;
        for (form, bytes, all) in &whole {
            let broken = mutated(bytes, &mut random);
            let path =
                form.files[0].with_file_name(format!("fuzz-{}", form.files[0].file_name().unwrap().to_str().unwrap()));
            std::fs::write(&path, &broken).unwrap();
            let began = Instant::now();
            let found = told(&path);
            slowest = slowest.max(began.elapsed());
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{} took {:?}: {}",
                form.name,
                began.elapsed(),
                path.display()
            );
            // A file may consist of several gzip members, each with a checksum: only a file with a single member is all or
            // nothing.
            if form.name.starts_with("gz") && form.name != "gz in parts" && form.name != "gz in tar" {
                assert!(found.as_ref().is_err() || found.as_ref() == Ok(all), "{} was read in part", form.name);
            }
            // Reading through a pipe gives the same result, except for a zip.
            if !broken.starts_with(b"PK") {
                assert_eq!(piped(&path, &broken), found.ok(), "{} through a pipe", form.name);
            }
        }
    }
    let memory = most_memory();
    assert!(memory < 400, "{memory} MiB");
    println!("{memory} MiB, {rounds} rounds of {} formats, slowest file {slowest:?}", whole.len());
}
