//! Each field of a chain, changed to any value that it must not have, is refused with the error about that field, whatever the
//! types of the keys.

use std::sync::LazyLock;

use plastron_bundle::certificate::CertificateError;
use plastron_keys::{KeyBackend as _, KeyType, PrivateKey};
use plastron_svid::{LeafError, PathError, VerifyError, X509Verifier};
use plastron_testing::BACKEND;
use plastron_testing::raw_certificate::{Extension, RawCertificate, der, general_name as gn, name};
use proptest::prelude::*;

use crate::algorithms::with_each;
use crate::fixture::{ID, NOW, bundle};

/// Keys of one type, for root, intermediate and leaf.
static KEYS: LazyLock<[[Box<dyn PrivateKey>; 3]; 5]> = LazyLock::new(|| {
    let three = |key_type| [0; 3].map(|_| BACKEND.generate(key_type).unwrap());
    let p521 = [0; 3].map(|_| {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
        BACKEND.from_pkcs8(key.serialized_der()).unwrap()
    });
    [
        three(KeyType::EcP256),
        three(KeyType::EcP384),
        p521,
        three(KeyType::Ed25519),
        three(KeyType::Rsa2048),
    ]
});

/// Root, intermediate and leaf before they are signed, and a bit of the signature of one of them that is wrong.
struct Parts {
    certificates: [RawCertificate; 3],
    wrong_bit: Option<(usize, usize)>,
}

const ROOT: usize = 0;
const CA: usize = 1;
const LEAF: usize = 2;

fn verify(keys: &[Box<dyn PrivateKey>; 3], mutation: Option<&Mutation>) -> Result<(), VerifyError> {
    let mut parts = Parts {
        certificates: [
            RawCertificate::authority("root", "root", keys[ROOT].public_key()),
            RawCertificate::authority("ca", "root", keys[CA].public_key()),
            RawCertificate::leaf(ID, "ca", keys[LEAF].public_key()),
        ],
        wrong_bit: None,
    };
    if let Some(mutation) = mutation {
        mutation.apply(&mut parts);
    }
    let mut signed = [(ROOT, ROOT), (CA, ROOT), (LEAF, CA)]
        .map(|(what, by)| parts.certificates[what].sign(&*keys[by]));
    if let Some((what, bit)) = parts.wrong_bit {
        let len = keys[usize::from(what == LEAF)].sign(b"").unwrap().len() - 8;
        let certificate = &mut signed[what];
        let at = certificate.len() - 1 - bit / 8 % len;
        certificate[at] ^= 1 << (bit % 8);
    }
    let [root, ca, leaf] = signed;
    let bundle = bundle(&[root]);
    with_each(|algorithms| {
        X509Verifier::new(algorithms)
            .verify(&[&leaf, &ca], &bundle, NOW)
            .map(|_| ())
    })
}

/// A field, and a value that it must not have.
#[derive(Clone, Debug)]
enum Mutation {
    /// The certificate of that place ended then.
    Ended(usize, String),
    /// It begins then.
    Begins(usize, String),
    Uri(String),
    /// So many URIs besides the right one.
    MoreUris(usize),
    TrustDomain(String),
    KeyUsage(usize, Vec<u8>),
    ExtendedKeyUsage(usize, Vec<u8>),
    /// The leaf is a CA, or the intermediate is none.
    WrongCa(usize),
    PathLength,
    Issuer(usize, String),
    /// A bit of the signature.
    Signature(usize, usize),
    /// A serial number of so many bytes.
    Serial(usize, usize),
    Version(usize, u8),
    Critical(usize),
    /// What the intermediate does not permit.
    Excluded(String),
}

impl Mutation {
    fn apply(&self, parts: &mut Parts) {
        let mut change =
            |at: usize, change: &dyn Fn(&mut RawCertificate)| change(&mut parts.certificates[at]);
        let extend = |at: usize, extension: Extension| {
            (at, move |certificate: &mut RawCertificate| {
                *certificate = certificate.clone().with(vec![extension.clone()]);
            })
        };
        let (at, extend) = match self {
            Self::Ended(at, time) => return change(*at, &|c| c.not_after = der(0x17, time)),
            Self::Begins(at, time) => return change(*at, &|c| c.not_before = der(0x17, time)),
            Self::Issuer(at, other) => return change(*at, &|c| c.issuer = name(other)),
            Self::Serial(at, len) => return change(*at, &|c| c.serial = der(2, vec![1; *len])),
            Self::Version(at, version) => {
                return change(*at, &|c| c.version = vec![0xa0, 3, 2, 1, *version]);
            }
            Self::Signature(at, bit) => {
                parts.wrong_bit = Some((*at, *bit));
                return;
            }
            Self::Uri(uri) => extend(LEAF, Extension::subject_alt_name(&[gn::uri(uri)])),
            Self::MoreUris(count) => extend(
                LEAF,
                Extension::subject_alt_name(&vec![gn::uri(ID); count + 1]),
            ),
            Self::TrustDomain(name) => extend(
                LEAF,
                Extension::subject_alt_name(&[gn::uri(format!("spiffe://{name}/a"))]),
            ),
            Self::KeyUsage(at, bits) => extend(*at, Extension::key_usage(bits)),
            Self::ExtendedKeyUsage(at, purposes) => {
                extend(*at, Extension::extended_key_usage(purposes))
            }
            Self::WrongCa(at) => extend(*at, Extension::basic_constraints(*at == LEAF, None)),
            Self::PathLength => extend(ROOT, Extension::basic_constraints(true, Some(0))),
            Self::Critical(at) => extend(*at, Extension::unknown(true)),
            Self::Excluded(name) => extend(CA, Extension::name_constraints(&[gn::uri(name)], &[])),
        };
        change(at, &extend);
    }

    /// Whether that is the error about it.
    fn is_named_by(&self, error: &VerifyError) -> bool {
        use VerifyError::{Certificate, Expired, Leaf, NotYetValid, UnknownTrustDomain, Untrusted};
        match (self, error) {
            (Self::Ended(LEAF, _), Expired { .. })
            | (
                Self::Ended(CA, _) | Self::Begins(CA, _),
                Untrusted(PathError::IntermediateValidity),
            )
            | (
                Self::Ended(ROOT, _) | Self::Begins(ROOT, _),
                Untrusted(PathError::AuthorityValidity),
            )
            | (Self::Begins(LEAF, _), NotYetValid { .. })
            | (Self::Uri(_), Leaf(LeafError::SpiffeId(_)))
            | (Self::TrustDomain(_), UnknownTrustDomain(_))
            | (Self::ExtendedKeyUsage(LEAF, _), Leaf(LeafError::ExtendedKeyUsage { .. }))
            | (Self::ExtendedKeyUsage(..), Untrusted(PathError::ExtendedKeyUsage))
            | (Self::KeyUsage(CA, _), Untrusted(PathError::KeyUsage))
            | (Self::WrongCa(LEAF), Leaf(LeafError::Ca))
            | (Self::WrongCa(_), Untrusted(PathError::NotCa))
            | (Self::PathLength, Untrusted(PathError::PathLength))
            | (Self::Issuer(..), Untrusted(PathError::UnknownIssuer))
            | (Self::Signature(..), Untrusted(PathError::Signature))
            | (Self::Critical(LEAF), Leaf(LeafError::UnknownCriticalExtension))
            | (Self::Critical(_), Untrusted(PathError::UnknownCriticalExtension))
            | (Self::Excluded(_), Untrusted(PathError::NameConstraints(_))) => true,
            (Self::MoreUris(more), Leaf(LeafError::UriSanCount { count })) => *count == more + 1,
            (Self::KeyUsage(LEAF, bits), Leaf(error)) => match error {
                LeafError::KeyUsageSigning => bits.iter().any(|bit| [5, 6].contains(bit)),
                LeafError::KeyUsageDigitalSignature => !bits.contains(&0),
                _ => false,
            },
            (
                Self::Serial(at, _),
                Certificate {
                    index,
                    error: CertificateError::SerialTooLong,
                },
            )
            | (
                Self::Version(at, _),
                Certificate {
                    index,
                    error: CertificateError::Version,
                },
            ) => *index == LEAF - at,
            _ => false,
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let time = |years: std::ops::Range<u32>| {
        (years, 1..13u32, 1..29u32, 0..24u32, 0..60u32, 0..60u32).prop_map(
            |(year, month, day, hour, minute, second)| {
                format!("{year:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z")
            },
        )
    };
    let any_certificate = || prop::sample::select(&[ROOT, CA, LEAF][..]);
    let presented = || prop::sample::select(&[CA, LEAF][..]);
    let label = "[a-z0-9]{1,20}";
    prop_oneof![
        (any_certificate(), time(1..25)).prop_map(|(at, time)| Mutation::Ended(at, time)),
        (any_certificate(), time(26..50)).prop_map(|(at, time)| Mutation::Begins(at, time)),
        "(https://td\\.example/a|spiffe://[A-Z]{1,5}/a|spiffe://td\\.example/(|a/|\\.\\.|[%?#:]{1,3}))"
            .prop_map(Mutation::Uri),
        (1..9usize).prop_map(Mutation::MoreUris),
        label.prop_map(|label| Mutation::TrustDomain(format!("{label}.other"))),
        // None that a leaf may have, and none that lets a CA sign certificates.
        prop::collection::vec(prop::sample::select(&[1u8, 2, 3, 4, 5, 6][..]), 1..4)
            .prop_map(|bits| Mutation::KeyUsage(LEAF, bits)),
        prop::collection::vec(prop::sample::select(&[0u8, 1, 2, 3, 4, 6][..]), 1..4)
            .prop_map(|bits| Mutation::KeyUsage(CA, bits)),
        // One of both roles is always missing.
        (
            any_certificate(),
            prop::sample::select(&[1u8, 2][..]),
            prop::collection::vec(3..20u8, 0..4)
        )
            .prop_map(|(at, one, others)| Mutation::ExtendedKeyUsage(
                at,
                [vec![one], others].concat()
            )),
        presented().prop_map(Mutation::WrongCa),
        Just(Mutation::PathLength),
        (presented(), "x[a-z]{1,20}").prop_map(|(at, name)| Mutation::Issuer(at, name)),
        (presented(), any::<usize>()).prop_map(|(at, bit)| Mutation::Signature(at, bit)),
        (presented(), 21..60usize).prop_map(|(at, len)| Mutation::Serial(at, len)),
        (presented(), prop::sample::select(&[0u8, 1, 3, 4][..]))
            .prop_map(|(at, version)| Mutation::Version(at, version)),
        any_certificate().prop_map(Mutation::Critical),
        label.prop_map(|label| Mutation::Excluded(format!("{label}.other"))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_mutated_field_is_refused_with_the_error_about_it(keys in 0..5usize, mutation in mutation()) {
        let verdict = verify(&KEYS[keys], Some(&mutation));
        let is_named = verdict.as_ref().is_err_and(|error| mutation.is_named_by(error));
        prop_assert!(is_named, "{verdict:?}");
    }
}

#[test]
fn without_a_mutation_every_type_of_key_is_accepted() {
    for keys in &*KEYS {
        // X509-47 +
        assert_eq!(verify(keys, None), Ok(()), "{:?}", keys[ROOT].public_key());
    }
}
