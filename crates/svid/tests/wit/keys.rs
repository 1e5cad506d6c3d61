//! Whose key verifies a token.

use plastron_bundle::{Bundle, BundleSet, JwtAuthority};
use plastron_keys::{JwsAlgorithm, SigningKey as _};
use plastron_svid::{WitError, WorkloadProof};
use serde_json::json;

use crate::fixture::*;

fn verify_under(bundles: &BundleSet, token: &str) -> Result<String, WitError> {
    let proof = proof_of(token);
    verifier()
        .verify(
            token,
            &WorkloadProof::new(&proof, &[AUDIENCE]),
            bundles,
            at(NOW),
        )
        .map(|svid| name(&svid))
}

#[test]
fn keys_are_those_of_the_subjects_trust_domain_and_of_its_wit_authorities() {
    let token = with_claims(claims());
    let own = || bundle_of("td.example", &[("p256", KEYS.p256.public_key())]);
    let other = || bundle_of("other.example", &[("p256", KEYS.p256.public_key())]);
    let impostor = bundle_of("td.example", &[("p256", KEYS.other.public_key())]);
    let mut jwt_only = Bundle::new("td.example".parse().unwrap());
    jwt_only
        .add_jwt_authority(JwtAuthority::new("p256", KEYS.p256.public_key().clone()).unwrap())
        .unwrap();
    let td = || "td.example".parse().unwrap();
    for (rule, bundles, want) in [
        ("WIT-41 +", vec![own(), other()], accepted()),
        (
            "WIT-41 −: another domain's",
            vec![other()],
            Err(WitError::UnknownTrustDomain(td())),
        ),
        (
            "WIT-41 −: another domain's under the same name",
            vec![impostor, other()],
            Err(WitError::Signature),
        ),
        (
            "WIT-45 −, WIT-46 −, BUNDLE-32 −: the same key for JWT-SVIDs",
            vec![jwt_only, other()],
            Err(WitError::NoAuthorities(td())),
        ),
    ] {
        let bundles: BundleSet = bundles.into_iter().collect();
        assert_eq!(verify_under(&bundles, &token), want, "{rule}");
    }
    let foreign = with(claims(), "iss", json!("https://keys.example"));
    let bundles: BundleSet = [other()].into_iter().collect();
    assert_eq!(
        verify_under(&bundles, &with_claims(foreign.clone())),
        Err(WitError::UnknownTrustDomain(td())),
        "WIT-48 −: keys from where `iss` points"
    );
    let bundles: BundleSet = [own()].into_iter().collect();
    assert_eq!(
        verify_under(&bundles, &with_claims(foreign)),
        accepted(),
        "WIT-48 +: keys of the bundle, whatever `iss` says"
    );
}

#[test]
fn each_key_signs_with_its_algorithms_and_no_others() {
    for algorithm in JwsAlgorithm::ALL {
        let signer = Signer(algorithm);
        for said in JwsAlgorithm::ALL {
            let header = json!({ "alg": said.as_str(), "kid": signer.key_id(), "typ": "wit+jwt" });
            let token = sign(&header.to_string(), claims(), &signer);
            let want = match said {
                said if said == algorithm => accepted(),
                said if said.suits(signer.public_key().kind()) => Err(WitError::Signature),
                _ => Err(WitError::WrongKey),
            };
            // WIT-07 +, JWT-07 −
            assert_eq!(verify(&token), want, "{algorithm} said to be {said}");
        }
    }
}
