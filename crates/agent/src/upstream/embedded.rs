//! The authority inside the agent: signs at once, and replaces its own keys as time passes.
//!
//! Each step is tried on a copy, stored, and only then published and used: after a crash there is no bundle that anybody has
//! seen and no signature that anybody holds of a key that is lost. A store that fails stops the keys, not the agent: what is
//! active goes on signing until it ends, and health says so. Once it has ended, nothing can be issued, and the agent is not
//! ready until a step succeeds.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use pki_types::UnixTime;
use plastron_attest::BoxFuture;
use plastron_authority::{Authority, AuthorityError, Done, KeyStore, KeyStoreError, Kind, Policy};
use plastron_bundle::Bundle;
use plastron_id::TrustDomain;
use plastron_keys::{KeyBackend, SignatureAlgorithm, SigningKey};
#[cfg(feature = "wit")]
use plastron_mint::WitIssuer;
use plastron_mint::{JwtIssuer, X509Issuer};
use plastron_schedule::{Backoff, Seed};
use tokio::sync::{Mutex as AsyncMutex, watch};

use super::{
    AuthorityState, JwtIssued, JwtRequest, Upstream, UpstreamError, X509Issued, X509Request,
};
#[cfg(feature = "wit")]
use super::{WitIssued, WitRequest};
use crate::{clock::Clock, health::Component};

/// The first pause after a failed step, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// An authority inside the agent.
pub struct Embedded {
    keys: Arc<dyn KeyBackend>,
    store: Box<dyn KeyStore>,
    clock: Clock,
    jwt_issuer: Option<String>,
    /// How long a key that an operator asked for is published before it signs.
    spread: Duration,
    current: ArcSwap<Authority>,
    /// Held over each step.
    step: Mutex<()>,
    rotation: AsyncMutex<()>,
    /// Sent to after each step that changed something.
    stepped: watch::Sender<()>,
    bundle: watch::Sender<Arc<Bundle>>,
    /// Why the last step failed.
    failure: Mutex<Option<String>>,
    health: Option<Component>,
}

/// What an embedded authority is told.
#[derive(Debug)]
#[must_use]
pub struct EmbeddedSettings {
    trust_domain: TrustDomain,
    policy: Policy,
    jwt_issuer: Option<String>,
    spread: Duration,
    health: Option<Component>,
}

impl EmbeddedSettings {
    /// An authority of `trust_domain` whose keys come and go by `policy`.
    pub fn new(trust_domain: TrustDomain, policy: Policy) -> Self {
        Self {
            trust_domain,
            policy,
            jwt_issuer: None,
            spread: Duration::ZERO,
            health: None,
        }
    }

    /// The `iss` of JWT-SVIDs. Default: none.
    pub fn jwt_issuer(mut self, jwt_issuer: Option<String>) -> Self {
        self.jwt_issuer = jwt_issuer;
        self
    }

    /// How long a key that an operator asked for is published before it signs. Default: no time.
    pub fn spread(mut self, spread: Duration) -> Self {
        self.spread = spread;
        self
    }

    /// Where it is said that keys cannot be replaced, or that none is left to sign with.
    pub fn health(mut self, health: Component) -> Self {
        self.health = Some(health);
        self
    }
}

/// Why an authority did not take a step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// Its keys could not be stored, or read.
    #[error("the authority's keys could not be {doing}")]
    Store {
        /// `read` or `stored`.
        doing: &'static str,
        /// Why, in the words of the store.
        #[source]
        source: KeyStoreError,
    },
    /// A key could not be made, loaded or certified.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl Embedded {
    /// Goes on where the store says, or begins with new keys when nothing was ever stored.
    ///
    /// # Errors
    ///
    /// The store cannot be read or written, or its keys are unusable. Nothing is replaced then.
    pub fn open(
        settings: EmbeddedSettings,
        store: Box<dyn KeyStore>,
        keys: Arc<dyn KeyBackend>,
        clock: Clock,
    ) -> Result<Arc<Self>, EmbeddedError> {
        let EmbeddedSettings {
            trust_domain,
            policy,
            jwt_issuer,
            spread,
            health,
        } = settings;
        let stored = store.load().map_err(|source| EmbeddedError::Store {
            doing: "read",
            source,
        })?;
        let authority = match stored {
            Some(state) => Authority::restore(trust_domain, policy, &state, &*keys)?,
            None => Authority::new(trust_domain, policy),
        };
        let embedded = Arc::new(Self {
            bundle: watch::Sender::new(Arc::new(authority.bundle())),
            current: ArcSwap::from_pointee(authority),
            keys,
            store,
            clock,
            jwt_issuer,
            spread,
            step: Mutex::new(()),
            rotation: AsyncMutex::new(()),
            stepped: watch::Sender::new(()),
            failure: Mutex::new(None),
            health,
        });
        embedded.step(|authority, keys, now| authority.poll(now, keys))?;
        Ok(embedded)
    }

    /// Replaces keys as their time comes, for as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.replace_keys(), self.watch_ends());
    }

    async fn replace_keys(self: &Arc<Self>) {
        let mut stepped = self.stepped.subscribe();
        let mut backoff = Backoff::new(
            RETRY.0,
            RETRY.1,
            Seed::from_bytes(
                self.current
                    .load()
                    .state()
                    .sequence
                    .to_be_bytes()
                    .as_slice(),
            ),
        );
        loop {
            let due = self.current.load().next_due(self.clock.now());
            tokio::select! {
                () = self.clock.sleep_until(Some(due)) => {}
                _ = stepped.changed() => continue,
            }
            if self.clock.now() < due {
                continue;
            }
            let step = self.clone();
            let stepped = tokio::task::spawn_blocking(move || {
                step.step(|authority, keys, now| authority.poll(now, keys))
            })
            .await;
            match stepped {
                Ok(Ok(_)) => backoff.reset(),
                Ok(Err(_)) => tokio::time::sleep(backoff.next_delay()).await,
                Err(error) => {
                    tracing::error!(%error, "the authority's step broke off");
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }

    /// Says when a key ends that was not replaced, however long a step takes.
    async fn watch_ends(&self) {
        let mut stepped = self.stepped.subscribe();
        loop {
            let end = self.current.load().signs_until();
            tokio::select! {
                () = self.clock.sleep_until(end) => {
                    if end.is_some_and(|end| end <= self.clock.now()) {
                        self.tell();
                        // Nothing else changes that.
                        let _ = stepped.changed().await;
                    }
                }
                _ = stepped.changed() => {}
            }
        }
    }

    /// Why the last step failed, if it did.
    pub fn failure(&self) -> Option<String> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Tries a step on a copy, stores it, and lets it be seen.
    fn step(
        &self,
        step: impl FnOnce(
            &mut Authority,
            &dyn KeyBackend,
            SystemTime,
        ) -> Result<Vec<Done>, AuthorityError>,
    ) -> Result<Vec<Done>, EmbeddedError> {
        let _one_at_a_time = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.try_step(step);
        let failure = outcome.as_ref().err().map(|error| chain(error));
        if let Some(words) = &failure {
            tracing::error!(error = words, "the authority's keys cannot be replaced");
        }
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        self.tell();
        outcome
    }

    /// Says in health how it stands.
    fn tell(&self) {
        let Some(health) = &self.health else { return };
        // Held until it is said, so that what is said last is so.
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.current.load().signs_until();
        let signs = end.is_some_and(|end| end > self.clock.now());
        match (signs, &*failure) {
            (true, None) => health.ok(),
            (true, Some(why)) => health.degraded(why.as_str()),
            (false, None) => health.failed(NO_KEY),
            (false, Some(why)) => health.failed(format!("{NO_KEY}: {why}")),
        }
    }

    fn try_step(
        &self,
        step: impl FnOnce(
            &mut Authority,
            &dyn KeyBackend,
            SystemTime,
        ) -> Result<Vec<Done>, AuthorityError>,
    ) -> Result<Vec<Done>, EmbeddedError> {
        let mut next = Authority::clone(&self.current.load());
        let done = step(&mut next, &*self.keys, self.clock.now())?;
        if done.is_empty() {
            return Ok(done);
        }
        self.store
            .store(&next.state())
            .map_err(|source| EmbeddedError::Store {
                doing: "stored",
                source,
            })?;
        for done in &done {
            match done {
                Done::Prepared { kind, id } => tracing::info!(?kind, id, "authority prepared"),
                Done::Activated { kind, id } => tracing::info!(?kind, id, "authority activated"),
                Done::Retired { kind, id } => tracing::info!(?kind, id, "authority retired"),
            }
        }
        // Published first: nobody meets a signature of a key that no bundle has shown.
        self.bundle.send_replace(Arc::new(next.bundle()));
        self.current.store(Arc::new(next));
        self.stepped.send_replace(());
        Ok(done)
    }

    fn sign_x509(&self, request: &X509Request) -> Result<X509Issued, UpstreamError> {
        let now = self.clock.now();
        let authority = self.current.load();
        let slot = authority
            .x509_key()
            .filter(|slot| slot.ends_at > now)
            .ok_or_else(no_key)?;
        let mut serial = [0; 16];
        self.keys.random(&mut serial).map_err(unavailable)?;
        // Positive, whatever was drawn (X509-42).
        serial[0] &= 0x7f;
        let issued =
            X509Issuer::with_certificate(slot.key.authority.certificate(), &*slot.key.private)
                .map_err(unavailable)?
                .x509_svid(&request.spiffe_id, &request.public_key)
                .dns_names(&request.dns_names)
                .lifetime(request.lifetime)
                .sign(&serial, now)
                .map_err(|error| UpstreamError::Refused {
                    reason: chain(&error),
                })?;
        Ok(X509Issued {
            chain: issued.der,
            serial: serial.to_vec(),
            issued_at: now,
            expires_at: system(issued.not_after),
        })
    }

    fn sign_jwt(&self, request: &JwtRequest) -> Result<JwtIssued, UpstreamError> {
        let now = self.clock.now();
        let authority = self.current.load();
        let slot = authority
            .jwt_key()
            .filter(|slot| slot.ends_at > now)
            .ok_or_else(no_key)?;
        let jti = self.token_id()?;
        let trust_domain = request.spiffe_id.trust_domain();
        let issued = JwtIssuer::new(
            trust_domain,
            &slot.id,
            &*slot.key.private,
            self.jwt_issuer.as_deref(),
        )
        .map_err(unavailable)?
        .not_after(unix(slot.ends_at))
        .jwt_svid(&request.spiffe_id, &request.audiences)
        .lifetime(request.lifetime)
        .sign(&jti, now)
        .map_err(|error| UpstreamError::Refused {
            reason: chain(&error),
        })?;
        Ok(JwtIssued {
            token: issued.token,
            jti,
            issued_at: now,
            expires_at: system(issued.expires_at),
        })
    }
}

impl Embedded {
    #[cfg(feature = "wit")]
    fn sign_wit(&self, request: &WitRequest) -> Result<WitIssued, UpstreamError> {
        let now = self.clock.now();
        let authority = self.current.load();
        let slot = authority
            .wit_key()
            .filter(|slot| slot.ends_at > now)
            .ok_or_else(no_key)?;
        let jti = self.token_id()?;
        let trust_domain = request.spiffe_id.trust_domain();
        let issued = WitIssuer::new(trust_domain, &slot.id, &*slot.key.private)
            .map_err(unavailable)?
            .not_after(unix(slot.ends_at))
            .wit_svid(&request.spiffe_id, &request.public_key)
            .lifetime(request.lifetime)
            .sign(&jti, now)
            .map_err(|error| UpstreamError::Refused {
                reason: chain(&error),
            })?;
        Ok(WitIssued {
            token: issued.token,
            jti,
            issued_at: now,
            expires_at: system(issued.expires_at),
        })
    }

    /// A `jti` of 128 random bits (WIT-15).
    fn token_id(&self) -> Result<String, UpstreamError> {
        let mut id = [0; 16];
        self.keys.random(&mut id).map_err(unavailable)?;
        Ok(id.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl Upstream for Arc<Embedded> {
    fn x509_svid(&self, request: X509Request) -> BoxFuture<'_, Result<X509Issued, UpstreamError>> {
        let slow = self
            .current
            .load()
            .x509_key()
            .is_some_and(|slot| is_slow(&*slot.key.private));
        signing(self, slow, move |embedded| embedded.sign_x509(&request))
    }

    fn jwt_svid(&self, request: JwtRequest) -> BoxFuture<'_, Result<JwtIssued, UpstreamError>> {
        let slow = self
            .current
            .load()
            .jwt_key()
            .is_some_and(|slot| is_slow(&*slot.key.private));
        signing(self, slow, move |embedded| embedded.sign_jwt(&request))
    }

    #[cfg(feature = "wit")]
    fn wit_svid(&self, request: WitRequest) -> BoxFuture<'_, Result<WitIssued, UpstreamError>> {
        let slow = self
            .current
            .load()
            .wit_key()
            .is_some_and(|slot| is_slow(&*slot.key.private));
        signing(self, slow, move |embedded| embedded.sign_wit(&request))
    }

    fn bundle(&self) -> watch::Receiver<Arc<Bundle>> {
        self.bundle.subscribe()
    }

    fn rotate(&self, kinds: &'static [Kind]) -> BoxFuture<'_, Result<Vec<Done>, UpstreamError>> {
        Box::pin(async move {
            let _one_at_a_time = self.rotation.lock().await;
            let embedded = self.clone();
            let prepare = move || {
                embedded.step(|authority, keys, now| {
                    let prepared = kinds
                        .iter()
                        .map(|kind| authority.prepare_now(*kind, now, keys));
                    prepared.filter_map(Result::transpose).collect()
                })
            };
            let mut done = tokio::task::spawn_blocking(prepare)
                .await
                .map_err(unavailable)?
                .map_err(unavailable)?;
            if !done.is_empty() {
                tokio::time::sleep(self.spread).await;
            }
            let embedded = self.clone();
            let activate = move || {
                embedded.step(|authority, _, _| {
                    Ok(kinds
                        .iter()
                        .filter_map(|kind| authority.activate(*kind))
                        .collect())
                })
            };
            done.extend(
                tokio::task::spawn_blocking(activate)
                    .await
                    .map_err(unavailable)?
                    .map_err(unavailable)?,
            );
            Ok(done)
        })
    }

    fn authorities(&self) -> Vec<AuthorityState> {
        let authority = self.current.load();
        let x509 = authority
            .x509_keys()
            .iter()
            .map(|slot| AuthorityState::new(Kind::X509, slot));
        let jwt = authority
            .jwt_keys()
            .iter()
            .map(|slot| AuthorityState::new(Kind::Jwt, slot));
        let all = x509.chain(jwt);
        #[cfg(feature = "wit")]
        let all = all.chain(
            authority
                .wit_keys()
                .iter()
                .map(|slot| AuthorityState::new(Kind::Wit, slot)),
        );
        all.collect()
    }

    fn problem(&self) -> Option<String> {
        self.failure()
    }
}

/// Signs here and now, or beside the others when one signature takes as long as a hundred.
fn signing<'a, T: Send + 'static>(
    embedded: &Arc<Embedded>,
    slow: bool,
    sign: impl FnOnce(&Embedded) -> Result<T, UpstreamError> + Send + 'static,
) -> BoxFuture<'a, Result<T, UpstreamError>> {
    if slow {
        let embedded = embedded.clone();
        return Box::pin(async move {
            tokio::task::spawn_blocking(move || sign(&embedded))
                .await
                .map_err(unavailable)?
        });
    }
    Box::pin(std::future::ready(sign(embedded)))
}

fn is_slow(key: &dyn SigningKey) -> bool {
    use SignatureAlgorithm as Algorithm;
    !matches!(
        key.algorithm(),
        Algorithm::EcdsaP256Sha256 | Algorithm::EcdsaP384Sha384 | Algorithm::Ed25519
    )
}

const NO_KEY: &str = "no signing key is active";

fn no_key() -> UpstreamError {
    UpstreamError::Unavailable {
        reason: NO_KEY.into(),
    }
}

fn unavailable(error: impl std::error::Error) -> UpstreamError {
    UpstreamError::Unavailable {
        reason: chain(&error),
    }
}

/// An error with its causes, for one line of a log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

fn unix(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

fn system(time: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())
}
