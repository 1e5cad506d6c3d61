//! Tokens that differ from a right one in some members or characters, before our verifier, `jsonwebtoken` and the crate `spiffe`.
//!
//! As for chains: they agree, or a row of a table says which rule makes the difference; a difference without a row fails, and so does a
//! row that nothing shows. What is changed is signed afterwards.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::SystemTime;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use plastron_keys::{Jwk, PrivateKey, PublicKey};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value};

use super::divergences::{JSONWEBTOKEN, SPIFFE};
use crate::difference::{Difference, explain, variant};
use crate::fixture::*;

/// A JSON object as text, so that it can be wrong.
#[derive(Clone)]
struct Object(Vec<(&'static str, String)>);

impl Object {
    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.remove(name);
        self.add(name, value);
    }

    /// Adds a member, be there one of that name or not.
    fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| *other != name);
    }

    fn json(&self) -> String {
        let members: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

/// What a token is made of.
#[derive(Clone)]
struct Parts {
    header: Object,
    claims: Object,
    key: &'static dyn PrivateKey,
    /// What is put around the texts before they are encoded.
    around_header: [&'static str; 2],
    around_claims: [&'static str; 2],
    /// What is put around the token.
    around: [&'static str; 2],
    flipped: Option<(Part, usize)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Header,
    Claims,
}

/// The other libraries read the clock of the machine, so that everything is about it; no test is nearer than an hour.
#[expect(clippy::disallowed_methods, reason = "the judges read the same clock")]
static TODAY: LazyLock<u64> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
});

/// So many seconds from now.
fn from_now(seconds: i64) -> String {
    TODAY.saturating_add_signed(seconds).to_string()
}

impl Parts {
    fn right() -> Self {
        Self {
            header: Object(vec![
                ("alg", r#""ES256""#.to_owned()),
                ("kid", r#""p256""#.to_owned()),
                ("typ", r#""JWT""#.to_owned()),
            ]),
            claims: Object(vec![
                ("sub", format!("\"{ID}\"")),
                ("aud", format!("[\"{AUDIENCE}\"]")),
                ("exp", from_now(7200)),
                ("iat", from_now(-7200)),
            ]),
            key: &*KEYS.p256,
            around_header: [""; 2],
            around_claims: [""; 2],
            around: [""; 2],
            flipped: None,
        }
    }

    fn token(&self) -> String {
        let [header, claims] = [
            (Part::Header, self.around_header, &self.header),
            (Part::Claims, self.around_claims, &self.claims),
        ]
        .map(|(part, [before, behind], object)| {
            let mut text = format!("{before}{}{behind}", object.json()).into_bytes();
            if let Some((flipped, bit)) = self.flipped
                && flipped == part
            {
                let bit = bit % (text.len() * 8);
                text[bit / 8] ^= 0x80 >> (bit % 8);
            }
            encode(text)
        });
        let [before, behind] = self.around;
        format!("{before}{}{behind}", sign_parts(&header, &claims, self.key))
    }

    fn signed_by(&mut self, key: &'static dyn PrivateKey, alg: &str, kid: &str) {
        self.key = key;
        self.header.set("alg", format!("\"{alg}\""));
        self.header.set("kid", format!("\"{kid}\""));
    }
}

type Change = (&'static str, fn(&mut Parts));

/// Each is good or bad by itself; several of them together are found out at random.
#[rustfmt::skip]
const CHANGES: &[Change] = &[
    // Algorithms and keys (JWT-05 to JWT-07, JWT-10).
    ("P-384", |p| p.signed_by(&*KEYS.p384, "ES384", "p384")),
    ("P-521", |p| p.signed_by(&*KEYS.p521, "ES512", "p521")),
    ("RSA", |p| p.signed_by(&*KEYS.rsa, "RS256", "rsa")),
    ("another key", |p| p.key = &*KEYS.other_p256),
    ("RSA that calls itself PSS", |p| p.signed_by(&*KEYS.rsa, "PS256", "rsa")),
    ("RSA of another digest", |p| p.signed_by(&*KEYS.rsa, "RS512", "rsa")),
    ("none", |p| p.header.set("alg", r#""none""#)),
    ("HMAC", |p| p.header.set("alg", r#""HS256""#)),
    ("EdDSA", |p| p.header.set("alg", r#""EdDSA""#)),
    ("ES256K", |p| p.header.set("alg", r#""ES256K""#)),
    ("lower case", |p| p.header.set("alg", r#""es256""#)),
    ("another curve", |p| p.header.set("alg", r#""ES384""#)),
    ("another kind of key", |p| p.header.set("alg", r#""RS256""#)),
    ("alg with an escape", |p| p.header.set("alg", r#""ES\u003256""#)),
    ("alg that is a list", |p| p.header.set("alg", r#"["ES256"]"#)),
    ("no alg", |p| p.header.remove("alg")),
    ("no kid", |p| p.header.remove("kid")),
    ("kid that is a number", |p| p.header.set("kid", "5")),
    ("kid that is null", |p| p.header.set("kid", "null")),
    ("kid that is empty", |p| p.header.set("kid", r#""""#)),
    ("kid that nobody has", |p| p.header.set("kid", r#""nobody""#)),
    ("kid of another key", |p| p.header.set("kid", r#""p384""#)),
    // Type (JWT-13, AMB-21).
    ("no typ", |p| p.header.remove("typ")),
    ("JOSE", |p| p.header.set("typ", r#""JOSE""#)),
    ("typ in lower case", |p| p.header.set("typ", r#""jwt""#)),
    ("WIT", |p| p.header.set("typ", r#""wit+jwt""#)),
    ("access token", |p| p.header.set("typ", r#""at+jwt""#)),
    ("typ that is null", |p| p.header.set("typ", "null")),
    ("typ that is a number", |p| p.header.set("typ", "1")),
    // Other members (JWT-04, JWT-14, JWT-15, AMB-22).
    ("crit", |p| p.header.set("crit", r#"["b64"]"#)),
    ("crit of nothing", |p| p.header.set("crit", "[]")),
    ("b64", |p| p.header.set("b64", "true")),
    ("no b64", |p| p.header.set("b64", "false")),
    ("jwk", |p| p.header.set("jwk", r#"{"kty":"oct","k":"AA"}"#)),
    ("jwk of nothing", |p| p.header.set("jwk", "{}")),
    ("jku", |p| p.header.set("jku", r#""https://a.example""#)),
    ("x5u", |p| p.header.set("x5u", r#""https://a.example""#)),
    ("x5c", |p| p.header.set("x5c", "[]")),
    ("x5t", |p| p.header.set("x5t", r#""AA""#)),
    ("zip", |p| p.header.set("zip", r#""DEF""#)),
    ("enc", |p| p.header.set("enc", r#""A128GCM""#)),
    ("cty", |p| p.header.set("cty", r#""JWT""#)),
    ("something unknown", |p| p.header.set("x", r#"{"a":[1]}"#)),
    ("alg twice", |p| p.header.add("alg", r#""ES256""#)),
    ("kid twice", |p| p.header.add("kid", r#""p256""#)),
    ("something unknown twice", |p| { p.header.add("x", "1"); p.header.add("x", "1"); }),
    ("a header in a list", |p| p.around_header = ["[", "]"]),
    ("a header with more behind it", |p| p.around_header = ["", "{}"]),
    ("a header with space around it", |p| p.around_header = ["\n ", "\t"]),
    ("a header behind a mark of order", |p| p.around_header = ["\u{feff}", ""]),
    // Subject (JWT-18, JWT-19).
    ("no sub", |p| p.claims.remove("sub")),
    ("sub that is a number", |p| p.claims.set("sub", "1")),
    ("sub that is no SPIFFE ID", |p| p.claims.set("sub", r#""alice""#)),
    ("sub in upper case", |p| p.claims.set("sub", r#""spiffe://TD.example/shop/cart""#)),
    ("sub with an escape", |p| p.claims.set("sub", r#""spiffe:\/\/td.example/shop/c\u0061rt""#)),
    ("sub without a path", |p| p.claims.set("sub", r#""spiffe://td.example""#)),
    ("sub of elsewhere", |p| p.claims.set("sub", r#""spiffe://other.example/a""#)),
    ("sub with a slash behind", |p| p.claims.set("sub", r#""spiffe://td.example/a/""#)),
    // Audience (JWT-20 to JWT-22).
    ("aud that is one", |p| p.claims.set("aud", format!("\"{AUDIENCE}\""))),
    ("aud of several", |p| p.claims.set("aud", format!("[\"stock\",\"{AUDIENCE}\"]"))),
    ("aud of others", |p| p.claims.set("aud", r#"["stock"]"#)),
    ("aud that is another", |p| p.claims.set("aud", r#""stock""#)),
    ("aud in upper case", |p| p.claims.set("aud", r#"["PAYMENTS"]"#)),
    ("aud with more behind", |p| p.claims.set("aud", r#"["payments/"]"#)),
    ("no aud", |p| p.claims.remove("aud")),
    ("aud of nobody", |p| p.claims.set("aud", "[]")),
    ("aud of somebody without a name", |p| p.claims.set("aud", r#"[""]"#)),
    ("aud that is null", |p| p.claims.set("aud", "null")),
    ("aud that is a number", |p| p.claims.set("aud", "1")),
    ("aud with a number in it", |p| p.claims.set("aud", format!("[\"{AUDIENCE}\",1]"))),
    ("aud with a list in it", |p| p.claims.set("aud", format!("[[\"{AUDIENCE}\"]]"))),
    // Times (JWT-26 to JWT-31).
    ("no exp", |p| p.claims.remove("exp")),
    ("expired", |p| p.claims.set("exp", from_now(-3600))),
    ("exp with a fraction", |p| { let exp = from_now(3600) + ".5"; p.claims.set("exp", exp); }),
    ("exp with an exponent", |p| p.claims.set("exp", "4e9")),
    ("exp that is text", |p| { let exp = format!("\"{}\"", from_now(3600)); p.claims.set("exp", exp); }),
    ("exp that is null", |p| p.claims.set("exp", "null")),
    ("exp before 1970", |p| p.claims.set("exp", "-1")),
    ("exp of 0", |p| p.claims.set("exp", "0")),
    ("exp beyond 64 bits", |p| p.claims.set("exp", "1e40")),
    ("exp at the end of 64 bits", |p| p.claims.set("exp", "18446744073709551615")),
    ("exp of the year 10000", |p| p.claims.set("exp", "253402300800")),
    ("nbf in the past", |p| p.claims.set("nbf", from_now(-3600))),
    ("nbf to come", |p| p.claims.set("nbf", from_now(3600))),
    ("nbf to come, with a fraction", |p| { let nbf = from_now(3600) + ".5"; p.claims.set("nbf", nbf); }),
    ("nbf finer than a nanosecond", |p| p.claims.set("nbf", "0.0000000001")),
    ("nbf before 1970", |p| p.claims.set("nbf", "-1")),
    ("nbf that is text", |p| p.claims.set("nbf", r#""0""#)),
    ("nbf that is null", |p| p.claims.set("nbf", "null")),
    ("nbf beyond 64 bits", |p| p.claims.set("nbf", "1e40")),
    ("iat to come", |p| p.claims.set("iat", from_now(3600))),
    ("iat that is text", |p| p.claims.set("iat", r#""0""#)),
    ("no iat", |p| p.claims.remove("iat")),
    // Other claims (JWT-34, JWT-36).
    ("an issuer", |p| p.claims.set("iss", r#""https://a.example""#)),
    ("an issuer that is a number", |p| p.claims.set("iss", "1")),
    ("a claim that nobody knows", |p| p.claims.set("x", r#"{"a":[1,null]}"#)),
    ("sub twice", |p| p.claims.add("sub", format!("\"{ID}\""))),
    ("exp twice", |p| p.claims.add("exp", from_now(3600))),
    ("aud twice", |p| p.claims.add("aud", format!("[\"{AUDIENCE}\"]"))),
    ("a claim that nobody knows twice", |p| { p.claims.add("x", "1"); p.claims.add("x", "1"); }),
    ("a member twice inside a claim", |p| p.claims.set("x", r#"{"a":1,"a":1}"#)),
    ("claims deep in one another", |p| p.claims.set("x", "[".repeat(120) + &"]".repeat(120))),
    ("claims deeper in one another", |p| p.claims.set("x", "[".repeat(200) + &"]".repeat(200))),
    ("half a surrogate", |p| p.claims.set("x", r#""\ud800""#)),
    ("a zero byte in a claim", |p| p.claims.set("x", "\"\0\"")),
    ("a number with a zero before it", |p| p.claims.set("x", "01")),
    ("claims in a list", |p| p.around_claims = ["[", "]"]),
    ("claims with more behind them", |p| p.around_claims = ["", "x"]),
    ("claims with space around them", |p| p.around_claims = ["\n ", "\t"]),
    ("claims behind a mark of order", |p| p.around_claims = ["\u{feff}", ""]),
    // Serialisation (JWT-01, JWT-16).
    ("a line end behind", |p| p.around = ["", "\n"]),
    ("a space before", |p| p.around = [" ", ""]),
    ("padding behind", |p| p.around = ["", "=="]),
    ("one part more", |p| p.around = ["", ".AA"]),
    ("one part more before", |p| p.around = ["e30.", ""]),
    ("a scheme before", |p| p.around = ["Bearer ", ""]),
    ("bytes behind the signature", |p| p.around = ["", "AAAA"]),
];

/// The keys of [`bundle`], by the names that they have there.
fn keys() -> [(&'static str, &'static PublicKey); 4] {
    [
        ("p256", KEYS.p256.public_key()),
        ("p384", KEYS.p384.public_key()),
        ("p521", KEYS.p521.public_key()),
        ("rsa", KEYS.rsa.public_key()),
    ]
}

/// What the verifier says now, with the rule where it refuses.
fn ours(token: &str) -> Result<(), String> {
    verifier()
        .verify(token, &[AUDIENCE], &bundle(), at(*TODAY))
        .map(|_| ())
        .map_err(|error| error.rule().to_owned())
}

/// What `jsonwebtoken` says to somebody who looks for the key by `kid`, and takes all algorithms that suit it.
fn jsonwebtoken(token: &str) -> Result<(), String> {
    use Algorithm::{ES256, ES384, PS256, PS384, PS512, RS256, RS384, RS512};
    let refused = |error: jsonwebtoken::errors::Error| match error.kind() {
        ErrorKind::MissingRequiredClaim(claim) => format!("MissingRequiredClaim {claim}"),
        ErrorKind::InvalidClaimFormat(claim) => format!("InvalidClaimFormat {claim}"),
        kind => variant(kind),
    };
    let header = jsonwebtoken::decode_header(token).map_err(refused)?;
    let (_, key) = keys()
        .into_iter()
        .find(|(kid, _)| header.kid.as_deref() == Some(kid))
        .ok_or("no such key")?;
    let (key, algorithms) = match key.jwk() {
        Jwk::Rsa { n, e } => (
            DecodingKey::from_rsa_components(&n, &e).unwrap(),
            vec![RS256, RS384, RS512, PS256, PS384, PS512],
        ),
        Jwk::Ec { crv, x, y } => (
            DecodingKey::from_ec_components(&x, &y).unwrap(),
            vec![if crv == "P-256" { ES256 } else { ES384 }],
        ),
        Jwk::Okp { .. } => unreachable!("no key of the fixture"),
    };
    let mut validation = Validation::new(algorithms[0]);
    validation.algorithms = algorithms;
    validation.leeway = 0;
    validation.validate_nbf = true;
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "aud", "sub"]);
    jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation)
        .map(|_| ())
        .map_err(refused)
}

fn spiffe(token: &str) -> Result<(), String> {
    static BUNDLES: LazyLock<spiffe::JwtBundleSet> = LazyLock::new(|| {
        let name = spiffe::TrustDomain::new("td.example").unwrap();
        let mut bundles = spiffe::JwtBundleSet::new();
        bundles
            .add_bundle(spiffe::JwtBundle::from_jwt_authorities(name, &bundle().jwks()).unwrap());
        bundles
    });
    spiffe::JwtSvid::parse_and_validate(token, &*BUNDLES, &[AUDIENCE])
        .map(|_| ())
        .map_err(|error| variant(&error))
}

/// Asks all judges, and returns the rows that explain where they differ.
fn judge(parts: &Parts) -> Result<Vec<&'static Difference>, String> {
    let token = parts.token();
    let ours = ours(&token);
    let theirs = explain(JSONWEBTOKEN, &ours, &jsonwebtoken(&token));
    let theirs = theirs
        .transpose()
        .map_err(|difference| format!("jsonwebtoken: {difference}"))?;
    let spiffe = explain(SPIFFE, &ours, &spiffe(&token));
    let spiffe = spiffe
        .transpose()
        .map_err(|difference| format!("spiffe: {difference}"))?;
    Ok([theirs, spiffe].into_iter().flatten().collect())
}

fn judge_changed(changes: &[Change], flipped: Option<(Part, usize)>) -> Vec<&'static Difference> {
    let mut parts = Parts::right();
    for (_, change) in changes {
        change(&mut parts);
    }
    parts.flipped = flipped;
    let names: Vec<&str> = changes.iter().map(|(name, _)| *name).collect();
    match judge(&parts) {
        Ok(rows) => rows,
        Err(difference) => panic!("{names:?}, {flipped:?}: {difference}"),
    }
}

#[test]
fn judges_differ_where_a_rule_makes_them_and_nowhere_else() {
    let right = Parts::right().token();
    assert_eq!(ours(&right), Ok(()));
    assert_eq!(jsonwebtoken(&right), Ok(()));
    assert_eq!(spiffe(&right), Ok(()));

    let mut shown = BTreeSet::new();
    for change in CHANGES {
        shown.extend(judge_changed(&[*change], None));
    }
    for part in [Part::Header, Part::Claims] {
        for bit in 0..1600 {
            judge_changed(&[], Some((part, bit)));
        }
    }
    let rows = JSONWEBTOKEN.iter().chain(SPIFFE);
    let unshown: Vec<_> = rows.filter(|row| !shown.contains(row)).collect();
    assert!(unshown.is_empty(), "rows that nothing shows: {unshown:?}");
}

proptest! {
    // The same each time: searching is for the fuzz target.
    #![proptest_config(ProptestConfig { cases: 1024, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn judges_differ_for_no_changes_at_random(
        changes in prop::collection::vec(prop::sample::select(CHANGES), 2..5),
        flipped in prop::option::weighted(
            0.25,
            (prop::sample::select(&[Part::Header, Part::Claims][..]), any::<usize>()),
        ),
    ) {
        judge_changed(&changes, flipped);
    }
}
