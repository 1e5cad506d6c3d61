//! Bundles in files: a SPIFFE bundle document, certificates in PEM, or certificates in DER.

use std::collections::HashMap;

use plastron_bundle::{Bundle, BundleError, Parsed};
use plastron_id::TrustDomain;

use crate::{form::Form, report::plural};

/// Reads a bundle, whichever of its forms it has.
///
/// # Errors
///
/// As the form that it looks most like.
pub(crate) fn parse(trust_domain: TrustDomain, bytes: &[u8]) -> Result<Parsed, BundleError> {
    match Form::of(bytes) {
        Form::Json(document) => Bundle::parse(trust_domain, document.as_bytes()),
        Form::Pem(text) => Bundle::from_pem(trust_domain, &text),
        Form::Text(text) => Bundle::from_pem(trust_domain, text),
        Form::Binary(der) => Bundle::from_der(trust_domain, der),
    }
}

/// Something about a bundle that the standards advise against.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Odd {
    /// Which of the bundles.
    pub(crate) bundle: usize,
    pub(crate) what: String,
    pub(crate) instead: &'static str,
}

/// What the standards advise against in bundles of different trust domains: an authority that is not self-signed (X509-78),
/// and a key that speaks for two trust domains (BUNDLE-02).
pub(crate) fn odd(bundles: &[&Bundle]) -> Vec<Odd> {
    let mut odd = Vec::new();
    let mut owners: HashMap<&[u8], usize> = HashMap::new();
    for (number, bundle) in bundles.iter().enumerate() {
        let trust_domain = bundle.trust_domain();
        let x509 = bundle.x509_authorities();
        let intermediates = x509
            .iter()
            .filter(|authority| !authority.certificate().is_self_issued())
            .count();
        if intermediates > 0 {
            let count = plural(intermediates, "authority", "authorities");
            odd.push(Odd {
                bundle: number,
                what: format!("{count} of {trust_domain} not self-signed: an intermediate serves as root"),
                instead: "write the certificate of the root, unless the trust domain means to be trusted by this one alone",
            });
        }
        let x509 = x509.iter().map(|authority| authority.public_key());
        let jwt = bundle.jwt_authorities().iter().map(|key| key.public_key());
        let mut others: Vec<usize> = x509
            .chain(jwt)
            .filter_map(|key| {
                let owner = *owners.entry(key.spki_der()).or_insert(number);
                (owner != number).then_some(owner)
            })
            .collect();
        others.dedup();
        for other in others {
            odd.push(Odd {
                bundle: number,
                what: format!(
                    "{trust_domain} and {} have a key in common: whoever holds it speaks for both",
                    bundles[other].trust_domain()
                ),
                instead: "write the bundle that this trust domain itself publishes",
            });
        }
    }
    odd
}

#[cfg(test)]
mod tests {
    use plastron_bundle::X509Authority;
    use plastron_testing::{Authority, raw_certificate::RawCertificate};

    use super::*;

    #[test]
    fn what_the_standards_advise_against_is_said() {
        let [a, b] = ["a.org", "b.org"].map(Authority::new);
        let with = |authority: &Authority, certificate: &[u8]| {
            let mut bundle = authority.bundle();
            bundle.add_x509_authority(X509Authority::parse(certificate).unwrap());
            bundle
        };
        let intermediate =
            RawCertificate::authority("intermediate", "root", a.key().public_key()).sign(a.key());
        for (what, bundles, want) in [
            ("X509-78 +, BUNDLE-02 +", [a.bundle(), b.bundle()], vec![]),
            (
                "X509-78 −",
                [with(&a, &intermediate), b.bundle()],
                vec![(
                    0,
                    "1 authority of a.org not self-signed: an intermediate serves as root",
                )],
            ),
            (
                "BUNDLE-02 −",
                [a.bundle(), with(&b, a.certificate())],
                vec![(
                    1,
                    "b.org and a.org have a key in common: whoever holds it speaks for both",
                )],
            ),
        ] {
            let found = odd(&bundles.each_ref());
            let found: Vec<_> = found.iter().map(|odd| (odd.bundle, &*odd.what)).collect();
            assert_eq!(found, want, "{what}");
        }
    }
}
