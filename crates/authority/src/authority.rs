//! The keys of a trust domain, as they come and go.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use pki_types::UnixTime;
use plastron_bundle::{Bundle, JwtAuthority, X509Authority};
use plastron_id::TrustDomain;
use plastron_keys::{KeyBackend, KeyError, KeyType, PrivateKey};
use plastron_mint::{BACKDATE, MintError, self_signed_authority};
use zeroize::Zeroizing;

use crate::{
    KeyState, Phase, Policy, Slot, State,
    succession::{Need, Succession},
};

/// How often consumers of the bundle should ask for it when the keys live long (BUNDLE-34).
const REFRESH_HINT: Duration = Duration::from_secs(300);

/// Keys of a kind that may be published before a rotation ahead of time is refused: every verifier tries them all.
const MOST_PUBLISHED: usize = 16;

/// A key that signs X.509-SVIDs.
#[derive(Clone, Debug)]
pub struct X509Key {
    /// The private key.
    pub private: Arc<dyn PrivateKey>,
    /// Its self-signed certificate, in the bundle.
    pub authority: X509Authority,
}

/// A key that signs JWT-SVIDs.
#[derive(Clone, Debug)]
pub struct JwtKey {
    /// The private key.
    pub private: Arc<dyn PrivateKey>,
}

/// Which of a trust domain's keys.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Those that sign X.509-SVIDs.
    X509,
    /// Those that sign JWT-SVIDs.
    Jwt,
}

/// Something that happened to a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Done {
    /// It was made, and is published from now on.
    Prepared {
        /// Which sort of key.
        kind: Kind,
        /// Its name.
        id: String,
    },
    /// It signs from now on.
    Activated {
        /// Which sort of key.
        kind: Kind,
        /// Its name.
        id: String,
    },
    /// It has left the bundle.
    Retired {
        /// Which sort of key.
        kind: Kind,
        /// Its name.
        id: String,
    },
}

/// The signing keys of a trust domain. Cloning shares the keys: a driver tries a step on a clone, stores it, and keeps it.
#[derive(Clone, Debug)]
pub struct Authority {
    trust_domain: TrustDomain,
    policy: Policy,
    sequence: u64,
    x509: Succession<X509Key>,
    jwt: Succession<JwtKey>,
}

/// Why an authority could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// No key could be made.
    #[error("no {key_type} key could be made")]
    Generate {
        /// What was asked for.
        key_type: KeyType,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A stored key cannot be loaded.
    #[error("stored key {id} cannot be loaded")]
    Load {
        /// The key's name.
        id: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A stored X.509 key has no certificate, or one that is no authority's.
    #[error("stored certificate of key {id} is missing or not an authority's")]
    Certificate {
        /// The key's name.
        id: String,
    },
    /// So many keys of a kind are in the bundle that another one, ahead of its time, has to wait.
    #[error("{published} keys of this kind are published already; wait until the oldest has ended")]
    TooMany {
        /// How many there are.
        published: usize,
    },
    /// The certificate could not be signed.
    #[error("the authority's certificate could not be signed")]
    Sign(#[from] MintError),
}

impl Authority {
    /// An authority without keys yet: the first [`Authority::poll`] makes them.
    pub fn new(trust_domain: TrustDomain, policy: Policy) -> Self {
        Self {
            trust_domain,
            policy,
            sequence: 0,
            x509: Succession::new(Vec::new()),
            jwt: Succession::new(Vec::new()),
        }
    }

    /// Goes on from a stored state. Keys keep the type and life they were made with.
    ///
    /// # Errors
    ///
    /// A key that cannot be loaded: better no authority than another one.
    pub fn restore(
        trust_domain: TrustDomain,
        policy: Policy,
        state: &State,
        keys: &dyn KeyBackend,
    ) -> Result<Self, AuthorityError> {
        let load = |stored: &KeyState| match keys.from_pkcs8(&stored.pkcs8) {
            Ok(key) => Ok(Arc::<dyn PrivateKey>::from(key)),
            Err(source) => Err(AuthorityError::Load {
                id: stored.id.clone(),
                source,
            }),
        };
        let x509 = state.x509.iter().map(|stored| {
            let certificate = || AuthorityError::Certificate {
                id: stored.id.clone(),
            };
            let authority =
                X509Authority::parse(stored.certificate.as_deref().ok_or_else(certificate)?)
                    .map_err(|_| certificate())?;
            let private = load(stored)?;
            if authority.certificate().spki().der() != private.public_key().spki_der() {
                return Err(certificate());
            }
            Ok(slot(stored, X509Key { private, authority }))
        });
        let jwt = state.jwt.iter().map(|stored| {
            Ok(slot(
                stored,
                JwtKey {
                    private: load(stored)?,
                },
            ))
        });
        Ok(Self {
            trust_domain,
            policy,
            sequence: state.sequence,
            x509: Succession::new(x509.collect::<Result<_, AuthorityError>>()?),
            jwt: Succession::new(jwt.collect::<Result<_, AuthorityError>>()?),
        })
    }

    /// The state to store.
    pub fn state(&self) -> State {
        State {
            sequence: self.sequence,
            x509: self
                .x509
                .slots()
                .iter()
                .map(|slot| {
                    rest(
                        slot,
                        &*slot.key.private,
                        Some(slot.key.authority.der().to_vec()),
                    )
                })
                .collect(),
            jwt: self
                .jwt
                .slots()
                .iter()
                .map(|slot| rest(slot, &*slot.key.private, None))
                .collect(),
        }
    }

    /// Does what `now` asks for, and says what it did, in order. Nothing done: nothing changed.
    ///
    /// # Errors
    ///
    /// A key could not be made or certified. What was done before that stands, and the rest is tried at the next call.
    pub fn poll(
        &mut self,
        now: SystemTime,
        keys: &dyn KeyBackend,
    ) -> Result<Vec<Done>, AuthorityError> {
        let mut done = Vec::new();
        done.extend(self.x509.retire(now).into_iter().map(|id| Done::Retired {
            kind: Kind::X509,
            id,
        }));
        done.extend(self.jwt.retire(now).into_iter().map(|id| Done::Retired {
            kind: Kind::Jwt,
            id,
        }));
        let outcome = [Kind::X509, Kind::Jwt].into_iter().try_for_each(|kind| {
            loop {
                match self.need(kind, now) {
                    Need::Prepare => done.push(self.prepare(kind, now, keys)?),
                    Need::Activate => done.extend(self.activate(kind)),
                    Need::Wait(_) => return Ok(()),
                }
            }
        });
        if done
            .iter()
            .any(|done| !matches!(done, Done::Activated { .. }))
        {
            self.sequence += 1;
        }
        outcome.map(|()| done)
    }

    /// When to poll next.
    pub fn next_due(&self, now: SystemTime) -> SystemTime {
        let due = |kind| match self.need(kind, now) {
            Need::Wait(until) => until,
            _ => now,
        };
        due(Kind::X509).min(due(Kind::Jwt))
    }

    /// Makes the next key ahead of its time, and publishes it. `None` when one is prepared already.
    ///
    /// # Errors
    ///
    /// As [`Authority::poll`].
    pub fn prepare_now(
        &mut self,
        kind: Kind,
        now: SystemTime,
        keys: &dyn KeyBackend,
    ) -> Result<Option<Done>, AuthorityError> {
        let prepared = match kind {
            Kind::X509 => self.x509.in_phase(Phase::Prepared).is_some(),
            Kind::Jwt => self.jwt.in_phase(Phase::Prepared).is_some(),
        };
        if prepared {
            return Ok(None);
        }
        let published = match kind {
            Kind::X509 => self.x509.slots().len(),
            Kind::Jwt => self.jwt.slots().len(),
        };
        if published >= MOST_PUBLISHED {
            return Err(AuthorityError::TooMany { published });
        }
        let done = self.prepare(kind, now, keys)?;
        self.sequence += 1;
        Ok(Some(done))
    }

    /// Lets the prepared key sign ahead of its time. `None` when none is prepared.
    pub fn activate(&mut self, kind: Kind) -> Option<Done> {
        let id = match kind {
            Kind::X509 => self.x509.activate(),
            Kind::Jwt => self.jwt.activate(),
        }?;
        Some(Done::Activated { kind, id })
    }

    /// The trust domain's bundle: every key that is published.
    pub fn bundle(&self) -> Bundle {
        let mut bundle = Bundle::new(self.trust_domain.clone());
        for slot in self.x509.slots() {
            bundle.add_x509_authority(slot.key.authority.clone());
        }
        for slot in self.jwt.slots() {
            let authority =
                JwtAuthority::new(slot.id.as_str(), slot.key.private.public_key().clone());
            let added = authority.map(|authority| bundle.add_jwt_authority(authority));
            debug_assert!(
                matches!(added, Ok(Ok(()))),
                "key IDs are drawn at random, 16 bytes each"
            );
        }
        bundle.set_sequence(Some(self.sequence));
        bundle.set_refresh_hint(Some(
            REFRESH_HINT
                .min(self.policy.ttl / 10)
                .max(Duration::from_secs(1)),
        ));
        bundle
    }

    /// The key that signs X.509-SVIDs now.
    pub fn x509_key(&self) -> Option<&Slot<X509Key>> {
        self.x509.in_phase(Phase::Active)
    }

    /// The key that signs JWT-SVIDs now.
    pub fn jwt_key(&self) -> Option<&Slot<JwtKey>> {
        self.jwt.in_phase(Phase::Active)
    }

    /// All keys that sign or have signed X.509-SVIDs, or will.
    pub fn x509_keys(&self) -> &[Slot<X509Key>] {
        self.x509.slots()
    }

    /// The same for JWT-SVIDs.
    pub fn jwt_keys(&self) -> &[Slot<JwtKey>] {
        self.jwt.slots()
    }

    /// The bundle's sequence number.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    fn need(&self, kind: Kind, now: SystemTime) -> Need {
        match kind {
            Kind::X509 => self.x509.need(now),
            Kind::Jwt => self.jwt.need(now),
        }
    }

    fn prepare(
        &mut self,
        kind: Kind,
        now: SystemTime,
        keys: &dyn KeyBackend,
    ) -> Result<Done, AuthorityError> {
        let key_type = match kind {
            Kind::X509 => self.policy.x509_key_type,
            Kind::Jwt => self.policy.jwt_key_type,
        };
        let failed = |source| AuthorityError::Generate { key_type, source };
        let private = Arc::<dyn PrivateKey>::from(keys.generate(key_type).map_err(failed)?);
        let mut serial = [0; 16];
        keys.random(&mut serial).map_err(failed)?;
        let ends_at = whole_second(now + self.policy.ttl);
        let place = |id| (id, Phase::Prepared, now, ends_at);
        let id = match kind {
            Kind::X509 => {
                let der = self_signed_authority(
                    &self.trust_domain,
                    &*private,
                    &serial,
                    unix(now - BACKDATE),
                    unix(ends_at),
                )?;
                let authority =
                    X509Authority::parse(&der).expect("mint makes certificates of authorities");
                let (id, phase, created_at, ends_at) =
                    place(hex(&private.public_key().key_identifier()));
                self.x509.prepare(Slot {
                    id: id.clone(),
                    phase,
                    created_at,
                    ends_at,
                    key: X509Key { private, authority },
                });
                id
            }
            Kind::Jwt => {
                let (id, phase, created_at, ends_at) = place(hex(&serial));
                self.jwt.prepare(Slot {
                    id: id.clone(),
                    phase,
                    created_at,
                    ends_at,
                    key: JwtKey { private },
                });
                id
            }
        };
        Ok(Done::Prepared { kind, id })
    }
}

fn slot<K>(stored: &KeyState, key: K) -> Slot<K> {
    Slot {
        id: stored.id.clone(),
        phase: stored.phase,
        created_at: stored.created_at,
        ends_at: stored.ends_at,
        key,
    }
}

fn rest<K>(slot: &Slot<K>, private: &dyn PrivateKey, certificate: Option<Vec<u8>>) -> KeyState {
    KeyState {
        id: slot.id.clone(),
        phase: slot.phase,
        created_at: slot.created_at,
        ends_at: slot.ends_at,
        pkcs8: Zeroizing::new(private.to_pkcs8().to_vec()),
        certificate,
    }
}

fn unix(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

/// The end of a life in whole seconds, as certificates and tokens count.
fn whole_second(time: SystemTime) -> SystemTime {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH
        + Duration::from_secs(since.as_secs() + u64::from(since.subsec_nanos() > 0))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string");
            text
        })
}
