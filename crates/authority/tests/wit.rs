//! The keys that sign WIT-SVIDs, where the policy asks for them.

#![cfg(feature = "wit")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::{Duration, SystemTime};

use plastron_authority::{Authority, Done, Kind, Phase, Policy};
use plastron_keys::KeyType;
use plastron_keys_aws_lc::AwsLc;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn policy(wit_key_type: Option<KeyType>) -> Policy {
    Policy {
        wit_key_type,
        ttl: DAY,
        ..Policy::default()
    }
}

fn with(wit_key_type: Option<KeyType>) -> Authority {
    let mut authority = Authority::new("example.org".parse().unwrap(), policy(wit_key_type));
    authority.poll(start(), &AwsLc).unwrap();
    authority
}

#[test]
fn there_are_none_unless_asked_for() {
    let mut authority = with(None);
    assert!(authority.wit_key().is_none() && authority.bundle().wit_authorities().is_empty());
    assert!(
        authority
            .prepare_now(Kind::Wit, start(), &AwsLc)
            .unwrap()
            .is_none()
    );
    // STAB-03 +: the document of an authority without them names none.
    let document = String::from_utf8(authority.bundle().to_document()).unwrap();
    assert!(!document.contains("wit-svid"));
}

#[test]
fn they_are_other_keys_than_those_of_other_svids() {
    let authority = with(Some(KeyType::EcP384));
    let [x509, jwt, wit] = [
        authority.x509_key().unwrap().key.private.public_key(),
        authority.jwt_key().unwrap().key.private.public_key(),
        authority.wit_key().unwrap().key.private.public_key(),
    ];
    // BUNDLE-03 +
    assert!(x509 != jwt && jwt != wit && x509 != wit);
    let bundle = authority.bundle();
    let [published] = bundle.wit_authorities() else {
        panic!("{:?}", bundle.wit_authorities())
    };
    // WIT-43 +, WIT-44 +
    assert_eq!(published.public_key(), wit);
    assert_eq!(published.key_id(), authority.wit_key().unwrap().id);
    assert!(bundle.jwt_authority(published.key_id()).is_none());
}

#[test]
fn they_are_replaced_as_others_are_and_under_new_names() {
    let mut authority = with(Some(KeyType::EcP256));
    let first = authority.wit_key().unwrap().id.clone();
    authority.poll(start() + DAY / 2, &AwsLc).unwrap();
    assert_eq!(authority.bundle().wit_authorities().len(), 2);
    assert_eq!(authority.wit_key().unwrap().id, first, "published first");
    authority.poll(start() + DAY / 6 * 5, &AwsLc).unwrap();
    assert_ne!(
        authority.wit_key().unwrap().id,
        first,
        "WIT-04 +/−: a new key has a new name"
    );
    let done = authority.poll(start() + DAY, &AwsLc).unwrap();
    let retired = Done::Retired {
        kind: Kind::Wit,
        id: first,
    };
    assert!(done.contains(&retired), "{done:?}");
}

#[test]
fn a_profile_that_is_switched_off_leaves_what_it_signed_valid() {
    let state = with(Some(KeyType::EcP256)).state();
    assert_eq!(state.wit.len(), 1);
    let restore = |wit_key_type| {
        let trust_domain = "example.org".parse().unwrap();
        Authority::restore(trust_domain, policy(wit_key_type), &state, &AwsLc).unwrap()
    };
    let mut off = restore(None);
    off.poll(start() + DAY / 2, &AwsLc).unwrap();
    assert_eq!(off.bundle().wit_authorities().len(), 1, "published still");
    assert!(off.next_due(start() + DAY / 2) <= start() + DAY);
    off.poll(start() + DAY, &AwsLc).unwrap();
    assert!(off.bundle().wit_authorities().is_empty());
    assert!(off.next_due(start() + DAY) > start() + DAY);

    let on = restore(Some(KeyType::EcP256));
    assert_eq!(on.wit_key().unwrap().phase, Phase::Active);
    assert_eq!(on.wit_key().unwrap().id, state.wit[0].id);
}
