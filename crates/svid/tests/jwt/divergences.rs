//! Where our verifier and others differ, each time with the rule that makes the difference.
//!
//! The fuzz target `differential_jwt` has this file too.

use crate::difference::{ACCEPTED, Difference, stricter};

/// What only we accept.
const fn laxer(theirs: &'static str, why: &'static str) -> Difference {
    let ours = ACCEPTED;
    Difference { ours, theirs, why }
}

/// Against `jsonwebtoken` 11.
pub(crate) const JSONWEBTOKEN: &[Difference] = &[
    stricter("JWT-13", "it takes any typ"),
    stricter("JWT-14", "it passes crit over"),
    stricter("JWT-15", "it passes over keys that the token brings along"),
    stricter(
        "JWT-16",
        "it passes over members that come twice and that it does not know",
    ),
    stricter("JWT-18", "it reads no SPIFFE IDs"),
    stricter("JWT-19", "it reads no SPIFFE IDs"),
    stricter(
        "JWT-36",
        "it keeps the last of claims that come twice, and reads deeper",
    ),
    stricter(
        "JWT-38",
        "it knows no trust domains, and takes any key given",
    ),
    stricter(
        "AMB-22",
        "it passes over members that change what a token means",
    ),
    laxer("Json", "JWT-05: it has no ES512"),
    laxer(
        "InvalidClaimFormat nbf",
        "JWT-30: a nbf before 1970 has come",
    ),
    laxer(
        "MissingRequiredClaim exp",
        "JWT-26: an exp beyond 64 bits is a number",
    ),
];

/// Against `spiffe` 0.19.
pub(crate) const SPIFFE: &[Difference] = &[
    stricter(
        "JWT-18",
        "AMB-01: it folds upper case, which we refuse in a token",
    ),
    stricter(
        "JWT-19",
        "AMB-06: it takes a trust domain itself as the subject",
    ),
    stricter(
        "JWT-36",
        "it reads deeper, and does not look inside what it does not know",
    ),
    laxer(
        "InvalidJoseHeader",
        "AMB-22: members that mean nothing here are passed over",
    ),
    laxer("BackendUnsupportedAlgorithm", "JWT-05: it has no ES512"),
    laxer(
        "InvalidJson",
        "JWT-26: an exp may have a fraction, and any size",
    ),
    laxer("InvalidExpiration", "JWT-26: an exp may have any size"),
    laxer(
        "InvalidNotBefore",
        "JWT-30: a nbf may be finer than a nanosecond",
    ),
];
