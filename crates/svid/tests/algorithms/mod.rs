//! The sets of algorithms that SVIDs are verified with here: both of ours, and that of a provider of `rustls`.

use std::fmt::Debug;

use pki_types::SignatureVerificationAlgorithm;
use plastron_keys::rust_crypto;
use rustls::crypto::aws_lc_rs;

pub(crate) type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

/// What a judge says with each of the sets, which must be the same.
pub(crate) fn with_each<T: Debug + PartialEq>(judge: impl Fn(Algorithms) -> T) -> T {
    let verdict = judge(plastron_keys_aws_lc::ALGORITHMS);
    let provider = aws_lc_rs::default_provider();
    for (name, set) in [
        ("RustCrypto", rust_crypto::ALGORITHMS),
        ("rustls", provider.signature_verification_algorithms.all),
    ] {
        assert_eq!(judge(set), verdict, "{name} beside AWS-LC");
    }
    verdict
}
