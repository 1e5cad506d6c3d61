//! Writing a compact JWS. Spec: RFC 7515 §7.1; RFC 7518 §3.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use plastron_keys::{JwsAlgorithm, SignError, SigningKey};

/// A key that signs tokens of one kind, with the header that they all have.
#[derive(Clone, Debug)]
pub(crate) struct TokenSigner<'a> {
    key: &'a dyn SigningKey,
    algorithm: JwsAlgorithm,
    /// The header in base64url, and the dot behind it.
    header: String,
}

impl<'a> TokenSigner<'a> {
    /// Takes the `typ` of its tokens, and their `kid` where they have one. There is no signer for a key that no token may be
    /// signed with: Ed25519 (JWT-05, WIT-06).
    pub(crate) fn new(key: &'a dyn SigningKey, typ: &str, key_id: Option<&str>) -> Option<Self> {
        let algorithm = JwsAlgorithm::from_signature_algorithm(key.algorithm())?;
        let mut json = Vec::with_capacity(64 + key_id.map_or(0, str::len));
        json.extend_from_slice(b"{\"alg\":");
        push_json(&mut json, algorithm.as_str());
        if let Some(key_id) = key_id {
            json.extend_from_slice(b",\"kid\":");
            push_json(&mut json, key_id);
        }
        json.extend_from_slice(b",\"typ\":");
        push_json(&mut json, typ);
        json.push(b'}');
        let mut header = Base64UrlUnpadded::encode_string(&json);
        header.push('.');
        Some(Self {
            key,
            algorithm,
            header,
        })
    }

    pub(crate) fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    /// The token with these claims.
    pub(crate) fn sign(&self, claims: &[u8]) -> Result<String, SignError> {
        let mut token =
            String::with_capacity(self.header.len() + claims.len().div_ceil(3) * 4 + 720);
        token.push_str(&self.header);
        push_base64(&mut token, claims);
        let signature = sign(self.key, self.algorithm, token.as_bytes())?;
        token.push('.');
        push_base64(&mut token, &signature);
        Ok(token)
    }
}

/// Signs `message` in the form of JWS.
pub(crate) fn sign(
    key: &dyn SigningKey,
    algorithm: JwsAlgorithm,
    message: &[u8],
) -> Result<Vec<u8>, SignError> {
    let signature = key.sign(message)?;
    algorithm
        .signature_from_x509(signature)
        .map_err(|_| SignError)
}

pub(crate) fn push_json(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("a string into memory");
}

pub(crate) fn push_number(json: &mut Vec<u8>, number: u64) {
    serde_json::to_writer(json, &number).expect("a number into memory");
}

fn push_base64(token: &mut String, bytes: &[u8]) {
    let mut space = [0; 1024];
    // A multiple of three bytes makes whole groups of four characters, so the pieces join.
    for piece in bytes.chunks(space.len() / 4 * 3) {
        let text =
            Base64UrlUnpadded::encode(piece, &mut space).expect("four characters for three bytes");
        token.push_str(text);
    }
}
