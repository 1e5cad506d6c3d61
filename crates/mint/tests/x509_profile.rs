//! Every rule that binds who issues X.509, read back from what was minted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod house;

use std::time::{Duration, SystemTime};

use der::{Decode as _, Encode as _};
use house::profile::{check_authority, check_leaf};
use house::{ID, NOW, Root, SERIAL, ca_key, id, key, leaf_key, now, trust_domain, unix};
use plastron_id::{SpiffeId, TrustDomain};
use plastron_keys::KeyType;
use plastron_mint::{IssuerError, MintError, X509Issuer, self_signed_authority};
use x509_cert::Certificate;
use x509_cert::time::Time;

#[test]
fn every_key_type_signs_and_is_signed_by_the_book() {
    for key_type in KeyType::ALL {
        // X509-48 +: as the key of an authority …
        let root = Root::with_key(key(key_type, 0));
        check_authority(&root.der, &root.der, "example.org", root.key.public_key());
        let svid = root
            .issuer()
            .x509_svid(&id(), leaf_key().public_key())
            .sign(&SERIAL, now())
            .unwrap();
        check_leaf(&svid.der, &root.der, ID, &[], leaf_key().public_key());

        // … and as that of a leaf.
        let root = Root::new();
        let leaf = key(key_type, 0).public_key();
        let svid = root
            .issuer()
            .x509_svid(&id(), leaf)
            .sign(&SERIAL, now())
            .unwrap();
        check_leaf(&svid.der, &root.der, ID, &[], leaf);
    }
}

#[test]
fn dns_names_stand_beside_the_id_and_name_the_subject() {
    let root = Root::new();
    let long = ["a".repeat(60), "internal".to_owned()].join(".");
    for (names, common_name) in [
        (&[][..], None),
        (&["cart.internal"], Some("cart.internal")),
        (
            &["b.internal", "a.internal", "*.c.internal"],
            Some("b.internal"),
        ),
        // X509-07 +: a name that is too long for a Common Name leaves the subject empty, and the SAN critical.
        (&[&long], None),
    ] {
        let issuer = root.issuer();
        let svid = issuer
            .x509_svid(&id(), leaf_key().public_key())
            .dns_names(names)
            .sign(&SERIAL, now())
            .unwrap();
        check_leaf(&svid.der, &root.der, ID, names, leaf_key().public_key());
        let subject = Certificate::from_der(&svid.der)
            .unwrap()
            .tbs_certificate()
            .subject()
            .to_string();
        assert_eq!(
            subject,
            common_name
                .map(|name| format!("CN={name}"))
                .unwrap_or_default()
        );
    }
    // X509-05 −
    let names = ["ok.internal", "not ok"];
    let issuer = root.issuer();
    let refused = issuer
        .x509_svid(&id(), leaf_key().public_key())
        .dns_names(&names)
        .sign(&SERIAL, now());
    assert_eq!(refused, Err(MintError::DnsName { index: 1 }));
}

#[test]
fn speaks_for_workloads_of_its_own_trust_domain_only() {
    let root = Root::new();
    let foreign: TrustDomain = "other.org".parse().unwrap();
    for (uri, want) in [
        // X509-09 −: a leaf with the ID of the trust domain.
        ("spiffe://example.org", MintError::NoPath),
        // SVID-12 −, X509-14 −: an ID of a foreign domain, a domain below ours, and the one above.
        (
            "spiffe://other.org/a",
            MintError::ForeignTrustDomain {
                asked: foreign.clone(),
            },
        ),
        (
            "spiffe://a.example.org/a",
            MintError::ForeignTrustDomain {
                asked: "a.example.org".parse().unwrap(),
            },
        ),
        (
            "spiffe://org/a",
            MintError::ForeignTrustDomain {
                asked: "org".parse().unwrap(),
            },
        ),
    ] {
        let id: SpiffeId = uri.parse().unwrap();
        let minted = root
            .issuer()
            .x509_svid(&id, leaf_key().public_key())
            .sign(&SERIAL, now());
        assert_eq!(minted, Err(want), "{uri}");
    }

    // X509-15 +: for another domain when told so, and then for no other.
    let issuer = root.issuer().for_trust_domain(foreign.as_ref());
    let id: SpiffeId = "spiffe://other.org/a".parse().unwrap();
    issuer
        .x509_svid(&id, leaf_key().public_key())
        .sign(&SERIAL, now())
        .unwrap();
    let own = house::id();
    let refused = issuer
        .x509_svid(&own, leaf_key().public_key())
        .sign(&SERIAL, now());
    assert_eq!(
        refused,
        Err(MintError::ForeignTrustDomain {
            asked: trust_domain()
        })
    );
}

#[test]
fn the_longest_id_fits() {
    let root = Root::new();
    let id: SpiffeId = format!("{ID}/{}", "a".repeat(2048 - ID.len() - 1))
        .parse()
        .unwrap();
    let svid = root
        .issuer()
        .x509_svid(&id, leaf_key().public_key())
        .sign(&SERIAL, now())
        .unwrap();
    check_leaf(
        &svid.der,
        &root.der,
        id.as_str(),
        &[],
        leaf_key().public_key(),
    );
}

#[test]
fn serials_are_positive_and_minimal() {
    let root = Root::new();
    let mint = |serial: [u8; 16]| {
        root.issuer()
            .x509_svid(&id(), leaf_key().public_key())
            .sign(&serial, now())
    };
    for (serial, want) in [
        // X509-42 +: with a sign byte, without, and with leading zeros.
        ([0xff; 16], [&[0][..], &[0xff; 16]].concat()),
        ([0x7f; 16], vec![0x7f; 16]),
        (std::array::from_fn(|i| u8::from(i == 15)), vec![1]),
        (
            std::array::from_fn(|i| if i == 14 { 0x80 } else { 0 }),
            vec![0, 0x80, 0],
        ),
    ] {
        let der = mint(serial).unwrap().der;
        check_leaf(&der, &root.der, ID, &[], leaf_key().public_key());
        let certificate = Certificate::from_der(&der).unwrap();
        assert_eq!(
            certificate.tbs_certificate().serial_number().as_bytes(),
            want
        );
    }
    // X509-42 −
    assert_eq!(mint([0; 16]), Err(MintError::ZeroSerial));
}

#[test]
fn lifetimes_count_from_the_moment_of_issue() {
    let root = Root::new();
    let end = NOW + 86_400;
    for (millis, lifetime, limit, want) in [
        // X509-49 +: ten seconds before the moment of issue, up to its lifetime after it, in whole seconds.
        (0, Duration::from_secs(3600), None, (NOW - 10, NOW + 3600)),
        (1, Duration::from_secs(3600), None, (NOW - 10, NOW + 3601)),
        (999, Duration::from_secs(1), None, (NOW - 10, NOW + 2)),
        (0, Duration::from_millis(1), None, (NOW - 10, NOW + 1)),
        // X509-49 −: nothing outlives its authority, or the limit that was set.
        (0, Duration::from_secs(86_401), None, (NOW - 10, end)),
        (0, Duration::MAX, None, (NOW - 10, end)),
        (
            0,
            Duration::from_secs(3600),
            Some(NOW + 60),
            (NOW - 10, NOW + 60),
        ),
        (0, Duration::MAX, Some(end + 60), (NOW - 10, end)),
    ] {
        let issuer = root.issuer();
        let id = id();
        let mut request = issuer
            .x509_svid(&id, leaf_key().public_key())
            .lifetime(lifetime);
        if let Some(limit) = limit {
            request = request.not_after_limit(unix(limit));
        }
        let svid = request
            .sign(&SERIAL, now() + Duration::from_millis(millis))
            .unwrap();
        assert_eq!(
            (svid.not_before.as_secs(), svid.not_after.as_secs()),
            want,
            "{millis} {lifetime:?} {limit:?}"
        );
        let certificate = Certificate::from_der(&svid.der).unwrap();
        let validity = certificate.tbs_certificate().validity();
        let read =
            [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
        assert_eq!((read[0], read[1]), want);
    }

    let mint = |now, lifetime| {
        root.issuer()
            .x509_svid(&id(), leaf_key().public_key())
            .lifetime(lifetime)
            .sign(&SERIAL, now)
    };
    let hour = Duration::from_secs(3600);
    assert_eq!(mint(now(), Duration::ZERO), Err(MintError::NoLifetime));
    let ended = MintError::Expired {
        not_after: unix(end),
    };
    assert_eq!(mint(now() + Duration::from_secs(86_400), hour), Err(ended));
    assert_eq!(
        mint(SystemTime::UNIX_EPOCH - hour, hour),
        Err(MintError::TimeOutOfRange)
    );
}

#[test]
fn times_change_their_form_in_2050() {
    // X509-43 +: seconds since 1970 of the last second of 2049 and the first of 2050, and the last there is.
    for (not_before, not_after, utc) in [
        (NOW, 2_524_607_999, [true, true]),
        (NOW, 2_524_608_000, [true, false]),
        (2_524_608_000, 253_402_300_799, [false, false]),
    ] {
        let der = self_signed_authority(
            &trust_domain(),
            ca_key(),
            &SERIAL,
            unix(not_before),
            unix(not_after),
        )
        .unwrap();
        check_authority(&der, &der, "example.org", ca_key().public_key());
        let certificate = Certificate::from_der(&der).unwrap();
        let validity = certificate.tbs_certificate().validity();
        let times = [validity.not_before, validity.not_after];
        assert_eq!(
            times.map(|time| time.to_unix_duration().as_secs()),
            [not_before, not_after]
        );
        assert_eq!(times.map(|time| matches!(time, Time::UtcTime(_))), utc);
        for time in times {
            let text = time.to_der().unwrap();
            assert_eq!(text.last(), Some(&b'Z'));
            assert!(
                text[2..text.len() - 1].iter().all(u8::is_ascii_digit),
                "no fractions, no offset"
            );
        }
    }
    for (not_before, not_after) in [(NOW, 253_402_300_800), (NOW, NOW - 1)] {
        let refused = self_signed_authority(
            &trust_domain(),
            ca_key(),
            &SERIAL,
            unix(not_before),
            unix(not_after),
        );
        assert_eq!(refused, Err(MintError::TimeOutOfRange));
    }
}

#[test]
fn successive_authorities_have_different_names() {
    let name = |serial: [u8; 16], trust_domain: &str| {
        let trust_domain = trust_domain.parse().unwrap();
        let der =
            self_signed_authority(&trust_domain, ca_key(), &serial, unix(NOW), unix(NOW + 60))
                .unwrap();
        check_authority(&der, &der, trust_domain.as_str(), ca_key().public_key());
        Certificate::from_der(&der)
            .unwrap()
            .tbs_certificate()
            .subject()
            .to_string()
    };
    // X509-44 +
    let first = name([1; 16], "example.org");
    assert!(first.contains("O=example.org"), "{first}");
    assert_ne!(first, name([2; 16], "example.org"));
    // An organisation has at most 64 characters, a trust domain 255.
    let long = "a".repeat(255);
    let short = name([1; 16], &long);
    assert!(
        short.contains(&format!("O={}", &long[..64])) && !short.contains(&long[..65]),
        "{short}"
    );
}

#[test]
fn authorities_below_a_root_are_signed_by_the_book() {
    let root = Root::new();
    let middle = key(KeyType::EcP384, 0);
    let trust_domain = trust_domain();
    let issuer = root.issuer();
    for (asked, want) in [(None, None), (Some(0), Some(0)), (Some(3), Some(3))] {
        let mut request = issuer.x509_authority(trust_domain.as_ref(), middle.public_key());
        if let Some(path_len) = asked {
            request = request.path_len(path_len);
        }
        let minted = request
            .lifetime(Duration::from_secs(600))
            .sign(&SERIAL, now())
            .unwrap();
        check_authority(&minted.der, &root.der, "example.org", middle.public_key());
        assert_eq!(minted.not_after.as_secs(), NOW + 600);

        // X509-21 +, X509-22 +
        let certificate = plastron_bundle::certificate::Certificate::parse(&minted.der).unwrap();
        assert_eq!(certificate.path_len(), want);

        let below = X509Issuer::new(&minted.der, middle).unwrap();
        let leaf = below
            .x509_svid(&id(), leaf_key().public_key())
            .sign(&SERIAL, now())
            .unwrap();
        check_leaf(&leaf.der, &minted.der, ID, &[], leaf_key().public_key());
        assert_eq!(
            leaf.not_after.as_secs(),
            NOW + 600,
            "X509-49: not beyond the intermediate"
        );
    }
}

#[test]
fn path_lengths_shrink_on_the_way_down() {
    let root = Root::new();
    let (key, trust_domain) = (ca_key().public_key(), trust_domain());
    let limited = |path_len| {
        let issuer = root.issuer();
        let request = issuer.x509_authority(trust_domain.as_ref(), key);
        request.path_len(path_len).sign(&SERIAL, now()).unwrap().der
    };
    for (limit, asked, want) in [
        // X509-23: what we sign must be usable.
        (0, None, Err(MintError::PathLength)),
        (0, Some(0), Err(MintError::PathLength)),
        (1, None, Ok(Some(0))),
        (2, Some(2), Err(MintError::PathLength)),
        (2, Some(1), Ok(Some(1))),
        (255, None, Ok(Some(254))),
    ] {
        let above = limited(limit);
        let issuer = X509Issuer::new(&above, ca_key()).unwrap();
        let mut request = issuer.x509_authority(trust_domain.as_ref(), key);
        if let Some(asked) = asked {
            request = request.path_len(asked);
        }
        let got = request.sign(&SERIAL, now()).map(|minted| {
            plastron_bundle::certificate::Certificate::parse(&minted.der)
                .unwrap()
                .path_len()
        });
        assert_eq!(got, want, "{limit} {asked:?}");
    }

    let foreign: TrustDomain = "other.org".parse().unwrap();
    let issuer = root.issuer();
    let refused = issuer
        .x509_authority(foreign.as_ref(), key)
        .sign(&SERIAL, now());
    // X509-14 −
    assert_eq!(
        refused,
        Err(MintError::ForeignTrustDomain { asked: foreign })
    );
}

#[test]
fn only_a_signing_certificate_with_its_own_key_is_an_issuer() {
    let root = Root::new();
    let svid = root
        .issuer()
        .x509_svid(&id(), leaf_key().public_key())
        .sign(&SERIAL, now())
        .unwrap();
    // X509-11 −
    assert_eq!(
        X509Issuer::new(&svid.der, leaf_key()).unwrap_err(),
        IssuerError::NotAnAuthority
    );
    assert_eq!(
        X509Issuer::new(&root.der, leaf_key()).unwrap_err(),
        IssuerError::WrongKey
    );
    assert!(matches!(
        X509Issuer::new(&root.der[1..], ca_key()),
        Err(IssuerError::Certificate(_))
    ));

    // Authorities of others: without an ID they need a word from the operator, without a subject they are none.
    let foreign = |subject: bool, uri: Option<&str>| {
        let pair = rcgen::KeyPair::try_from(ca_key().to_pkcs8().as_slice()).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        params.distinguished_name = rcgen::DistinguishedName::new();
        if subject {
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, "corporate CA");
        }
        let uri = uri.map(|uri| rcgen::SanType::URI(uri.try_into().unwrap()));
        params.subject_alt_names = uri.into_iter().collect();
        params.self_signed(&pair).unwrap().der().to_vec()
    };
    // X509-44 −
    assert_eq!(
        X509Issuer::new(&foreign(false, None), ca_key()).unwrap_err(),
        IssuerError::EmptySubject
    );
    for uri in [
        None,
        Some("spiffe://example.org/"),
        Some("https://example.org"),
    ] {
        let der = foreign(true, uri);
        let issuer = X509Issuer::new(&der, ca_key()).unwrap();
        assert_eq!(issuer.trust_domain(), None, "{uri:?}");
        let refused = issuer
            .x509_svid(&id(), leaf_key().public_key())
            .sign(&SERIAL, now());
        assert_eq!(
            refused,
            Err(MintError::ForeignTrustDomain {
                asked: trust_domain()
            })
        );
        let own = trust_domain();
        let issuer = issuer.for_trust_domain(own.as_ref());
        let svid = issuer
            .x509_svid(&id(), leaf_key().public_key())
            .sign(&SERIAL, now())
            .unwrap();
        check_leaf(&svid.der, &der, ID, &[], leaf_key().public_key());
    }
}
