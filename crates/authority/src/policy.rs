//! Which keys, and for how long.

use std::time::{Duration, SystemTime};

use plastron_keys::KeyType;

/// The longest that a key is published before the active one ends.
const PREPARE_CAP: Duration = Duration::from_secs(30 * 24 * 3600);
/// The longest that a key is active beside one that has not ended.
const ACTIVATE_CAP: Duration = Duration::from_secs(7 * 24 * 3600);

/// How an authority's keys come and go.
///
/// The clock rules are SPIRE's: the next key is prepared when half of the active one's life is left, at most 30 days before
/// its end, and activated when a sixth is left, at most 7 days.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// Type of the keys that sign X.509-SVIDs.
    pub x509_key_type: KeyType,
    /// Type of the keys that sign JWT-SVIDs. Not Ed25519: no JWT-SVID may be signed with it (JWT-05).
    pub jwt_key_type: KeyType,
    /// Type of the keys that sign WIT-SVIDs, and not Ed25519 (WIT-06). `None`, as by default: there are none.
    #[cfg(feature = "wit")]
    pub wit_key_type: Option<KeyType>,
    /// Life of a key of any kind, whole seconds, at least one.
    pub ttl: Duration,
}

impl Default for Policy {
    /// P-256 keys of 24 hours.
    fn default() -> Self {
        Self {
            x509_key_type: KeyType::EcP256,
            jwt_key_type: KeyType::EcP256,
            #[cfg(feature = "wit")]
            wit_key_type: None,
            ttl: Duration::from_secs(24 * 3600),
        }
    }
}

impl Policy {
    /// When the successor of a key that lives from `created` to `ends` is prepared.
    pub fn prepare_at(created: SystemTime, ends: SystemTime) -> SystemTime {
        ends - (life(created, ends) / 2).min(PREPARE_CAP)
    }

    /// When that successor is activated.
    pub fn activate_at(created: SystemTime, ends: SystemTime) -> SystemTime {
        ends - (life(created, ends) / 6).min(ACTIVATE_CAP)
    }

    /// The longest life of an SVID that no end of a key ever shortens.
    pub fn longest_svid_ttl(&self) -> Duration {
        (self.ttl / 6).min(ACTIVATE_CAP)
    }
}

fn life(created: SystemTime, ends: SystemTime) -> Duration {
    ends.duration_since(created).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_key_is_prepared_at_half_and_activated_at_a_sixth_within_caps() {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        let created = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (life, prepare, activate) in [
            (DAY, 12 * HOUR, 20 * HOUR),
            (12, 6, 10),
            (100 * DAY, 70 * DAY, 93 * DAY),
            (36 * DAY, 18 * DAY, 30 * DAY),
        ] {
            let ends = created + Duration::from_secs(life);
            let since = |at: SystemTime| at.duration_since(created).unwrap().as_secs();
            assert_eq!(
                since(Policy::prepare_at(created, ends)),
                prepare,
                "life {life}"
            );
            assert_eq!(
                since(Policy::activate_at(created, ends)),
                activate,
                "life {life}"
            );
        }
    }
}
