//! Bearer tokens in the form of JSON Web Tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Size limit; tokens of service accounts have one or two KiB.
const LONGEST: usize = 16 << 10;

/// A token in the form of a JSON Web Token. Its content is not verified here.
pub(super) struct Jwt<'a> {
    pub(super) text: &'a str,
    /// SHA-256 of the token, the key of the caches.
    pub(super) digest: [u8; 32],
    /// The claim `exp`, in seconds since 1970.
    pub(super) expiry: Option<i64>,
}

#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
}

impl<'a> Jwt<'a> {
    /// `None` for a text that is not a token or is too long. Such a text needs no review.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let is_base64 = |part: &str| !part.is_empty() && URL_SAFE_NO_PAD.decode(part).is_ok();
        if !is_base64(header) || !is_base64(signature) {
            return None;
        }
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let mut digest = [0; 32];
        // A SHA-256 digest has exactly 32 bytes.
        for (to, from) in digest.iter_mut().zip(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref()) {
            *to = *from;
        }
        Some(Self { text, digest, expiry: claims.exp.map(whole_seconds) })
    }
}

/// Rounds down: the cache may end an allow early, never late.
#[allow(clippy::cast_possible_truncation, reason = "a number beyond i64 becomes the nearest")]
fn whole_seconds(seconds: f64) -> i64 {
    seconds.floor() as i64
}

#[cfg(test)]
mod tests {
    use super::{Jwt, LONGEST};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn token(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), part("signature"))
    }

    #[test]
    fn a_token_tells_when_it_ends() {
        let expiry = |claims: &str| Jwt::read(&token(claims)).map(|token| token.expiry);
        let at = |seconds: i64| Some(Some(seconds));
        assert_eq!(expiry(r#"{"exp":1800000000,"sub":"system:serviceaccount:a:b"}"#), at(1_800_000_000));
        assert_eq!(expiry(r#"{"exp":1800000000.9}"#), at(1_800_000_000));
        assert_eq!(expiry(r#"{"sub":"legacy"}"#), Some(None));
        assert_eq!(expiry(r#"{"exp":"soon"}"#), None);
        assert_eq!(expiry("no JSON"), None);
    }

    #[test]
    fn invalid_tokens_are_detected_without_a_review() {
        let long = token(&format!("{{\"pad\":\"{}\"}}", "x".repeat(LONGEST)));
        for text in ["", "abc", "a.b", "a.b.c.d", "..", "a b.c.d", "ä.b.c", &long] {
            assert!(Jwt::read(text).is_none(), "{text:.20}");
        }
    }
}
