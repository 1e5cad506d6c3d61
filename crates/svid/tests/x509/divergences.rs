//! Where our verifier and others differ, each time with the rule that makes the difference.
//!
//! The fuzz target `differential_x509` has this file too.

use plastron_bundle::certificate::{Certificate, GeneralName};

use crate::difference::{ACCEPTED, Difference, stricter};

/// Against `rustls-webpki` 0.103 (RS-04).
pub(crate) const WEBPKI: &[Difference] = &[
    stricter("X509-02", "it counts no URIs"),
    stricter("X509-03", "it wants no URI"),
    stricter("X509-04", "it reads no SPIFFE IDs"),
    stricter("X509-10", "it reads no SPIFFE IDs"),
    stricter(
        "X509-66",
        "it knows no trust domains, and takes any anchor given",
    ),
    stricter("AMB-10", "it reads no key usage"),
    stricter("X509-39", "it reads no key usage, whatever it holds"),
    stricter("X509-56", "it reads no key usage"),
    stricter("X509-63", "it reads no key usage"),
    stricter("X509-65", "it reads no key usage"),
    stricter("X509-25", "it does not mind name constraints on a leaf"),
    stricter(
        "above the leaf: X509-25",
        "it takes constraints that constrain nothing",
    ),
    stricter(
        "X509-48",
        "it does not look at the key of a leaf, which the handshake will use",
    ),
    stricter("X509-42", "serial numbers may be longer, since some are"),
    stricter("X509-51", "a serial number may have no bytes"),
    stricter("AMB-12", "an anchor is a name and a key, without validity"),
    stricter(
        "X509-23",
        "an anchor is a name and a key, without path length",
    ),
    stricter("X509-38", "an anchor is a name and a key, without purposes"),
    stricter(
        "X509-58",
        "an anchor is a name and a key, without extensions",
    ),
    stricter("X509-06", "it reads names only where it looks for one"),
    stricter(
        "above the leaf: X509-06",
        "it reads names only where it looks for one",
    ),
    stricter("above the leaf: X509-51", "it reads no key identifiers"),
    stricter(
        "above the leaf: X509-39",
        "it reads no key usage, whatever it holds",
    ),
    stricter(
        "authority: X509-06",
        "an anchor is a name and a key, without extensions",
    ),
    stricter(
        "authority: X509-21",
        "an anchor is a name and a key, without extensions",
    ),
    stricter(
        "authority: X509-39",
        "an anchor is a name and a key, without extensions",
    ),
    stricter(
        "authority: X509-42",
        "an anchor is a name and a key, without a serial number",
    ),
    stricter(
        "authority: X509-43",
        "an anchor is a name and a key, without validity",
    ),
    stricter(
        "authority: X509-51",
        "an anchor is a name and a key; the rest is passed over unread",
    ),
    stricter("authority: AMB-13", "an anchor need be no CA"),
    stricter(
        "authority: X509-11",
        "an anchor need not say what it may do",
    ),
    Difference {
        ours: ACCEPTED,
        theirs: "NameConstraintViolation",
        why: "X509-26: constraints on URIs and directory names are judged; it refuses each of them",
    },
    Difference {
        ours: ACCEPTED,
        theirs: "BadDerTime",
        why: "X509-43: a time before 1970 is one, long gone; it knows none",
    },
];

/// Against the reader of one's own SVID in `spiffe` 0.19, which verifies nothing.
pub(crate) const SPIFFE: &[Difference] = &[
    stricter(
        "X509-04",
        "AMB-01: it folds upper case, which we refuse in a certificate",
    ),
    stricter(
        "X509-06",
        "it reads the names of a leaf alone, and under other tags too",
    ),
    stricter(
        "X509-21",
        "it takes basic constraints under other tags, and other values for true",
    ),
    stricter("X509-25", "it does not read name constraints"),
    stricter("X509-37", "it does not read extended key usage"),
    stricter("X509-39", "it takes extended key usage of nothing"),
    stricter("X509-41", "it takes certificates of versions 1, 2 and 4"),
    stricter("X509-42", "it takes serial numbers of any length"),
    stricter("X509-43", "it takes times without seconds, and with a zone"),
    stricter(
        "X509-45",
        "it takes one algorithm inside and another one outside",
    ),
    stricter("X509-48", "it takes keys of any kind"),
    stricter("X509-51", "it takes a serial number of no bytes"),
    stricter("X509-58", "it takes critical extensions that nobody knows"),
    stricter(
        "X509-71: other key",
        "it does not compare the key with that of the leaf",
    ),
    Difference {
        ours: ACCEPTED,
        theirs: "Certificate",
        why: "X509-20: a leaf may be without basic constraints; it wants to see them",
    },
];

/// Whether one of these certificates has what `rustls-webpki` refuses by this row and we do not.
pub(crate) fn has_reason(row: &Difference, certificates: &[&[u8]]) -> bool {
    let mut certificates = certificates
        .iter()
        .filter_map(|der| Certificate::parse(der).ok());
    match row.theirs {
        "NameConstraintViolation" => {
            certificates.any(|one| constrains_what_it_does_not_judge(&one))
        }
        "BadDerTime" => certificates.any(|one| {
            let times = [one.not_before(), one.not_after()];
            times.iter().any(|time| time.as_secs() == 0)
        }),
        _ => false,
    }
}

/// Names of a kind that are always refused when they are constrained.
fn constrains_what_it_does_not_judge(certificate: &Certificate<'_>) -> bool {
    let Some(constraints) = certificate.name_constraints() else {
        return false;
    };
    constraints
        .permitted()
        .chain(constraints.excluded())
        .any(|base| !matches!(base, GeneralName::Dns(_) | GeneralName::Ip(_)))
}
