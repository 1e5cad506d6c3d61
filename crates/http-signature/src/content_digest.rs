//! `Content-Digest`. Spec: RFC 9530 §2, §5.

use base64ct::{Base64, Encoding as _};
use sha2::{Digest, Sha256, Sha512};

use crate::structured::Reader;
use crate::{HttpRequest, HttpSignatureError as Error, MAX_FIELD_LEN};

const FIELD: &str = "content-digest";

/// The value of `Content-Digest` for this body, by SHA-256.
pub fn content_digest(body: &[u8]) -> String {
    let digest = Base64::encode_string(&Sha256::digest(body));
    format!("sha-256=:{digest}:")
}

/// Checks that the digests that a request has are of its body, all that are by SHA-256 or SHA-512, and that there is one
/// (WIT-53). Digests by other algorithms prove nothing, and take nothing away.
pub(crate) fn check(request: &HttpRequest<'_>) -> Result<(), Error> {
    let Some(value) = request.field(FIELD, MAX_FIELD_LEN)? else {
        let is_bare = request.body.is_empty();
        return if is_bare {
            Ok(())
        } else {
            Err(Error::DigestMissing)
        };
    };
    let mut checked = false;
    Reader::new(FIELD, &value).dictionary(|reader, algorithm| {
        let digest = reader.bytes()?;
        reader.parameters()?;
        let is_right = match algorithm {
            "sha-256" => is_digest::<Sha256>(&digest, request.body),
            "sha-512" => is_digest::<Sha512>(&digest, request.body),
            _ => return Ok(()),
        };
        checked = true;
        if is_right { Ok(()) } else { Err(Error::Digest) }
    })?;
    if checked {
        Ok(())
    } else {
        Err(Error::DigestAlgorithm)
    }
}

fn is_digest<D: Digest>(digest: &[u8], body: &[u8]) -> bool {
    D::digest(body)[..] == *digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(fields: &[&str], body: &[u8]) -> Result<(), Error> {
        let fields: Vec<(&str, &[u8])> = fields
            .iter()
            .map(|value| ("Content-Digest", value.as_bytes()))
            .collect();
        check(&HttpRequest::new("GET", "/", &fields).body(body))
    }

    #[test]
    fn digests_are_those_of_the_body() {
        // RFC 9421 §B.2: the digest by SHA-512 of the body of its request; RFC 9530 §D: that by SHA-256.
        const BODY: &[u8] = b"{\"hello\": \"world\"}";
        const SHA512: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
        const SHA256: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
        assert_eq!(content_digest(BODY), SHA256);
        let malformed = |at| Err(Error::Malformed { field: FIELD, at });
        let both = format!("{SHA512}, {SHA256}");
        let other = content_digest(b"other");
        let one_wrong = format!("{SHA512}, {other}");
        let with_parameter = format!("{SHA256};a=1");
        let unknown = format!("unixsum=:AAA=:, {SHA256}");
        for (fields, body, want) in [
            (&[SHA256][..], BODY, Ok(())),
            (&[SHA512], BODY, Ok(())),
            (&[&both], BODY, Ok(())),
            (&[SHA512, SHA256], BODY, Ok(())),
            (&[&unknown], BODY, Ok(())),
            (&[&with_parameter], BODY, Ok(())),
            (&[&one_wrong], BODY, Err(Error::Digest)),
            (&[SHA256], b"{}", Err(Error::Digest)),
            (&[SHA512], b"{}", Err(Error::Digest)),
            (&[SHA256], b"", Err(Error::Digest)),
            (&["sha-256=:AAAA:"], BODY, Err(Error::Digest)),
            (&["md5=:AAAA:"], BODY, Err(Error::DigestAlgorithm)),
            (&[], BODY, Err(Error::DigestMissing)),
            (&[], b"", Ok(())),
            (
                &[SHA256, SHA256],
                BODY,
                Err(Error::Duplicate("sha-256".into())),
            ),
            (&[""], BODY, malformed(0)),
            (&["sha-256=X48E"], BODY, malformed(8)),
            (
                &["sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE:"],
                BODY,
                malformed(9),
            ),
        ] {
            // WIT-39, WIT-53
            assert_eq!(judge(fields, body), want, "{fields:?}");
        }
    }
}
