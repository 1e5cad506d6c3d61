//! A JWT-SVID of one's own.

use plastron_svid::{JwtError, JwtSvid};

use crate::fixture::*;

fn parse(token: &str, now: u64) -> Result<JwtSvid, JwtError> {
    JwtSvid::parse_insecure(token, &[AUDIENCE], at(now))
}

#[test]
fn a_token_from_the_local_agent_is_parsed_under_a_name_that_warns() {
    let token = sign(
        HEADER,
        claims_with(r#","iat":1735689600"#),
        &*KEYS.other_p256,
    );
    let svid = parse(&token, NOW).unwrap().with_hint("cart");
    assert_eq!(
        (svid.id().as_str(), svid.token(), svid.hint()),
        (ID, &*token, "cart"),
        "JWT-41 +: the signature is nobody's"
    );
    assert_eq!(svid.expires_at(), at(NOW + 300));
    assert_eq!(svid.issued_at(), Some(at(NOW)));
    assert_eq!(
        verify(&token),
        Err(JwtError::Signature),
        "JWT-41 −: by the verifier"
    );
}

#[test]
fn audience_and_expiry_are_checked_all_the_same() {
    let token = with_claims(&claims());
    let exp = NOW + 300;
    assert_eq!(
        parse(&token, exp).unwrap_err(),
        JwtError::Expired {
            expires_at: exp,
            now: exp
        },
        "JWT-41 −: expired"
    );
    let other = JwtSvid::parse_insecure(&token, &["other"], at(NOW)).unwrap_err();
    assert_eq!(other, JwtError::Audience, "JWT-41 −");
    let none = with_header(r#"{"alg":"none","kid":"p256"}"#);
    assert_eq!(
        parse(&none, NOW).unwrap_err(),
        JwtError::Algorithm,
        "JWT-06 −"
    );
}

#[test]
fn debug_shows_no_token() {
    let token = with_claims(&claims());
    let text = format!("{:?}", parse(&token, NOW).unwrap());
    assert!(text.contains(ID), "{text}");
    assert!(
        token.split('.').all(|part| !text.contains(part)),
        "JWT-47 −: {text}"
    );
}
