//! Every rule that binds who issues JWT-SVIDs, with `jsonwebtoken` as the judge of what was minted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod house;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use house::{ID, NOW, id, key, now, trust_domain, unix};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use plastron_id::{SpiffeId, TrustDomain};
use plastron_keys::{Jwk, JwsAlgorithm, KeyType, PublicKey, SignatureAlgorithm, SigningKey};
use plastron_mint::{JwtIssuer, MintError};
use serde_json::{Value, json};

const AUDIENCE: &[&str] = &["spiffe://example.org/payments"];

#[test]
fn another_library_accepts_the_tokens_of_every_key_type() {
    let trust_domain = trust_domain();
    for (key_type, algorithm, jws) in [
        // JWT-05 +, JWT-07 +: the key decides.
        (KeyType::EcP256, Algorithm::ES256, JwsAlgorithm::Es256),
        (KeyType::EcP384, Algorithm::ES384, JwsAlgorithm::Es384),
        (KeyType::Rsa2048, Algorithm::RS256, JwsAlgorithm::Rs256),
        (KeyType::Rsa3072, Algorithm::RS256, JwsAlgorithm::Rs256),
        (KeyType::Rsa4096, Algorithm::RS256, JwsAlgorithm::Rs256),
    ] {
        let key = key(key_type, 0);
        let issuer = JwtIssuer::new(trust_domain.as_ref(), "key-1", key, None).unwrap();
        assert_eq!(issuer.algorithm(), jws);
        // JWT-08 +, JWT-37 +: many signatures, so that short numbers in `r` and `s` occur.
        for i in 0..if key_type == KeyType::EcP256 { 300 } else { 3 } {
            let minted = issuer
                .jwt_svid(&id(), AUDIENCE)
                .sign(&i.to_string(), now())
                .unwrap();
            let mut validation = Validation::new(algorithm);
            validation.set_audience(AUDIENCE);
            validation.validate_exp = false; // the tests do not live in 2027
            let decoded = jsonwebtoken::decode::<Value>(
                &minted.token,
                &decoding_key(key.public_key()),
                &validation,
            )
            .unwrap();
            assert_eq!(decoded.claims["sub"], ID);
            assert_eq!(decoded.header.kid.as_deref(), Some("key-1"));
        }
    }
    // JWT-05 −: EdDSA is none of the nine.
    let refused = JwtIssuer::new(
        trust_domain.as_ref(),
        "key-1",
        key(KeyType::Ed25519, 0),
        None,
    );
    assert_eq!(
        refused.unwrap_err(),
        MintError::JwtAlgorithm(SignatureAlgorithm::Ed25519)
    );
    let nameless = JwtIssuer::new(trust_domain.as_ref(), "", key(KeyType::EcP256, 0), None);
    assert_eq!(
        nameless.unwrap_err(),
        MintError::KeyId,
        "JWT-09 −: an empty kid"
    );
}

#[test]
fn header_and_claims_are_those_of_the_profile_and_no_others() {
    let trust_domain = trust_domain();
    let key = key(KeyType::EcP256, 0);
    for (key_id, issuer, audiences, jti) in [
        ("key-1", None, &["a"][..], "id"),
        (
            "key-1",
            Some("https://oidc.example.org/td"),
            &["a", "b"],
            "id",
        ),
        // What JSON must escape.
        (
            "k\"\\\u{1}é",
            Some("i\"ss"),
            &["a\"b\\c\n", "\u{7f}é\u{1f980}"],
            "j\"ti",
        ),
    ] {
        let token = JwtIssuer::new(trust_domain.as_ref(), key_id, key, issuer)
            .unwrap()
            .jwt_svid(&id(), audiences)
            .sign(jti, now())
            .unwrap()
            .token;
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3, "JWT-01 +, JWT-02 −, JWT-03 +: three parts");

        let header = object(parts[0]);
        assert_eq!(header["kid"], key_id, "JWT-09 +: the kid of the key");
        assert_eq!(header["typ"], "JWT", "JWT-12 +/−: typ is JWT");
        assert_eq!(
            header,
            json!({ "alg": "ES256", "kid": key_id, "typ": "JWT" }),
            "JWT-04 +/−: three members and no others"
        );

        let claims = object(parts[1]);
        assert_eq!(claims["sub"], ID, "JWT-17 +: the workload's ID");
        assert_eq!(
            claims["aud"],
            json!(audiences),
            "JWT-20 +, AMB-46 +: a list, be there one or more"
        );
        assert_eq!(claims["exp"], NOW + 300, "JWT-25 +: an end");
        assert_eq!(claims["iat"], NOW, "JWT-32 +: the moment of issue");
        assert_eq!(claims["jti"], jti, "JWT-33 +: a name of its own");
        let mut want = json!({
            "sub": ID, "aud": audiences, "exp": NOW + 300, "iat": NOW, "jti": jti,
        });
        if let Some(issuer) = issuer {
            want["iss"] = issuer.into();
        }
        assert_eq!(claims, want);

        let signature = Base64UrlUnpadded::decode_vec(parts[2]).unwrap();
        assert_eq!(signature.len(), 64, "JWT-08 +: `r‖s`");

        // JWT-16 +, JWT-36 +: no member twice.
        for part in &parts[..2] {
            members_are_unique(&Base64UrlUnpadded::decode_vec(part).unwrap());
        }
    }
}

#[test]
fn refuses_to_mint_what_no_token_may_say() {
    let trust_domain = trust_domain();
    let key = key(KeyType::EcP256, 0);
    let issuer = JwtIssuer::new(trust_domain.as_ref(), "key-1", key, None).unwrap();
    let mint = |id: &str, audiences: &[&str], lifetime, now: SystemTime| {
        let id: SpiffeId = id.parse().unwrap();
        issuer
            .jwt_svid(&id, audiences)
            .lifetime(lifetime)
            .sign("id", now)
            .unwrap_err()
    };
    let minutes = Duration::from_secs(300);
    for (got, want) in [
        // JWT-19 −
        (
            mint("spiffe://example.org", AUDIENCE, minutes, now()),
            MintError::NoPath,
        ),
        // SVID-12 −, JWT-17 −
        (
            mint("spiffe://other.org/a", AUDIENCE, minutes, now()),
            MintError::ForeignTrustDomain {
                asked: "other.org".parse::<TrustDomain>().unwrap(),
            },
        ),
        // JWT-20 −
        (mint(ID, &[], minutes, now()), MintError::Audience),
        (mint(ID, &[""], minutes, now()), MintError::Audience),
        (mint(ID, &["a", ""], minutes, now()), MintError::Audience),
        // JWT-25 −
        (
            mint(ID, AUDIENCE, Duration::ZERO, now()),
            MintError::NoLifetime,
        ),
        (
            mint(ID, AUDIENCE, minutes, SystemTime::UNIX_EPOCH - minutes),
            MintError::TimeOutOfRange,
        ),
    ] {
        assert_eq!(got, want);
    }
}

#[test]
fn tokens_end_with_their_lifetime_or_with_their_key() {
    let trust_domain = trust_domain();
    let key = key(KeyType::EcP256, 0);
    let issuer = JwtIssuer::new(trust_domain.as_ref(), "key-1", key, None)
        .unwrap()
        .not_after(unix(NOW + 1000));
    let mint = |millis, lifetime, limit| {
        issuer
            .jwt_svid(&id(), AUDIENCE)
            .lifetime(Duration::from_secs(lifetime))
            .not_after_limit(unix(limit))
            .sign("id", now() + Duration::from_millis(millis))
    };
    for (millis, lifetime, limit, want) in [
        (0, 300, u64::MAX, NOW + 300),
        // S-51: five minutes are 300 seconds, whenever it is signed.
        (1, 300, u64::MAX, NOW + 300),
        (999, 300, u64::MAX, NOW + 300),
        (0, 1, u64::MAX, NOW + 1),
        (999, 1, u64::MAX, NOW + 2),
        // JWT-28 +: not beyond its key, nor beyond what was set.
        (0, 3600, u64::MAX, NOW + 1000),
        (0, 300, NOW + 7, NOW + 7),
        (0, u64::MAX, u64::MAX, NOW + 1000),
    ] {
        let minted = mint(millis, lifetime, limit).unwrap();
        let claims = object(minted.token.split('.').nth(1).unwrap());
        // JWT-32 +: `iat` is not after now.
        assert_eq!(
            (&claims["iat"], &claims["exp"]),
            (&json!(NOW), &json!(want))
        );
        assert_eq!(
            (minted.issued_at, minted.expires_at),
            (unix(NOW), unix(want))
        );
    }
    // JWT-28 −
    let ended = MintError::Expired {
        not_after: unix(NOW + 1000),
    };
    assert_eq!(mint(1_000_000, 300, u64::MAX), Err(ended));
}

#[test]
fn tokens_do_not_show_in_debug() {
    let trust_domain = trust_domain();
    let key = key(KeyType::EcP256, 0);
    let issuer = JwtIssuer::new(trust_domain.as_ref(), "key-1", key, None).unwrap();
    let minted = issuer.jwt_svid(&id(), AUDIENCE).sign("id", now()).unwrap();
    // JWT-47 −, RS-15
    let shown = format!("{minted:?}");
    assert!(
        minted.token.split('.').all(|part| !shown.contains(part)),
        "{shown}"
    );
}

#[test]
fn long_tokens_are_whole() {
    // The pieces in which base64 is written join without a seam, whatever the length.
    let trust_domain = trust_domain();
    let key = key(KeyType::EcP256, 0);
    let issuer = JwtIssuer::new(trust_domain.as_ref(), "key-1", key, None).unwrap();
    for len in (500..3000).step_by(37).chain(690..720) {
        let audience = "a".repeat(len);
        let minted = issuer
            .jwt_svid(&id(), &[&audience])
            .sign("id", now())
            .unwrap();
        let claims = object(minted.token.split('.').nth(1).unwrap());
        assert_eq!(claims["aud"], json!([audience]));
    }
}

#[test]
fn a_signer_that_fails_mints_nothing() {
    #[derive(Debug)]
    struct Broken(PublicKey, Vec<u8>);
    impl SigningKey for Broken {
        fn algorithm(&self) -> SignatureAlgorithm {
            SignatureAlgorithm::EcdsaP256Sha256
        }
        fn public_key(&self) -> &PublicKey {
            &self.0
        }
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, plastron_keys::SignError> {
            if self.1.is_empty() {
                Err(plastron_keys::SignError)
            } else {
                Ok(self.1.clone())
            }
        }
    }
    let trust_domain = trust_domain();
    for signature in [vec![], vec![1, 2, 3]] {
        let broken = Broken(key(KeyType::EcP256, 0).public_key().clone(), signature);
        let issuer = JwtIssuer::new(trust_domain.as_ref(), "key-1", &broken, None).unwrap();
        let minted = issuer.jwt_svid(&id(), AUDIENCE).sign("id", now());
        assert_eq!(minted, Err(MintError::Sign(plastron_keys::SignError)));
    }
}

fn object(part: &str) -> Value {
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
}

fn members_are_unique(object: &[u8]) {
    let members: BTreeMap<String, Value> = serde_json::from_slice(object).unwrap();
    let text = std::str::from_utf8(object).unwrap();
    for name in members.keys() {
        assert_eq!(text.matches(&format!("\"{name}\":")).count(), 1, "{name}");
    }
}

fn decoding_key(key: &PublicKey) -> DecodingKey {
    match key.jwk() {
        Jwk::Ec { x, y, .. } => DecodingKey::from_ec_components(&x, &y).unwrap(),
        Jwk::Rsa { n, e } => DecodingKey::from_rsa_components(&n, &e).unwrap(),
        Jwk::Okp { x, .. } => DecodingKey::from_ed_components(&x).unwrap(),
    }
}
