//! Every rule that binds who issues WIT-SVIDs, and who signs their proofs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod house;

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use house::{ID, NOW, id, key, now, trust_domain, unix};
use plastron_keys::{JwsAlgorithm, KeyType, PublicKeyKind, SignatureAlgorithm};
use plastron_mint::{MintError, WitIssuer, WorkloadProofRequest};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

fn parts(token: &str) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    // WIT-01 +
    assert_eq!(parts.len(), 3);
    let object = |part| serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).unwrap());
    (object(parts[0]).unwrap(), object(parts[1]).unwrap())
}

#[test]
fn header_and_claims_are_those_of_the_profile_and_no_others() {
    let trust_domain = trust_domain();
    for (key_type, alg) in [
        (KeyType::EcP256, "ES256"),
        (KeyType::EcP384, "ES384"),
        (KeyType::Rsa2048, "RS256"),
    ] {
        let (issuer_key, own) = (key(key_type, 0), key(key_type, 1));
        let issuer = WitIssuer::new(trust_domain.as_ref(), "k\"1", issuer_key).unwrap();
        assert_eq!(issuer.algorithm().as_str(), alg);
        let minted = issuer
            .wit_svid(&id(), own.public_key())
            .sign("id", now())
            .unwrap();
        let (header, claims) = parts(&minted.token);
        assert_eq!(header["kid"], "k\"1", "WIT-02 +: the kid of the key");
        assert_eq!(header["typ"], "wit+jwt", "WIT-05 +: typ");
        assert_eq!(header["alg"], alg, "WIT-06 +: one of the nine");
        assert_eq!(
            header,
            json!({ "alg": alg, "kid": "k\"1", "typ": "wit+jwt" }),
            "WIT-08 −: three members and no others"
        );
        let jwk = own.public_key().jwk();
        let mut cnf: Value = jwk
            .members()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        cnf["alg"] = json!(alg);
        assert_eq!(
            claims["cnf"],
            json!({ "jwk": cnf }),
            "WIT-11 +, WIT-12 +, WIT-13 +: the workload's public key, with its algorithm"
        );
        assert_eq!(claims["sub"], ID, "WIT-10 +: the workload's ID");
        assert_eq!(
            claims["exp"],
            NOW + 3600,
            "WIT-17 +, WIT-30 +: ends in an hour"
        );
        assert_eq!(claims["jti"], "id", "WIT-15 +: a name of its own");
        assert_eq!(claims["iat"], NOW, "WIT-22 +: the moment of issue");
        assert_eq!(claims.get("aud"), None, "WIT-26 +/−: no audience");
        assert_eq!(
            claims.get("iss"),
            None,
            "WIT-24 +, WIT-25 +: no issuer that OpenID Connect could look for"
        );
        assert_eq!(
            claims.get("nbf"),
            None,
            "WIT-19 +: valid from the moment of issue on"
        );
        assert_eq!(
            claims,
            json!({ "sub": ID, "exp": NOW + 3600, "iat": NOW, "jti": "id", "cnf": { "jwk": cnf } }),
            "WIT-31 +/−: all that has to be there, and nothing else"
        );
        assert_eq!(
            (minted.issued_at, minted.expires_at),
            (unix(NOW), unix(NOW + 3600))
        );
    }
}

#[test]
fn refuses_to_mint_what_no_token_may_say() {
    let trust_domain = trust_domain();
    let (p256, p384, ed25519) = (
        key(KeyType::EcP256, 0),
        key(KeyType::EcP384, 0),
        key(KeyType::Ed25519, 0),
    );
    let issuer = WitIssuer::new(trust_domain.as_ref(), "key-1", p256)
        .unwrap()
        .not_after(unix(NOW + 1000));
    let foreign = "spiffe://other.org/a".parse().unwrap();
    let bare = "spiffe://example.org".parse().unwrap();
    let own = id();
    let mint = |id, key: &dyn plastron_keys::SigningKey| {
        let request = issuer.wit_svid(id, key.public_key());
        request.sign("id", now()).unwrap_err()
    };
    // AMB-06 −
    assert_eq!(mint(&bare, p256), MintError::NoPath);
    // SVID-12 −
    assert!(matches!(
        mint(&foreign, p256),
        MintError::ForeignTrustDomain { .. }
    ));
    // WIT-12 −: no proof can be signed with it.
    let no_proof = |kind| MintError::ProofAlgorithm(kind);
    assert_eq!(mint(&own, ed25519), no_proof(PublicKeyKind::Ed25519));
    // WIT-14 −
    let mismatch = issuer
        .wit_svid(&own, p384.public_key())
        .proof_algorithm(JwsAlgorithm::Es256)
        .sign("id", now());
    assert_eq!(mismatch.unwrap_err(), no_proof(PublicKeyKind::EcP384));
    // WIT-06 −
    assert_eq!(
        WitIssuer::new(trust_domain.as_ref(), "key-1", ed25519).unwrap_err(),
        MintError::WitAlgorithm(SignatureAlgorithm::Ed25519)
    );
    // WIT-02 −
    assert_eq!(
        WitIssuer::new(trust_domain.as_ref(), "", p256).unwrap_err(),
        MintError::KeyId
    );
    // WIT-30 −: not beyond its key.
    let minted = issuer.wit_svid(&own, p256.public_key()).sign("id", now());
    assert_eq!(minted.unwrap().expires_at, unix(NOW + 1000));
    let late = issuer
        .wit_svid(&own, p256.public_key())
        .not_after_limit(unix(NOW))
        .sign("id", now());
    assert_eq!(
        late.unwrap_err(),
        MintError::Expired {
            not_after: unix(NOW)
        }
    );
    // WIT-17 −
    let none = issuer
        .wit_svid(&own, p256.public_key())
        .lifetime(Duration::ZERO)
        .sign("id", now());
    assert_eq!(none.unwrap_err(), MintError::NoLifetime);
}

#[test]
fn proofs_say_what_they_are_of() {
    let own = key(KeyType::EcP256, 0);
    let hash = |text: &str| Base64UrlUnpadded::encode_string(&Sha256::digest(text));
    let proof = WorkloadProofRequest::new("a.b.c", own, "https://payments.example").unwrap();
    let minted = proof.sign("id", now()).unwrap();
    let (header, claims) = parts(&minted.token);
    // WIT-51 +
    assert_eq!(header, json!({ "alg": "ES256", "typ": "wpt+jwt" }));
    let bare = json!({
        "aud": "https://payments.example", "exp": NOW + 10, "jti": "id", "wth": hash("a.b.c"),
    });
    assert_eq!(claims, bare, "WIT-37 +: ten seconds");
    let full = proof
        .access_token("access")
        .transaction_token("transaction")
        .other_tokens(&[("x", "1"), ("y\"", "2")])
        .lifetime(Duration::from_secs(2))
        .sign("id", now())
        .unwrap();
    let mut want = bare;
    want["exp"] = json!(NOW + 2);
    want["ath"] = json!(hash("access"));
    want["tth"] = json!(hash("transaction"));
    want["oth"] = json!({ "x": hash("1"), "y\"": hash("2") });
    assert_eq!(parts(&full.token).1, want, "WIT-51 +");
    let shown = format!("{full:?}");
    assert!(!shown.contains(full.token.split('.').next().unwrap()));
}

#[test]
fn refuses_to_sign_proofs_that_nobody_accepts() {
    let own = key(KeyType::EcP256, 0);
    let new = |audience| WorkloadProofRequest::new("a.b.c", own, audience).unwrap();
    // WIT-51 −
    assert_eq!(new("").sign("id", now()).unwrap_err(), MintError::Audience);
    assert_eq!(new("x").sign("", now()).unwrap_err(), MintError::TokenId);
    // WIT-37 −
    let endless = new("x").lifetime(Duration::ZERO).sign("id", now());
    assert_eq!(endless.unwrap_err(), MintError::NoLifetime);
    let ed25519 = WorkloadProofRequest::new("a.b.c", key(KeyType::Ed25519, 0), "x");
    assert_eq!(
        ed25519.unwrap_err(),
        MintError::WitAlgorithm(SignatureAlgorithm::Ed25519)
    );
}
