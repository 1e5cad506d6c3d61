//! Certificate signing requests: a key, and the proof that somebody holds it. Nothing else in them counts.
//!
//! Spec: RFC 2986 §4 (X509-50).

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode as _, Reader as _, SliceReader, Tag, TagNumber, Tagged as _};
use pki_types::SignatureVerificationAlgorithm;
use plastron_keys::{PublicKey, PublicKeyError};

/// Bytes of a request at most: an RSA key of 8192 bits and a few attributes leave room to spare.
const MAX_LEN: usize = 16 * 1024;

/// Checks that a PKCS#10 request, in DER, is signed by the key it carries, and returns that key. Subject and extensions
/// are not looked at: who the SVID is for is policy.
///
/// # Errors
///
/// A request that is not strict DER, a key that is unacceptable, or a signature that does not hold. No input panics, and
/// none costs more than one verification.
pub fn verify_csr(
    der: &[u8],
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> Result<PublicKey, CsrError> {
    if der.len() > MAX_LEN {
        return Err(CsrError::Malformed);
    }
    let request = Request::parse(der).map_err(|_| CsrError::Malformed)?;
    let key = PublicKey::from_spki_der(request.spki)?;
    let key_id = key.kind().identifier();
    algorithms
        .iter()
        .find(|a| *a.signature_alg_id() == *request.algorithm && a.public_key_alg_id() == key_id)
        .ok_or(CsrError::UnsupportedAlgorithm)?
        .verify_signature(key.key_bits(), request.info, request.signature)
        .map_err(|_| CsrError::Signature)?;
    Ok(key)
}

/// `[0] IMPLICIT Attributes`, which may be empty, but not absent.
const ATTRIBUTES: Tag = Tag::ContextSpecific {
    constructed: true,
    number: TagNumber(0),
};

/// Why a request was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrError {
    /// Not a PKCS#10 request, or one of more than 16 KiB.
    #[error("malformed certificate signing request")]
    Malformed,
    /// The key is unacceptable.
    #[error("unacceptable key in the certificate signing request")]
    PublicKey(#[from] PublicKeyError),
    /// The set has no such algorithm for such a key.
    #[error("unsupported signature algorithm")]
    UnsupportedAlgorithm,
    /// The request is not signed by the key in it.
    #[error("invalid signature on the certificate signing request")]
    Signature,
}

/// The parts of a request that count.
struct Request<'a> {
    /// CertificationRequestInfo, which is what is signed.
    info: &'a [u8],
    spki: &'a [u8],
    /// The signature's algorithm, without tag and length.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Request<'a> {
    fn parse(der: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let request = reader.sequence(|outer| {
            let info = outer.tlv_bytes()?;
            let algorithm = AnyRef::decode(outer)?;
            algorithm.tag().assert_eq(Tag::Sequence)?;
            let signature = BitStringRef::decode(outer)?;
            Ok::<_, der::Error>(Self {
                info,
                spki: spki(info)?,
                algorithm: algorithm.value(),
                signature: signature.as_bytes().ok_or(Tag::BitString.value_error())?,
            })
        })?;
        reader.finish()?;
        Ok(request)
    }
}

/// Finds the SubjectPublicKeyInfo behind version and subject; the attributes that follow must be there, and well-formed.
fn spki(info: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(info)?;
    let spki = reader.sequence(|info| {
        if u8::decode(info)? != 0 {
            return Err(Tag::Integer.value_error().into());
        }
        AnyRef::decode(info)?.tag().assert_eq(Tag::Sequence)?;
        let spki = info.tlv_bytes()?;
        AnyRef::decode(info)?.tag().assert_eq(ATTRIBUTES)?;
        Ok::<_, der::Error>(spki)
    })?;
    reader.finish()?;
    Ok(spki)
}
