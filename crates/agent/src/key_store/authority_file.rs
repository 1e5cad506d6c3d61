//! The signing keys of a trust domain, as a file.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64ct::{Base64, Encoding};
use plastron_authority::{KeyState, Phase, State};
use plastron_id::TrustDomain;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{VERSION, file, file::KeyFileError};

/// The last millisecond that a certificate can name.
const LAST: u64 = 253_402_300_799_999;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    version: u32,
    trust_domain: &'a str,
    sequence: u64,
    #[serde(borrow)]
    x509: Vec<StoredKey<'a>>,
    #[serde(borrow)]
    jwt: Vec<StoredKey<'a>>,
    /// Left out where there are none, so that a program that does not know them reads the file. One that has nothing to do
    /// with them forgets them.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    wit: Vec<StoredKey<'a>>,
}

/// A key with its place in life. What is secret stays in the buffer of the file, or is wiped.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredKey<'a> {
    id: &'a str,
    phase: StoredPhase,
    /// Milliseconds since 1970.
    created_at: u64,
    ends_at: u64,
    pkcs8: &'a str,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    certificate: Option<&'a str>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum StoredPhase {
    Prepared,
    Active,
    Old,
}

pub(super) fn parse(
    path: &Path,
    content: &[u8],
    trust_domain: &TrustDomain,
) -> Result<State, KeyFileError> {
    let document: Document<'_> = file::parse(path, content)?;
    if document.trust_domain != trust_domain.as_str() {
        return Err(KeyFileError::TrustDomain {
            path: path.to_owned(),
            found: document.trust_domain.into(),
            wanted: trust_domain.to_string(),
        });
    }
    let keys = |stored: &[StoredKey<'_>]| {
        stored
            .iter()
            .map(|key| key.wake(path))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(State {
        sequence: document.sequence,
        x509: keys(&document.x509)?,
        jwt: keys(&document.jwt)?,
        #[cfg(feature = "wit")]
        wit: keys(&document.wit)?,
    })
}

pub(super) fn write(
    path: &Path,
    state: &State,
    trust_domain: &TrustDomain,
) -> Result<(), KeyFileError> {
    #[cfg(feature = "wit")]
    let wit = &state.wit[..];
    #[cfg(not(feature = "wit"))]
    let wit = &[][..];
    let [x509, jwt, wit] = [&state.x509, &state.jwt, wit]
        .map(|keys: &[KeyState]| keys.iter().map(Encoded::new).collect::<Vec<_>>());
    let document = Document {
        version: VERSION,
        trust_domain: trust_domain.as_str(),
        sequence: state.sequence,
        x509: x509.iter().map(Encoded::store).collect(),
        jwt: jwt.iter().map(Encoded::store).collect(),
        wit: wit.iter().map(Encoded::store).collect(),
    };
    file::write(path, &document)
}

/// A key with its bytes in base64.
struct Encoded<'a> {
    key: &'a KeyState,
    pkcs8: Zeroizing<String>,
    certificate: Option<String>,
}

impl<'a> Encoded<'a> {
    fn new(key: &'a KeyState) -> Self {
        Self {
            key,
            pkcs8: Zeroizing::new(Base64::encode_string(&key.pkcs8)),
            certificate: key.certificate.as_deref().map(Base64::encode_string),
        }
    }

    fn store(&self) -> StoredKey<'_> {
        StoredKey {
            id: &self.key.id,
            phase: match self.key.phase {
                Phase::Prepared => StoredPhase::Prepared,
                Phase::Active => StoredPhase::Active,
                Phase::Old => StoredPhase::Old,
            },
            created_at: millis(self.key.created_at),
            ends_at: millis(self.key.ends_at),
            pkcs8: &self.pkcs8,
            certificate: self.certificate.as_deref(),
        }
    }
}

impl StoredKey<'_> {
    fn wake(&self, path: &Path) -> Result<KeyState, KeyFileError> {
        let certificate = self
            .certificate
            .map(|text| file::base64(path, "certificate", text))
            .transpose()?;
        let time = |millis: u64| match millis {
            0..=LAST => Ok(UNIX_EPOCH + Duration::from_millis(millis)),
            _ => Err(KeyFileError::Damaged {
                path: path.to_owned(),
                what: "a time after the year 9999".into(),
            }),
        };
        Ok(KeyState {
            id: self.id.into(),
            phase: match self.phase {
                StoredPhase::Prepared => Phase::Prepared,
                StoredPhase::Active => Phase::Active,
                StoredPhase::Old => Phase::Old,
            },
            created_at: time(self.created_at)?,
            ends_at: time(self.ends_at)?,
            pkcs8: file::base64(path, "pkcs8", self.pkcs8)?,
            certificate: certificate.map(|der| der.to_vec()),
        })
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}
