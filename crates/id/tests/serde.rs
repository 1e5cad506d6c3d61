//! The text forms in serde.

#![cfg(feature = "serde")]

use plastron_id::{SpiffeId, SpiffeIdPattern, TrustDomain};

#[test]
fn ids_and_names_are_strings_and_are_checked_when_read() {
    // ID-33 +
    let id: SpiffeId = serde_json::from_str("\"spiffe://td/a\"").unwrap();
    assert_eq!(serde_json::to_string(&id).unwrap(), "\"spiffe://td/a\"");
    assert_eq!(
        serde_json::to_string(&id.as_ref()).unwrap(),
        "\"spiffe://td/a\""
    );
    let td: TrustDomain = serde_json::from_str("\"td\"").unwrap();
    assert_eq!(serde_json::to_string(&td).unwrap(), "\"td\"");
    assert_eq!(serde_json::to_string(&td.as_ref()).unwrap(), "\"td\"");

    let pattern: SpiffeIdPattern = serde_json::from_str("\"spiffe://td/*\"").unwrap();
    assert_eq!(
        serde_json::to_string(&pattern).unwrap(),
        "\"spiffe://td/*\""
    );
    assert!(serde_json::from_str::<SpiffeIdPattern>("\"spiffe://*/a\"").is_err());

    // ID-33 −
    let error = serde_json::from_str::<SpiffeId>("\"spiffe://td/\"").unwrap_err();
    assert!(
        error.to_string().starts_with("path ends with a slash"),
        "{error}"
    );
    let error = serde_json::from_str::<TrustDomain>("\"spiffe://td\"").unwrap_err();
    assert!(error.to_string().starts_with("':' at byte 6"), "{error}");
    assert!(
        serde_json::from_str::<SpiffeId>("7")
            .unwrap_err()
            .to_string()
            .contains("a SPIFFE ID")
    );
}
