//! The bundles of foreign trust domains, from their files.

use std::{fs, io, path::Path};

use plastron_bundle::{Bundle, BundleSet};

use crate::config::ForeignBundle;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// Reads the files. One that is missing or broken is a sentence for the operator; of a broken one the bundle before stays.
pub(crate) fn read(files: &[ForeignBundle], before: &BundleSet) -> (BundleSet, Vec<String>) {
    let mut bundles = BundleSet::new();
    let mut warnings = Vec::new();
    for ForeignBundle { trust_domain, file } in files {
        let shown = file.display();
        match read_one(file) {
            Ok(bytes) => match parse(trust_domain, &bytes) {
                Ok((bundle, skipped)) => {
                    warnings.extend(skipped.into_iter().map(|what| format!("bundle of {trust_domain}, {shown}: {what}")));
                    bundles.insert(bundle);
                }
                Err(error) => {
                    let kept = before.get(trust_domain.as_ref()).map(|bundle| bundles.insert(bundle.clone())).is_some();
                    let outcome = if kept { "the one before stays in force" } else { "nothing of this trust domain is trusted" };
                    warnings.push(format!("bundle of {trust_domain}, {shown}: {error}; {outcome}"));
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                warnings.push(format!("bundle of {trust_domain}: {shown} is not there; nothing of this trust domain is trusted until it is"));
            }
            Err(error) => {
                before.get(trust_domain.as_ref()).map(|bundle| bundles.insert(bundle.clone()));
                warnings.push(format!("bundle of {trust_domain}: {shown} cannot be read: {error}"));
            }
        }
    }
    (bundles, warnings)
}

fn read_one(file: &Path) -> io::Result<Vec<u8>> {
    let length = fs::metadata(file)?.len();
    if length > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {length} bytes, more than {MAX_BYTES}")));
    }
    fs::read(file)
}

/// A bundle document, or PEM: what the first byte that is no space says.
fn parse(trust_domain: &plastron_id::TrustDomain, bytes: &[u8]) -> Result<(Bundle, Vec<String>), plastron_bundle::BundleError> {
    let parsed = if bytes.trim_ascii_start().first() == Some(&b'{') {
        Bundle::parse(trust_domain.clone(), bytes)?
    } else {
        Bundle::from_pem(trust_domain.clone(), &String::from_utf8_lossy(bytes))?
    };
    Ok((parsed.bundle, parsed.skipped.iter().map(ToString::to_string).collect()))
}
