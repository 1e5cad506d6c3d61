//! What a signature covers, and which of several it is.

use plastron_http_signature::{
    HttpSignatureError, MAX_ITEMS, MAX_MEMBERS, MAX_PARAMETERS, MAX_SIGNATURE_FIELD_LEN,
};

use super::message::*;
use crate::fixture::*;

#[test]
fn each_component_is_covered_where_it_is_there() {
    assert_eq!(right().judge(), accepted(), "WIT-53 +");
    for missing in COVERED {
        let rest: Vec<&str> = COVERED
            .into_iter()
            .filter(|name| *name != missing)
            .collect();
        assert_eq!(
            covering(&rest),
            request(HttpSignatureError::Uncovered(missing)),
            "WIT-53 −: {missing}"
        );
    }
    // What is not there need not be covered; what else is there may be.
    let bare = |message: Message| Message {
        body: Vec::new(),
        ..message
    };
    let least = bare(unsigned(&token()))
        .without("content-type")
        .without("content-digest")
        .without("authorization")
        .without("txn-token");
    let covered = ["@method", "@request-target", "workload-identity-token"];
    let least = least.signed(&covered, &parameters(), &*KEYS.own);
    assert_eq!(least.judge(), accepted(), "WIT-53 +: only what is there");
    let more = [&COVERED[..], &["x-trace", "host"]].concat();
    assert_eq!(
        covering(&more),
        accepted(),
        "WIT-53 +: more than there has to be"
    );
    // Nobody reads the order.
    let backwards: Vec<&str> = COVERED.into_iter().rev().collect();
    assert_eq!(covering(&backwards), accepted(), "WIT-53 +: in any order");
}

#[test]
fn what_is_covered_is_known_and_there() {
    let with = |name| [&COVERED[..], &[name]].concat();
    let component = |name: &str| request(HttpSignatureError::Component(name.into()));
    for (rule, components, want) in [
        (
            "WIT-53 −: another derived one",
            with("@path"),
            component("@path"),
        ),
        (
            "WIT-53 −: that of responses",
            with("@status"),
            component("@status"),
        ),
        (
            "WIT-53 −: upper case",
            with("X-Trace"),
            component("X-Trace"),
        ),
        ("WIT-53 −: no name", with(""), component("")),
        (
            "WIT-53 −: twice",
            with("@method"),
            request(HttpSignatureError::Duplicate("@method".into())),
        ),
        (
            "WIT-53 −: a field that is not there",
            with("x-other"),
            request(HttpSignatureError::ComponentAbsent("x-other".into())),
        ),
    ] {
        assert_eq!(covering(&components), want, "{rule}");
    }
    // With a parameter it would be of something else than what was received.
    for parameter in ["req", "sf", "bs", "tr", r#"key="a""#, r#"name="a""#] {
        let input = right().value("signature-input");
        let input = input.replace("\"content-type\"", &format!("\"content-type\";{parameter}"));
        let verdict = right().changed("signature-input", input).judge();
        assert_eq!(verdict, component("content-type"), "WIT-53 −: {parameter}");
    }
    let input = right()
        .value("signature-input")
        .replace("\"@method\"", "method");
    let verdict = right().changed("signature-input", input).judge();
    assert_eq!(verdict, component("that is not a string"), "WIT-53 −");
}

#[test]
fn there_is_one_signature_of_the_profile() {
    let right = right();
    let (input, signature) = (right.value("signature-input"), right.value("signature"));
    let judge = |input: &str, signature: &str| {
        let message = right.clone().changed("signature-input", input);
        message.changed("signature", signature).judge()
    };
    let other =
        r#"proxy=("@authority" "host";sf);created=1.5;keyid="k";alg="x";a;b=?0;c=*t/1;d=:AA==:"#;
    for (rule, input, signature, want) in [
        (
            "WIT-53 +: others may be there",
            format!("{other}, {input}"),
            format!("{signature},proxy=:AA==:"),
            accepted(),
        ),
        (
            "WIT-53 +: by tag and not by label",
            input.replacen("wimse=", "a1=", 1),
            signature.replacen("wimse=", "a1=", 1),
            accepted(),
        ),
        (
            "WIT-53 −: two",
            format!("{input}, two={}", input.replacen("wimse=", "", 1)),
            format!("{signature}, two={}", signature.replacen("wimse=", "", 1)),
            request(HttpSignatureError::SeveralSignatures),
        ),
        (
            "WIT-53 −: none",
            other.to_owned(),
            "proxy=:AA==:".to_owned(),
            request(HttpSignatureError::NoSignature),
        ),
        (
            "WIT-53 −: two under one label",
            format!("{input}, {input}"),
            signature.clone(),
            request(HttpSignatureError::Duplicate("wimse".into())),
        ),
        (
            "WIT-53 −: under another label",
            input.clone(),
            "other=:AA==:".to_owned(),
            request(HttpSignatureError::LabelMissing),
        ),
        (
            "WIT-33 −: an empty one",
            input.clone(),
            "wimse=::".to_owned(),
            broken(),
        ),
    ] {
        assert_eq!(judge(&input, &signature), want, "{rule}");
    }
    for field in ["signature-input", "signature"] {
        let verdict = right.clone().without(field).judge();
        assert_eq!(
            verdict,
            request(HttpSignatureError::FieldMissing(field)),
            "WIT-33 −: {field}"
        );
    }
    // In two lines, as a proxy adds its own.
    let two_lines = right
        .clone()
        .with("Signature-Input", other)
        .with("Signature", "proxy=:AA==:");
    assert_eq!(two_lines.judge(), accepted(), "WIT-53 +");
}

#[test]
fn sizes_are_bounded() {
    let input = right().value("signature-input");
    let too_many = |what, most| {
        request(HttpSignatureError::TooMany {
            field: "signature-input",
            what,
            most,
        })
    };
    let many = |text: &str, n: usize| text.repeat(n);
    let long = many("a", MAX_SIGNATURE_FIELD_LEN + 1);
    for (name, value, want) in [
        (
            "signature-input",
            many("a=(), ", MAX_MEMBERS) + &input,
            None,
        ),
        (
            "signature-input",
            (0..MAX_MEMBERS)
                .map(|n| format!("a{n}=(), "))
                .collect::<String>()
                + &input,
            Some(too_many("members", MAX_MEMBERS)),
        ),
        (
            "signature-input",
            input.replace(
                "(\"@method\"",
                &format!("({}\"@method\"", many("1 ", MAX_ITEMS)),
            ),
            Some(too_many("items", MAX_ITEMS)),
        ),
        (
            "signature-input",
            (0..MAX_PARAMETERS).fold(input.clone(), |input, n| format!("{input};p{n}")),
            Some(too_many("parameters", MAX_PARAMETERS)),
        ),
        (
            "signature",
            long.clone(),
            Some(request(HttpSignatureError::FieldTooLong {
                field: "signature".into(),
                len: long.len(),
            })),
        ),
    ] {
        let verdict = right().changed(name, &value).judge();
        match want {
            Some(want) => assert_eq!(verdict, want, "RS-03 −"),
            None => assert!(verdict.is_err(), "{value}"),
        }
    }
}
