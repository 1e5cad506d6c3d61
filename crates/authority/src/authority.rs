//! The keys of a trust domain, as they come and go.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use pki_types::UnixTime;
#[cfg(feature = "wit")]
use plastron_bundle::WitAuthority;
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

/// A key that signs tokens of one kind.
#[derive(Clone, Debug)]
pub struct TokenKey {
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
    /// Those that sign WIT-SVIDs.
    #[cfg(feature = "wit")]
    Wit,
}

impl Kind {
    /// All kinds that there are.
    pub const ALL: &'static [Self] = &[
        Self::X509,
        Self::Jwt,
        #[cfg(feature = "wit")]
        Self::Wit,
    ];
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
    jwt: Succession<TokenKey>,
    #[cfg(feature = "wit")]
    wit: Succession<TokenKey>,
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
            #[cfg(feature = "wit")]
            wit: Succession::new(Vec::new()),
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
        let tokens = |stored: &[KeyState]| {
            let slots = stored.iter().map(|stored| {
                let private = load(stored)?;
                Ok(slot(stored, TokenKey { private }))
            });
            Ok::<_, AuthorityError>(Succession::new(
                slots.collect::<Result<_, AuthorityError>>()?,
            ))
        };
        Ok(Self {
            trust_domain,
            policy,
            sequence: state.sequence,
            x509: Succession::new(x509.collect::<Result<_, AuthorityError>>()?),
            jwt: tokens(&state.jwt)?,
            #[cfg(feature = "wit")]
            wit: tokens(&state.wit)?,
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
            jwt: rest_of_tokens(&self.jwt),
            #[cfg(feature = "wit")]
            wit: rest_of_tokens(&self.wit),
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
        for &kind in Kind::ALL {
            let retired = match kind {
                Kind::X509 => self.x509.retire(now),
                kind => self.tokens_mut(kind).retire(now),
            };
            done.extend(retired.into_iter().map(|id| Done::Retired { kind, id }));
        }
        let outcome = Kind::ALL.iter().try_for_each(|&kind| {
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
        let all = Kind::ALL.iter().map(|kind| due(*kind));
        all.min().expect("there are kinds")
    }

    /// Until when it can sign X.509-SVIDs and JWT-SVIDs with the keys that are active. `None` when it never could.
    pub fn signs_until(&self) -> Option<SystemTime> {
        Some(self.x509_key()?.ends_at.min(self.jwt_key()?.ends_at))
    }

    /// Makes the next key ahead of its time, and publishes it. `None` when one is prepared already, or none is wanted.
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
        let (prepared, published) = match kind {
            Kind::X509 => (
                self.x509.in_phase(Phase::Prepared).is_some(),
                self.x509.slots().len(),
            ),
            kind => (
                self.tokens(kind).in_phase(Phase::Prepared).is_some(),
                self.tokens(kind).slots().len(),
            ),
        };
        if prepared || self.key_type(kind).is_none() {
            return Ok(None);
        }
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
            kind => self.tokens_mut(kind).activate(),
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
        #[cfg(feature = "wit")]
        for slot in self.wit.slots() {
            let authority =
                WitAuthority::new(slot.id.as_str(), slot.key.private.public_key().clone());
            let added = authority.map(|authority| bundle.add_wit_authority(authority));
            debug_assert!(matches!(added, Ok(Ok(()))), "as above");
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
    pub fn jwt_key(&self) -> Option<&Slot<TokenKey>> {
        self.jwt.in_phase(Phase::Active)
    }

    /// All keys that sign or have signed X.509-SVIDs, or will.
    pub fn x509_keys(&self) -> &[Slot<X509Key>] {
        self.x509.slots()
    }

    /// The same for JWT-SVIDs.
    pub fn jwt_keys(&self) -> &[Slot<TokenKey>] {
        self.jwt.slots()
    }

    /// The key that signs WIT-SVIDs now.
    #[cfg(feature = "wit")]
    pub fn wit_key(&self) -> Option<&Slot<TokenKey>> {
        self.wit.in_phase(Phase::Active)
    }

    /// All keys that sign or have signed WIT-SVIDs, or will.
    #[cfg(feature = "wit")]
    pub fn wit_keys(&self) -> &[Slot<TokenKey>] {
        self.wit.slots()
    }

    /// The bundle's sequence number.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    fn need(&self, kind: Kind, now: SystemTime) -> Need {
        match kind {
            Kind::X509 => self.x509.need(now),
            #[cfg(feature = "wit")]
            Kind::Wit if self.policy.wit_key_type.is_none() => self.wit.need_none(now),
            kind => self.tokens(kind).need(now),
        }
    }

    /// What keys of a kind are to be, if any.
    fn key_type(&self, kind: Kind) -> Option<KeyType> {
        match kind {
            Kind::X509 => Some(self.policy.x509_key_type),
            Kind::Jwt => Some(self.policy.jwt_key_type),
            #[cfg(feature = "wit")]
            Kind::Wit => self.policy.wit_key_type,
        }
    }

    /// The keys for tokens: for WIT-SVIDs, or else for JWT-SVIDs.
    fn tokens(&self, kind: Kind) -> &Succession<TokenKey> {
        match kind {
            #[cfg(feature = "wit")]
            Kind::Wit => &self.wit,
            _ => &self.jwt,
        }
    }

    fn tokens_mut(&mut self, kind: Kind) -> &mut Succession<TokenKey> {
        match kind {
            #[cfg(feature = "wit")]
            Kind::Wit => &mut self.wit,
            _ => &mut self.jwt,
        }
    }

    fn prepare(
        &mut self,
        kind: Kind,
        now: SystemTime,
        keys: &dyn KeyBackend,
    ) -> Result<Done, AuthorityError> {
        let key_type = self.key_type(kind).expect("nothing else asks for a key");
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
            kind => {
                let (id, phase, created_at, ends_at) = place(hex(&serial));
                self.tokens_mut(kind).prepare(Slot {
                    id: id.clone(),
                    phase,
                    created_at,
                    ends_at,
                    key: TokenKey { private },
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

fn rest_of_tokens(keys: &Succession<TokenKey>) -> Vec<KeyState> {
    let slots = keys.slots().iter();
    slots
        .map(|slot| rest(slot, &*slot.key.private, None))
        .collect()
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
