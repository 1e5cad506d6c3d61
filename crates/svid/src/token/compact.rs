//! The three parts of a compact JWS.
//!
//! Each is base64url without padding; one text stands for one sequence of bytes, so that a token cannot be varied. Spec: RFC
//! 7515 §3.1, §5.2.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use plastron_bundle::JsonError;

use super::Fault;

/// The most bytes of a header. Three members take a hundred, and the `kid` may be long.
const MAX_HEADER_LEN: usize = 2048;

/// Bytes of a signature under an RSA key of 8192 bits.
const MAX_SIGNATURE_LEN: usize = 1024;

/// A token, split and not decoded.
pub(crate) struct Compact<'t> {
    signed: &'t str,
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
}

impl<'t> Compact<'t> {
    /// Splits a token of at most `most` bytes (JWT-01 to JWT-03).
    pub(crate) fn split(token: &'t str, most: usize) -> Result<Self, Fault> {
        if token.len() > most {
            return Err(Fault::TooLong { len: token.len() });
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Fault::NotCompact)?;
        let (header, payload) = signed.split_once('.').ok_or(Fault::NotCompact)?;
        if payload.contains('.') {
            return Err(Fault::NotCompact);
        }
        Ok(Self {
            signed,
            header,
            payload,
            signature,
        })
    }

    /// What the signature is of, exactly as it was received (JWT-37).
    pub(crate) fn signed(&self) -> &'t [u8] {
        self.signed.as_bytes()
    }

    pub(crate) fn header(&self) -> Result<Decoded<MAX_HEADER_LEN>, Fault> {
        Decoded::new(self.header, "header")
    }

    pub(crate) fn payload(&self) -> Result<String, Fault> {
        const BASE64: Fault = Fault::Base64 { part: "payload" };
        let payload = Base64UrlUnpadded::decode_vec(self.payload).map_err(|_| BASE64)?;
        String::from_utf8(payload).map_err(|_| Fault::Claims(JsonError::Syntax))
    }

    pub(crate) fn signature(&self) -> Result<Decoded<MAX_SIGNATURE_LEN>, Fault> {
        Decoded::new(self.signature, "signature")
    }
}

/// A decoded part that needs no allocation.
pub(crate) struct Decoded<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Decoded<N> {
    /// Base64url without padding, line breaks or bits left over (JWT-16).
    fn new(base64: &str, part: &'static str) -> Result<Self, Fault> {
        let mut bytes = [0; N];
        let len = Base64UrlUnpadded::decode(base64, &mut bytes)
            .map_err(|_| Fault::Base64 { part })?
            .len();
        Ok(Self { bytes, len })
    }
}

impl<const N: usize> std::ops::Deref for Decoded<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
