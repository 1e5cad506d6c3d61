//! Keys come, sign, and go, as the clock says. Time is a number that the tests add to.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::{Duration, SystemTime};

use plastron_authority::{Authority, AuthorityError, Done, Kind, Phase, Policy, State};
use plastron_keys::KeyType;
use plastron_keys_aws_lc::AwsLc;
use proptest::prelude::*;

const HOUR: Duration = Duration::from_secs(3600);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn authority() -> Authority {
    Authority::new("example.org".parse().unwrap(), Policy::default())
}

/// Published and active key IDs of both kinds.
fn keys(authority: &Authority) -> [(usize, String); 2] {
    [
        (
            authority.x509_keys().len(),
            authority.x509_key().unwrap().id.clone(),
        ),
        (
            authority.jwt_keys().len(),
            authority.jwt_key().unwrap().id.clone(),
        ),
    ]
}

#[test]
fn the_first_poll_makes_both_keys_and_lets_them_sign() {
    let mut authority = authority();
    let done = authority.poll(start(), &AwsLc).unwrap();
    assert!(
        matches!(
            &done[..],
            [
                Done::Prepared {
                    kind: Kind::X509,
                    ..
                },
                Done::Activated {
                    kind: Kind::X509,
                    ..
                },
                Done::Prepared {
                    kind: Kind::Jwt,
                    ..
                },
                Done::Activated {
                    kind: Kind::Jwt,
                    ..
                },
            ]
        ),
        "{done:?}"
    );
    let bundle = authority.bundle();
    assert_eq!(
        (
            bundle.x509_authorities().len(),
            bundle.jwt_authorities().len()
        ),
        (1, 1),
        "SVID-01 +/−: a new trust domain comes with an authority"
    );
    let (x509, jwt) = (authority.x509_key().unwrap(), authority.jwt_key().unwrap());
    assert_ne!(
        x509.key.private.public_key(),
        jwt.key.private.public_key(),
        "BUNDLE-03 +: different keys for different SVID types"
    );
    assert_eq!(
        x509.key.authority.certificate().uri_san(),
        Some(&b"spiffe://example.org"[..]),
        "SVID-02 +, SVID-03 +, SVID-04 +: the authority is an SVID of its domain, without a path"
    );
    assert_eq!(
        authority.poll(start(), &AwsLc).unwrap(),
        [],
        "once is enough"
    );
}

#[test]
fn a_key_is_published_at_half_signs_at_five_sixths_and_leaves_at_the_end() {
    let mut authority = authority();
    authority.poll(start(), &AwsLc).unwrap();
    let first = keys(&authority);
    let mut sequence = authority.bundle().sequence().unwrap();
    for (hours, minutes, published, is_first, changed) in [
        (11, 59, 1, true, false),
        // FED-03 +, JWT-55 +: the next key is in the bundle long before it signs.
        (12, 0, 2, true, true),
        (19, 59, 2, true, false),
        // FED-04 −: no key signs that was not published before.
        (20, 0, 2, false, false),
        (23, 59, 2, false, false),
        // FED-05 +: the old key leaves when the last SVID of it has ended; the third one comes at that moment.
        (24, 0, 2, false, true),
    ] {
        let now = start() + hours * HOUR + Duration::from_secs(minutes * 60);
        authority.poll(now, &AwsLc).unwrap();
        for (key, before) in keys(&authority).iter().zip(&first) {
            assert_eq!(key.0, published, "published at {hours}:{minutes:02}");
            assert_eq!(
                key.1 == before.1,
                is_first,
                "active at {hours}:{minutes:02}"
            );
        }
        let next = authority.bundle().sequence().unwrap();
        // BUNDLE-13 +: the number rises with the content, and with nothing else.
        assert_eq!(next > sequence, changed, "sequence at {hours}:{minutes:02}");
        assert!(next >= sequence);
        sequence = next;
    }
}

#[test]
fn polling_when_told_misses_no_step() {
    let mut authority = authority();
    let mut now = start();
    let mut steps = Vec::new();
    while now < start() + 49 * HOUR {
        for done in authority.poll(now, &AwsLc).unwrap() {
            steps.push((now.duration_since(start()).unwrap().as_secs() / 3600, done));
        }
        let due = authority.next_due(now);
        assert!(due > now, "time goes on");
        now = due;
    }
    let x509: Vec<(u64, &str)> = steps
        .iter()
        .filter_map(|(hour, done)| match done {
            Done::Prepared {
                kind: Kind::X509, ..
            } => Some((*hour, "prepared")),
            Done::Activated {
                kind: Kind::X509, ..
            } => Some((*hour, "activated")),
            Done::Retired {
                kind: Kind::X509, ..
            } => Some((*hour, "retired")),
            _ => None,
        })
        .collect();
    assert_eq!(
        x509,
        [
            (0, "prepared"),
            (0, "activated"),
            (12, "prepared"),
            (20, "activated"),
            (24, "retired"),
            (24, "prepared"),
            (32, "activated"),
            (36, "retired"),
            (36, "prepared"),
            (44, "activated"),
            (48, "retired"),
            (48, "prepared"),
        ]
    );
}

#[test]
fn an_authority_goes_on_where_its_state_says() {
    let mut authority = authority();
    authority.poll(start(), &AwsLc).unwrap();
    authority.poll(start() + 13 * HOUR, &AwsLc).unwrap();
    let state = authority.state();
    let mut restored = restore(&state).unwrap();
    assert_eq!(restored.state(), state);
    // BUNDLE-13 +: a restart does not lower the number.
    assert_eq!(
        restored.bundle().to_document(),
        authority.bundle().to_document()
    );
    assert_eq!(restored.poll(start() + 14 * HOUR, &AwsLc).unwrap(), []);
    assert_eq!(keys(&restored), keys(&authority));
}

#[test]
fn whoever_slept_through_everything_begins_anew_without_going_back() {
    let mut authority = authority();
    authority.poll(start(), &AwsLc).unwrap();
    let (before, sequence) = (keys(&authority), authority.sequence());
    let mut restored = restore(&authority.state()).unwrap();
    restored.poll(start() + 1000 * HOUR, &AwsLc).unwrap();
    assert_eq!(restored.x509_keys().len(), 1);
    assert_ne!(keys(&restored), before);
    assert!(restored.sequence() > sequence);
}

#[test]
fn keys_made_while_the_clock_was_ahead_do_not_sign_when_it_is_set_right() {
    let ahead = start() + 2 * HOUR;
    let mut authority = authority();
    authority.poll(ahead, &AwsLc).unwrap();
    authority.poll(ahead + 13 * HOUR, &AwsLc).unwrap();
    let (before, sequence) = (keys(&authority), authority.sequence());

    // As far back as certificates are dated back, everything still holds.
    let slightly = ahead - Duration::from_secs(10);
    assert_eq!(authority.poll(slightly, &AwsLc).unwrap(), []);

    assert_eq!(authority.next_due(start()), start());
    authority.poll(start(), &AwsLc).unwrap();
    let after = keys(&authority);
    assert!(before[0].1 != after[0].1 && before[1].1 != after[1].1);
    assert!(authority.x509_key().unwrap().created_at == start());
    // What was signed ahead of time still verifies, and consumers see that the bundle is another.
    assert!(
        authority
            .x509_keys()
            .iter()
            .any(|slot| slot.id == before[0].1)
    );
    assert!(authority.sequence() > sequence);
    assert!(authority.next_due(start()) > start());
}

#[test]
fn a_state_that_does_not_fit_together_is_refused() {
    let mut authority = authority();
    authority.poll(start(), &AwsLc).unwrap();
    let good = authority.state();
    let broken = |change: fn(&mut State)| {
        let mut state = good.clone();
        change(&mut state);
        restore(&state).unwrap_err()
    };
    assert!(matches!(
        broken(|state| state.x509[0].certificate = None),
        AuthorityError::Certificate { .. }
    ));
    assert!(matches!(
        broken(|state| state.x509[0].pkcs8 = state.jwt[0].pkcs8.clone()),
        AuthorityError::Certificate { .. }
    ));
    assert!(matches!(
        broken(|state| state.jwt[0].pkcs8.truncate(20)),
        AuthorityError::Load { .. }
    ));
}

#[test]
fn an_operator_replaces_keys_ahead_of_their_time() {
    let mut authority = authority();
    authority.poll(start(), &AwsLc).unwrap();
    let before = keys(&authority);
    assert_eq!(
        authority.activate(Kind::X509),
        None,
        "nothing signs that was not published"
    );
    let prepared = authority
        .prepare_now(Kind::X509, start(), &AwsLc)
        .unwrap()
        .unwrap();
    assert_eq!(
        authority.prepare_now(Kind::X509, start(), &AwsLc).unwrap(),
        None,
        "one at a time"
    );
    let Done::Prepared { id, .. } = prepared else {
        panic!("{prepared:?}")
    };
    assert_eq!(
        authority.activate(Kind::X509),
        Some(Done::Activated {
            kind: Kind::X509,
            id: id.clone()
        })
    );
    assert_eq!(authority.x509_key().unwrap().id, id);
    assert_eq!(
        authority.jwt_key().unwrap().id,
        before[1].1,
        "the other kind stays"
    );
    let old = authority
        .x509_keys()
        .iter()
        .find(|slot| slot.id == before[0].1)
        .unwrap();
    assert_eq!(old.phase, Phase::Old, "what it signed still verifies");
}

#[test]
fn whoever_rotates_for_ever_is_told_to_wait() {
    let mut authority = authority();
    authority.poll(start(), &AwsLc).unwrap();
    for _ in 1..16 {
        authority
            .prepare_now(Kind::X509, start(), &AwsLc)
            .unwrap()
            .unwrap();
        authority.activate(Kind::X509).unwrap();
    }
    let refused = authority
        .prepare_now(Kind::X509, start(), &AwsLc)
        .unwrap_err();
    assert!(
        matches!(refused, AuthorityError::TooMany { published: 16 }),
        "{refused}"
    );
    authority
        .prepare_now(Kind::Jwt, start(), &AwsLc)
        .unwrap()
        .expect("the other kind has room");
}

#[test]
fn keys_of_seconds_follow_the_same_rules() {
    let policy = Policy {
        ttl: Duration::from_secs(6),
        x509_key_type: KeyType::Ed25519,
        ..Policy::default()
    };
    let mut authority = Authority::new("example.org".parse().unwrap(), policy);
    authority.poll(start(), &AwsLc).unwrap();
    for (at, published) in [(2, 1), (3, 2), (5, 2), (6, 2), (9, 2)] {
        authority
            .poll(start() + Duration::from_secs(at), &AwsLc)
            .unwrap();
        assert_eq!(authority.jwt_keys().len(), published, "after {at} s");
    }
}

fn restore(state: &State) -> Result<Authority, AuthorityError> {
    Authority::restore(
        "example.org".parse().unwrap(),
        Policy::default(),
        state,
        &AwsLc,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the clock does, forwards or back, one published key of each kind signs, and the sequence never goes back.
    #[test]
    fn no_clock_leaves_the_domain_without_a_key(jumps in proptest::collection::vec(-30_i64..60, 1..40)) {
        let mut authority = authority();
        let mut hours = 100_i64;
        let mut sequence = 0;
        for jump in jumps {
            hours = (hours + jump).max(0);
            let now = start() + HOUR * u32::try_from(hours).unwrap();
            authority.poll(now, &AwsLc).unwrap();
            let active = authority.x509_key().unwrap();
            prop_assert!(active.ends_at > now);
            prop_assert!(authority.bundle().x509_authorities().contains(&active.key.authority));
            prop_assert!(authority.sequence() >= sequence);
            prop_assert_eq!(authority.x509_keys().iter().filter(|slot| slot.phase == Phase::Active).count(), 1);
            prop_assert!(authority.x509_keys().iter().filter(|slot| slot.phase == Phase::Prepared).count() <= 1);
            sequence = authority.sequence();
        }
    }
}
