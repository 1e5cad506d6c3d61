//! What is read of structured fields, and what is not.

use super::*;

/// The labels of a dictionary of lists, and its lists.
fn read(text: &str) -> Result<Vec<(&str, InnerList<'_>)>, Error> {
    let mut read = Vec::new();
    Reader::new("f", text).dictionary(|reader, label| {
        read.push((label, reader.inner_list()?));
        Ok(())
    })?;
    Ok(read)
}

#[test]
fn values_are_those_of_rfc_9651() {
    let text = |text: &'static str| Value::Text(text.into());
    for (written, value) in [
        ("0", Value::Integer(0)),
        ("-7", Value::Integer(-7)),
        ("999999999999999", Value::Integer(999_999_999_999_999)),
        ("1.5", Value::Other),
        ("-0.125", Value::Other),
        ("\"\"", text("")),
        ("\"a b\"", text("a b")),
        (r#""a\"\\b""#, text(r#"a"\b"#)),
        ("?0", Value::Boolean(false)),
        ("?1", Value::Boolean(true)),
        ("a/b:c", Value::Other),
        ("*", Value::Other),
        (":AAE=:", Value::Other),
        ("::", Value::Other),
    ] {
        // A parameter that is true is written without its value.
        let is = match written {
            "?1" => String::new(),
            other => format!("={other}"),
        };
        let list = format!("({written};x{is} {written});y{is};z");
        let field = format!("a={list}");
        let read = read(&field).unwrap_or_else(|error| panic!("{written}: {error}"));
        let [
            (
                "a",
                InnerList {
                    items,
                    parameters,
                    text,
                },
            ),
        ] = &read[..]
        else {
            panic!("{read:?}");
        };
        assert_eq!(*text, list);
        assert_eq!(
            items[0],
            (value.clone(), vec![("x", value.clone())]),
            "{written}"
        );
        assert_eq!(items[1], (value.clone(), vec![]), "{written}");
        assert_eq!(
            parameters[..],
            [("y", value), ("z", Value::Boolean(true))],
            "{written}"
        );
    }
}

#[test]
fn only_what_a_writer_writes_is_read() {
    for text in [
        "",
        "a",
        "a=",
        "a=(",
        "a=()x",
        "a=(),",
        "a=() b=()",
        ",a=()",
        " a=()",
        "A=()",
        "1=()",
        "a=( 1)",
        "a=(1 )",
        "a=(1  2)",
        "a=(1\t2)",
        "a=(1,2)",
        "a=(1);",
        "a=();A",
        "a=(); b",
        "a=() ;b",
        "a=();b=",
        "a=();b= 1",
        "a=(01)",
        "a=(-0)",
        "a=(-)",
        "a=(1.)",
        "a=(1.1234)",
        "a=(1.50)",
        "a=(1.500)",
        "a=(1234567890123.5)",
        "a=(1;b=?1)",
        "a=();b=?1",
        "a=(1234567890123456)",
        "a=(--1)",
        "a=(\")",
        "a=(\"\\a\")",
        "a=(\"\\\")",
        "a=(\"\t\")",
        "a=(\"\u{f1}\")",
        "a=(?)",
        "a=(?2)",
        "a=(?01)",
        "a=(:A:)",
        "a=(:AA=)",
        "a=(:AB==:)",
        "a=(@1)",
        "a=(%\"a\")",
        "a=\u{f1}",
        "a=1",
        "\u{f1}=()",
    ] {
        let malformed = matches!(read(text), Err(Error::Malformed { field: "f", .. }));
        assert!(malformed, "{text:?}: {:?}", read(text));
    }
    for text in ["a=(),a=()", "a=(1;b;b=2)", "a=();b;c;b"] {
        assert!(matches!(read(text), Err(Error::Duplicate(_))), "{text}");
    }
    assert_eq!(read("a=()").unwrap()[0].1.items, []);
    assert_eq!(read("a=() \t,\t b=()").unwrap().len(), 2);
    assert_eq!(read("a*_-.9=()").unwrap()[0].0, "a*_-.9");
}

#[test]
fn numbers_are_bounded() {
    let members = |n| {
        (0..n)
            .map(|n| format!("a{n}=()"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let items = |n| format!("a=({})", vec!["1"; n].join(" "));
    let parameters = |n| (0..n).fold("a=()".to_owned(), |text, n| format!("{text};p{n}"));
    let too_many = |what, most| {
        Some(Error::TooMany {
            field: "f",
            what,
            most,
        })
    };
    for (text, want) in [
        (members(MAX_MEMBERS), None),
        (members(MAX_MEMBERS + 1), too_many("members", MAX_MEMBERS)),
        (items(MAX_ITEMS), None),
        (items(MAX_ITEMS + 1), too_many("items", MAX_ITEMS)),
        (parameters(MAX_PARAMETERS), None),
        (
            parameters(MAX_PARAMETERS + 1),
            too_many("parameters", MAX_PARAMETERS),
        ),
    ] {
        assert_eq!(read(&text).err(), want, "RS-03: {text}");
    }
}
