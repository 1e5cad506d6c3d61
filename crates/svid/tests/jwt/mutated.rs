//! Each member of a token, changed to any value that it must not have, is refused with the error about that member, whatever the
//! type of the key.

use plastron_keys::PrivateKey;
use plastron_svid::JwtError;
use proptest::prelude::*;

use crate::fixture::*;

/// The keys, with their algorithms and names.
fn keys() -> [(&'static str, &'static str, &'static dyn PrivateKey); 4] {
    [
        ("ES256", "p256", &*KEYS.p256),
        ("ES384", "p384", &*KEYS.p384),
        ("ES512", "p521", &*KEYS.p521),
        ("RS256", "rsa", &*KEYS.rsa),
    ]
}

/// A member, and a value that it must not have.
#[derive(Clone, Debug)]
enum Mutation {
    Alg(String),
    Typ(String),
    KeyId(String),
    /// A header member that must not be there.
    Header(&'static str),
    Sub(String),
    TrustDomain(String),
    NoPath,
    Aud(Vec<String>),
    /// `aud` as JSON that is no text, and no list of texts.
    NoAud(&'static str),
    /// `exp` so many seconds ago.
    Expired(u64),
    NoExp(&'static str),
    /// `nbf` in so many seconds.
    NotYet(u64),
    NoNbf(&'static str),
    /// A bit of the signature.
    Signature(usize),
    /// A member twice: of the header, or of the claims.
    Twice(bool, String),
}

fn token((alg, kid, key): (&str, &str, &dyn PrivateKey), mutation: Option<&Mutation>) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let (mut alg, mut kid, mut typ) = (text(alg), text(kid), r#""JWT""#.to_owned());
    let (mut sub, mut aud) = (text(ID), format!("[\"{AUDIENCE}\"]"));
    let (mut exp, mut nbf) = ((NOW + 300).to_string(), NOW.to_string());
    let (mut more_header, mut more_claims) = (String::new(), String::new());
    match mutation {
        None | Some(Mutation::Signature(_)) => (),
        Some(Mutation::Alg(other)) => alg = text(other),
        Some(Mutation::Typ(other)) => typ = text(other),
        Some(Mutation::KeyId(other)) => kid = text(other),
        Some(Mutation::Header(name)) => more_header = format!(",\"{name}\":1"),
        Some(Mutation::Sub(other)) => sub = text(other),
        Some(Mutation::TrustDomain(name)) => sub = text(&format!("spiffe://{name}/a")),
        Some(Mutation::NoPath) => sub = text("spiffe://td.example"),
        Some(Mutation::Aud(others)) => aud = serde_json::Value::from(others.clone()).to_string(),
        Some(Mutation::NoAud(json)) => aud = (*json).to_owned(),
        Some(Mutation::Expired(ago)) => exp = (NOW - ago).to_string(),
        Some(Mutation::NoExp(json)) => exp = (*json).to_owned(),
        Some(Mutation::NotYet(after)) => nbf = (NOW + after).to_string(),
        Some(Mutation::NoNbf(json)) => nbf = (*json).to_owned(),
        Some(Mutation::Twice(true, name)) => more_header = format!(",\"{name}\":1,\"{name}\":1"),
        Some(Mutation::Twice(false, name)) => more_claims = format!(",\"{name}\":1,\"{name}\":1"),
    }
    let header = format!(r#"{{"alg":{alg},"kid":{kid},"typ":{typ}{more_header}}}"#);
    let claims = format!(r#"{{"sub":{sub},"aud":{aud},"exp":{exp},"nbf":{nbf}{more_claims}}}"#);
    let token = sign(&header, claims, key);
    let Some(Mutation::Signature(bit)) = mutation else {
        return token;
    };
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = Base64UrlUnpadded::decode_vec(signature).unwrap();
    let bit = bit % (signature.len() * 8);
    signature[bit / 8] ^= 1 << (bit % 8);
    format!("{signed}.{}", encode(signature))
}

/// Whether that is the error about it.
fn is_named_by(mutation: &Mutation, error: &JwtError) -> bool {
    match (mutation, error) {
        (Mutation::Alg(_), JwtError::Algorithm)
        | (Mutation::Typ(_), JwtError::Type)
        | (Mutation::KeyId(_), JwtError::UnknownKey { .. })
        | (Mutation::Sub(_), JwtError::Subject(_))
        | (Mutation::TrustDomain(_), JwtError::UnknownTrustDomain(_))
        | (Mutation::NoPath, JwtError::SubjectWithoutPath)
        | (Mutation::Aud(_), JwtError::Audience)
        | (Mutation::NoAud(_), JwtError::AudienceMissing)
        | (Mutation::NoExp(_), JwtError::ExpiryMissing)
        | (Mutation::NoNbf(_), JwtError::NotBefore)
        | (Mutation::Signature(_), JwtError::Signature) => true,
        (Mutation::Header(name), JwtError::HeaderMember { member }) => name == member,
        (Mutation::Expired(ago), JwtError::Expired { expires_at, .. }) => *expires_at == NOW - ago,
        (Mutation::NotYet(after), JwtError::NotYetValid { not_before, .. }) => {
            *not_before == NOW + after
        }
        (Mutation::Twice(true, _), JwtError::Header(error))
        | (Mutation::Twice(false, _), JwtError::Claims(error)) => {
            *error == plastron_bundle::JsonError::DuplicateMember
        }
        _ => false,
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let one_of = |json: &'static [&'static str]| prop::sample::select(json);
    prop_oneof![
        // None of the nine.
        "(none|HS(256|384|512)|EdDSA|ES256K|es256|rs256|RS1|[a-z]{0,5})".prop_map(Mutation::Alg),
        "(jwt|JWS|wit\\+jwt|wpt\\+jwt|at\\+jwt|[a-z]{0,5})".prop_map(Mutation::Typ),
        "(P256|p25|[a-z]{6,20})".prop_map(Mutation::KeyId),
        one_of(&["crit", "b64", "jwk", "jku", "x5c", "x5u", "zip", "enc"]).prop_map(Mutation::Header),
        "(|[a-z]{1,9}|https://td\\.example/a|spiffe://[A-Z]{1,5}/a|spiffe://td\\.example/(|a/|\\.\\.|[%?#:]{1,3}))"
            .prop_map(Mutation::Sub),
        "[a-z0-9]{1,20}\\.other".prop_map(Mutation::TrustDomain),
        Just(Mutation::NoPath),
        prop::collection::vec("(|PAYMENTS|payment|payments/|[a-z]{9,20})", 1..5).prop_map(Mutation::Aud),
        one_of(&["null", "1", "true", "{}", "[]", "[1]", "[\"payments\",null]", "[[\"payments\"]]"])
            .prop_map(Mutation::NoAud),
        (0..NOW).prop_map(Mutation::Expired),
        one_of(&["null", "true", "\"4102444799\"", "[]", "{}"]).prop_map(Mutation::NoExp),
        (1..1u64 << 40).prop_map(Mutation::NotYet),
        one_of(&["null", "true", "\"0\"", "[]", "{}"]).prop_map(Mutation::NoNbf),
        any::<usize>().prop_map(Mutation::Signature),
        (any::<bool>(), "[a-z]{6,9}").prop_map(|(header, name)| Mutation::Twice(header, name)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_mutated_member_is_refused_with_the_error_about_it(key in 0..4usize, mutation in mutation()) {
        let verdict = verify(&token(keys()[key], Some(&mutation)));
        let is_named = verdict.as_ref().is_err_and(|error| is_named_by(&mutation, error));
        prop_assert!(is_named, "{verdict:?}");
    }

    #[test]
    fn an_algorithm_of_another_key_is_not_for_this_one(key in 0..4usize, other in 1..4usize) {
        let (_, kid, signer) = keys()[key];
        let (alg, ..) = keys()[(key + other) % 4];
        // JWT-07 −
        prop_assert_eq!(verify(&token((alg, kid, signer), None)), Err(JwtError::WrongKey));
    }
}

#[test]
fn without_a_mutation_every_type_of_key_is_accepted() {
    for key in keys() {
        // JWT-05 +
        assert_eq!(verify(&token(key, None)), accepted(), "{}", key.0);
    }
}
