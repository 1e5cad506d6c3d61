//! Each rule of `docs/spec` §1 (SPIFFE IDs) by its number: what it lets in (`+`) and what it keeps out (`−`).

use plastron_id::SpiffeIdError::{
    Character, DotSegment, EmptySegment, RelativePath, Scheme, TooLong, TrailingSlash,
};
use plastron_id::{
    MAX_SPIFFE_ID_LEN, MAX_TRUST_DOMAIN_LEN, SpiffeId, SpiffeIdError, SpiffeIdPattern, SpiffeIdRef,
    TrustDomain, TrustDomainError, TrustDomainRef,
};

/// Parses by every way there is, and sees that they agree.
fn parse(uri: &str) -> Result<SpiffeId, SpiffeIdError> {
    let owned: Result<SpiffeId, _> = uri.parse();
    assert_eq!(
        SpiffeIdRef::parse(uri).map(SpiffeIdRef::to_owned),
        owned,
        "{uri}"
    );
    assert_eq!(
        SpiffeIdRef::parse_bytes(uri.as_bytes()).map(SpiffeIdRef::to_owned),
        owned,
        "{uri}"
    );
    owned
}

fn name(at: usize, byte: u8) -> SpiffeIdError {
    TrustDomainError::Character { at, byte }.into()
}

const EMPTY: SpiffeIdError = SpiffeIdError::TrustDomain(TrustDomainError::Empty);

#[test]
fn accepts_what_the_standard_allows() {
    for (rule, uri, trust_domain, path) in [
        ("ID-01 +", "spiffe://td.example/a/b", "td.example", "/a/b"),
        ("ID-02 +", "spiffe://t", "t", ""),
        (
            "ID-03 +, ID-04 +, ID-07 +, ID-08 +, ID-11 +, ID-23 +",
            "spiffe://td/a",
            "td",
            "/a",
        ),
        ("ID-10 +", "spiffe://a.b-c_d.9", "a.b-c_d.9", ""),
        ("ID-12 +", "spiffe://10.0.0.1/a", "10.0.0.1", "/a"),
        ("ID-13 +", "spiffe://-/a", "-", "/a"),
        ("ID-13 +", "spiffe://_x/a", "_x", "/a"),
        ("ID-13 +", "spiffe://a..b/a", "a..b", "/a"),
        ("ID-13 +", "spiffe://a./a", "a.", "/a"),
        ("ID-13 +", "spiffe://./a", ".", "/a"),
        ("ID-13 +", "spiffe://999.999.1.1/a", "999.999.1.1", "/a"),
        ("ID-13 +", "spiffe://xn--zz/a", "xn--zz", "/a"),
        ("ID-13 +", "spiffe://prod", "prod", ""),
        ("ID-19 +", "spiffe://td", "td", ""),
        ("ID-20 +", "spiffe://td/a-b", "td", "/a-b"),
        ("ID-21 +", "spiffe://td/a/b", "td", "/a/b"),
        ("ID-22 +", "spiffe://td/...", "td", "/..."),
        ("ID-22 +", "spiffe://td/.a", "td", "/.a"),
        ("ID-22 +", "spiffe://td/..a", "td", "/..a"),
        ("ID-22 +", "spiffe://td/a./b..", "td", "/a./b.."),
        ("ID-25 +", "spiffe://td/ns/x/sa/y", "td", "/ns/x/sa/y"),
        (
            "ID-25 +",
            "spiffe://td/9eebccd2-12bf-40a6-b262-65fe0487d453",
            "td",
            "/9eebccd2-12bf-40a6-b262-65fe0487d453",
        ),
    ] {
        let id = parse(uri).unwrap_or_else(|error| panic!("{rule}: {uri}: {error}"));
        assert_eq!(
            (id.trust_domain().as_str(), id.path()),
            (trust_domain, path),
            "{rule}: {uri}"
        );
        // ID-06 +, ID-33 +: bytes in, the same bytes out.
        assert_eq!((id.as_str(), id.to_string().as_str()), (uri, uri), "{rule}");
    }
}

#[test]
fn refuses_what_the_standard_does_not_allow_and_says_where() {
    for (rule, uri, want) in [
        ("ID-01 −", "", Scheme),
        ("ID-01 −", "spiffe:/td/a", Scheme),
        ("ID-01 −", "spiffe:td/a", Scheme),
        ("ID-01 −", "//td/a", Scheme),
        ("ID-01 −", "td/a", Scheme),
        ("ID-01 −", "https://td/a", Scheme),
        ("ID-01 −", "spiffe", Scheme),
        ("ID-01 −", "spiffes://td/a", Scheme),
        ("ID-02 −", "spiffe://", EMPTY),
        ("ID-02 −", "spiffe:///", EMPTY),
        ("ID-02 −", "spiffe:///a", EMPTY),
        (
            "ID-03 −",
            "spiffe://td/a?x=1",
            Character { at: 13, byte: b'?' },
        ),
        (
            "ID-03 −",
            "spiffe://td/a?",
            Character { at: 13, byte: b'?' },
        ),
        ("ID-03 −", "spiffe://td?x", name(2, b'?')),
        (
            "ID-04 −",
            "spiffe://td/a#f",
            Character { at: 13, byte: b'#' },
        ),
        (
            "ID-04 −",
            "spiffe://td/a#",
            Character { at: 13, byte: b'#' },
        ),
        ("ID-04 −", "spiffe://td#", name(2, b'#')),
        ("ID-05 −", "spiffe://td/ñ", Character { at: 12, byte: 0xc3 }),
        ("ID-05 −", "spiffe://tð/a", name(1, 0xc3)),
        ("ID-05 −", "spiffe://t\0d/a", name(1, 0)),
        ("ID-05 −", "spiffe://td/a\0", Character { at: 13, byte: 0 }),
        (
            "ID-05 −",
            "spiffe://td/a\tb",
            Character {
                at: 13,
                byte: b'\t',
            },
        ),
        (
            "ID-05 −",
            "spiffe://td/a\rb",
            Character {
                at: 13,
                byte: b'\r',
            },
        ),
        (
            "ID-05 −",
            "spiffe://td/a\x7f",
            Character { at: 13, byte: 0x7f },
        ),
        ("ID-06 −", "spiffe://td/a/../b", DotSegment { at: 14 }),
        ("ID-06 −", " spiffe://td/a", Scheme),
        (
            "ID-06 −",
            "spiffe://td/a ",
            Character { at: 13, byte: b' ' },
        ),
        (
            "ID-06 −",
            "spiffe://td/a\n",
            Character {
                at: 13,
                byte: b'\n',
            },
        ),
        ("ID-07 −", "spiffe://user@td/a", name(4, b'@')),
        ("ID-07 −", "spiffe://user:pw@td/a", name(4, b':')),
        ("ID-07 −", "spiffe://@td/a", name(0, b'@')),
        ("ID-08 −", "spiffe://td:80/a", name(2, b':')),
        ("ID-08 −", "spiffe://td:/a", name(2, b':')),
        ("ID-09 −", "spiffe://TD/a", name(0, b'T')),
        ("ID-09 −", "SPIFFE://td/a", Scheme),
        ("ID-11 −", "spiffe://%74d/a", name(0, b'%')),
        ("ID-12 −", "spiffe://[::1]/a", name(0, b'[')),
        ("ID-19 −", "spiffe://td/", TrailingSlash),
        (
            "ID-20 −",
            "spiffe://td/%61",
            Character { at: 12, byte: b'%' },
        ),
        (
            "ID-20 −",
            "spiffe://td/a%2Fb",
            Character { at: 13, byte: b'%' },
        ),
        ("ID-20 −", "spiffe://td/%", Character { at: 12, byte: b'%' }),
        ("ID-21 −", "spiffe://td//a", EmptySegment { at: 12 }),
        ("ID-21 −", "spiffe://td/a//b", EmptySegment { at: 14 }),
        ("ID-21 −", "spiffe://td//", EmptySegment { at: 12 }),
        ("ID-22 −", "spiffe://td/.", DotSegment { at: 12 }),
        ("ID-22 −", "spiffe://td/..", DotSegment { at: 12 }),
        ("ID-22 −", "spiffe://td/a/./b", DotSegment { at: 14 }),
        ("ID-22 −", "spiffe://td/a/..", DotSegment { at: 14 }),
        ("ID-23 −", "spiffe://td/a/", TrailingSlash),
    ] {
        assert_eq!(parse(uri), Err(want), "{rule}: {uri:?}");
    }
}

#[test]
fn allows_39_bytes_in_a_trust_domain_name_and_65_in_a_segment() {
    let mut in_names = 0;
    let mut in_segments = 0;
    for byte in 0..=255_u8 {
        let in_name =
            SpiffeIdRef::parse_bytes(&[b"spiffe://t", &[byte][..], b"d/a"].concat()).is_ok();
        let in_segment =
            SpiffeIdRef::parse_bytes(&[b"spiffe://td/a", &[byte][..], b"b"].concat()).is_ok();
        let lower = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        // ID-10 +/−; the slash ends the name.
        assert_eq!(in_name, lower || byte == b'/', "{byte:#x}");
        // ID-24 +/−; the slash ends the segment.
        assert_eq!(
            in_segment,
            lower || byte.is_ascii_uppercase() || byte == b'/',
            "{byte:#x}"
        );
        in_names += u32::from(in_name && byte != b'/');
        in_segments += u32::from(in_segment && byte != b'/');
    }
    assert_eq!((in_names, in_segments), (39, 65));
}

#[test]
fn a_trust_domain_name_has_at_most_255_bytes() {
    let longest = "a".repeat(MAX_TRUST_DOMAIN_LEN);
    let longer = "a".repeat(MAX_TRUST_DOMAIN_LEN + 1);
    let too_long = TrustDomainError::TooLong { len: 256 };
    // ID-14 +
    assert_eq!(
        longest
            .parse::<TrustDomain>()
            .map(|name| name.as_str().len()),
        Ok(255)
    );
    assert_eq!(
        parse(&format!("spiffe://{longest}/a")).map(|id| id.path().len()),
        Ok(2)
    );
    // ID-14 −
    assert_eq!(longer.parse::<TrustDomain>(), Err(too_long));
    assert_eq!(parse(&format!("spiffe://{longer}/a")), Err(too_long.into()));
    assert_eq!(parse(&format!("spiffe://{longer}")), Err(too_long.into()));
}

#[test]
fn membership_is_equality_of_the_whole_name() {
    let id = parse("spiffe://a.td/x").unwrap();
    for (rule, trust_domain, want) in [
        ("ID-17 +", "a.td", true),
        ("ID-17 −", "td", false),
        ("ID-17 −", "a.t", false),
        ("ID-17 −", "a.td.example", false),
        ("ID-13 −", "a.td.", false),
    ] {
        let trust_domain = TrustDomainRef::parse(trust_domain).unwrap();
        assert_eq!(
            id.is_member_of(trust_domain),
            want,
            "{rule}: {trust_domain}"
        );
        assert_eq!(id.as_ref().is_member_of(trust_domain), want);
    }
}

#[test]
fn a_trust_domain_is_given_by_name_or_by_id() {
    for (rule, text, want) in [
        ("ID-18 +", "td", Ok("td")),
        ("ID-18 +", "spiffe://td", Ok("td")),
        ("ID-18 +", "spiffe://td/x", Ok("td")),
        ("ID-18 −", "spiffe:/td", Err(Scheme)),
        ("ID-18 −", "spiffe://td/", Err(TrailingSlash)),
        ("ID-18 −", "TD", Err(name(0, b'T'))),
        ("ID-18 −", "td/x", Err(name(2, b'/'))),
        (
            "ID-18 −",
            "spiffe://td/a?",
            Err(Character { at: 13, byte: b'?' }),
        ),
        ("ID-18 −", "", Err(EMPTY)),
    ] {
        let got = TrustDomain::from_name_or_id(text);
        assert_eq!(
            got.as_ref().map(TrustDomain::as_str),
            want.as_ref().copied(),
            "{rule}: {text}"
        );
    }
    // ID-19 +: the ID of the trust domain itself has no path.
    let id = TrustDomain::from_name_or_id("spiffe://td/x").unwrap().id();
    assert_eq!((id.as_str(), id.path()), ("spiffe://td", ""));
    assert_eq!(parse("spiffe://td"), Ok(id));
}

#[test]
fn builders_check_each_part_and_the_whole() {
    let td: TrustDomain = "td".parse().unwrap();
    for (rule, segments, want) in [
        ("ID-26 +", &["a", "b"][..], Ok("spiffe://td/a/b")),
        ("ID-26 +", &[], Ok("spiffe://td")),
        ("ID-26 −", &[""], Err(EmptySegment { at: 12 })),
        ("ID-26 −", &["a", ""], Err(EmptySegment { at: 14 })),
        ("ID-26 −", &["a/b"], Err(Character { at: 13, byte: b'/' })),
        ("ID-26 −", &["/a"], Err(Character { at: 12, byte: b'/' })),
        ("ID-26 −", &["a", ".."], Err(DotSegment { at: 14 })),
        ("ID-26 −", &["."], Err(DotSegment { at: 12 })),
        ("ID-26 −", &["a b"], Err(Character { at: 13, byte: b' ' })),
    ] {
        let built = SpiffeId::from_segments(td.as_ref(), segments);
        assert_eq!(
            built.as_ref().map(SpiffeId::as_str),
            want.as_ref().copied(),
            "{rule}: {segments:?}"
        );
        let joined = segments
            .iter()
            .try_fold(td.id(), |id, segment| id.join(segment));
        assert_eq!(joined, built, "{rule}: {segments:?}");
    }
    for (rule, path, want) in [
        ("ID-26 +", "/b", Ok("spiffe://td/b")),
        ("ID-26 +", "", Ok("spiffe://td")),
        ("ID-26 −", "b", Err(RelativePath)),
        ("ID-26 −", "/", Err(TrailingSlash)),
        ("ID-26 −", "/a/../b", Err(DotSegment { at: 14 })),
        ("ID-26 −", ".example/b", Err(RelativePath)),
    ] {
        let built = SpiffeId::new(td.as_ref(), path);
        assert_eq!(
            built.as_ref().map(SpiffeId::as_str),
            want.as_ref().copied(),
            "{rule}: {path}"
        );
    }
    // ID-09 +: what is built has a lower-case host, since no other name exists.
    assert!("TD".parse::<TrustDomain>().is_err());
}

#[test]
fn an_id_has_at_most_2048_bytes_scheme_included() {
    let td: TrustDomain = "td".parse().unwrap();
    // ID-29: 9 bytes of scheme leave 2039 for name and path.
    let longest = format!("/{}", "a".repeat(2039 - 3));
    let longer = format!("{longest}a");
    let built = SpiffeId::new(td.as_ref(), &longest).unwrap();
    assert_eq!(
        built.as_str().len(),
        MAX_SPIFFE_ID_LEN,
        "ID-28 +, ID-29 +: 2048 bytes are built"
    );
    assert_eq!(
        parse(built.as_str()),
        Ok(built.clone()),
        "ID-27 +/−, ID-30 +: 2048 bytes come back whole"
    );
    let too_long = TooLong { len: 2049 };
    assert_eq!(
        SpiffeId::new(td.as_ref(), &longer),
        Err(too_long),
        "ID-28 −: 2049 bytes are not built"
    );
    assert_eq!(
        SpiffeId::from_segments(td.as_ref(), &[&longer[1..]]),
        Err(too_long)
    );
    assert_eq!(built.join("a"), Err(TooLong { len: 2050 }));
    assert_eq!(
        parse(&format!("spiffe://td{longer}")),
        Err(too_long),
        "ID-29 −, ID-30 −: 2049 bytes are not read"
    );
    let mebibyte = "ñ".repeat(1 << 19);
    assert_eq!(
        parse(&mebibyte),
        Err(TooLong { len: 1 << 20 }),
        "ID-30 −: the length is looked at before anything else"
    );
    assert_eq!(
        SpiffeId::parse_folding_case(&mebibyte),
        Err(TooLong { len: 1 << 20 })
    );
    assert_eq!(
        mebibyte.parse::<TrustDomain>(),
        Err(TrustDomainError::TooLong { len: 1 << 20 })
    );
}

#[test]
fn equality_is_that_of_bytes() {
    let id = parse("spiffe://td/svc").unwrap();
    for (rule, other) in [
        ("ID-31 −", "spiffe://td/Svc"),
        ("ID-32 −", "spiffe://td/svc/a"),
        ("ID-32 −", "spiffe://td/sv"),
        ("ID-32 −", "spiffe://tds/vc"),
    ] {
        let other = parse(other).unwrap();
        assert_ne!(id, other, "{rule}");
        assert_ne!(id, other.as_ref(), "{rule}");
        assert_ne!(other.as_ref(), id, "{rule}");
    }
    // ID-32 +
    assert_eq!(id, SpiffeIdRef::parse("spiffe://td/svc").unwrap());
    assert_eq!(SpiffeIdRef::parse("spiffe://td/svc").unwrap(), id);

    let td: TrustDomain = "td".parse().unwrap();
    for (rule, other, want) in [("ID-17 +", "td", true), ("ID-17 −", "a.td", false)] {
        let other = TrustDomainRef::parse(other).unwrap();
        assert_eq!((td == other, other == td), (want, want), "{rule}: {other}");
    }
}

#[test]
fn ids_names_and_patterns_show_as_their_text() {
    let id = parse("spiffe://td/svc").unwrap();
    let td = id.trust_domain();
    let pattern: SpiffeIdPattern = "spiffe://td/**".parse().unwrap();
    for (shown, debugged, text) in [
        (id.to_string(), format!("{id:?}"), "spiffe://td/svc"),
        (
            id.as_ref().to_string(),
            format!("{:?}", id.as_ref()),
            "spiffe://td/svc",
        ),
        (td.to_string(), format!("{td:?}"), "td"),
        (
            td.to_owned().to_string(),
            format!("{:?}", td.to_owned()),
            "td",
        ),
        (
            pattern.to_string(),
            format!("{pattern:?}"),
            "spiffe://td/**",
        ),
    ] {
        assert_eq!(shown, text, "ID-33 +");
        assert_eq!(debugged, format!("{text:?}"));
    }
    assert_eq!(format!("{td:>4}|{:<4}|", td.to_owned()), "  td|td  |");
}

#[test]
fn people_may_write_upper_case_where_it_means_nothing() {
    for (rule, text, want) in [
        (
            "ID-31 +",
            "SPIFFE://Td.Example/Svc",
            Ok("spiffe://td.example/Svc"),
        ),
        ("ID-31 +", "Spiffe://TD", Ok("spiffe://td")),
        // U+017F and U+212A fold into s and k in Unicode, not here.
        ("ID-32 −", "\u{17f}piffe://td", Err(Scheme)),
        ("ID-32 −", "spiffe://\u{212a}/a", Err(name(0, 0xe2))),
        ("ID-32 −", "spiffe:/\u{212a}", Err(Scheme)),
        ("ID-01 −", "S", Err(Scheme)),
        ("ID-19 −", "SPIFFE://TD/", Err(TrailingSlash)),
    ] {
        let got = SpiffeId::parse_folding_case(text);
        assert_eq!(
            got.as_ref().map(SpiffeId::as_str),
            want.as_ref().copied(),
            "{rule}: {text}"
        );
    }
    assert_eq!(
        TrustDomain::parse_folding_case("TD").map(|td| td.to_string()),
        Ok("td".to_owned())
    );
    // ID-32 −
    assert!(TrustDomain::parse_folding_case("\u{212a}").is_err());
}

#[test]
fn maps_keyed_by_ids_and_names_are_looked_up_by_text() {
    use std::collections::{BTreeSet, HashSet};
    use std::hash::{DefaultHasher, Hash, Hasher as _};
    let ids: HashSet<SpiffeId> = [parse("spiffe://td/a").unwrap()].into();
    assert!(ids.contains("spiffe://td/a"));
    assert!(!ids.contains("spiffe://td/b"));
    fn hash(value: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }
    for id in &ids {
        assert_eq!((hash(id), hash(id.as_ref())), (hash(id.as_str()), hash(id)));
    }
    let names: BTreeSet<TrustDomain> = ["td".parse().unwrap()].into();
    assert!(names.contains("td"));
    assert!(!names.contains("t"));
}
