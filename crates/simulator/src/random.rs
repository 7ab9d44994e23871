//! Pseudorandom numbers, names and digests, the same in every run.

/// The letters of generated names in Kubernetes: without vowels, so that they form no words.
const SAFE: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const HEX: &[u8] = b"0123456789abcdef";

/// `SplitMix64` by Steele, Lea and Flood: one addition and two multiplications per number.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeded with a text, so an image tag has the same digest everywhere.
    pub(super) fn of(text: &str) -> Self {
        let fnv = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, fnv))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`, which is not 0.
    #[expect(clippy::cast_possible_truncation, reason = "bounds are small")]
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        (self.next() % u64::from(bound.max(1))) as u32
    }

    /// A random suffix of a pod's name.
    pub(super) fn suffix(&mut self) -> String {
        self.letters(SAFE, 5)
    }

    /// A template hash.
    pub(super) fn hash(&mut self) -> String {
        self.letters(SAFE, 10)
    }

    /// 64 hex digits of an image or a container.
    pub(super) fn hex64(&mut self) -> String {
        self.letters(HEX, 64)
    }

    pub(super) fn uid(&mut self) -> String {
        let mut uid = self.letters(HEX, 36).into_bytes();
        for dash in [8, 13, 18, 23] {
            uid[dash] = b'-';
        }
        String::from_utf8_lossy(&uid).into_owned()
    }

    fn letters(&mut self, alphabet: &[u8], count: usize) -> String {
        let mut text = String::with_capacity(count);
        let mut number = 0;
        for index in 0..count {
            if index % 8 == 0 {
                number = self.next();
            }
            text.push(char::from(alphabet[(number & 0xff) as usize % alphabet.len()]));
            number >>= 8;
        }
        text
    }
}

/// Encodes a text in the letters of names, as Kubernetes encodes hashes.
pub(super) fn safe_encode(text: &str) -> String {
    text.bytes().map(|byte| char::from(SAFE[usize::from(byte) % SAFE.len()])).collect()
}

/// The digest of an image.
pub(super) fn digest(image: &str) -> String {
    format!("sha256:{}", Random::of(image).hex64())
}
