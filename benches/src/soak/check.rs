//! What a workload checks of what it receives, each time and at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pki_types::UnixTime;
use plastron_bundle::Bundle;
use plastron_bundle::certificate::certificates;
use plastron_keys::KeyBackend;
use plastron_keys_aws_lc::AwsLc;
use plastron_svid::{JwtError, JwtVerifier, PathError, VerifyError, X509Svid, X509Verifier};
use plastron_wire::workload::{Jwtsvid, X509svid, X509svidResponse};
use prost::bytes::Bytes;
use tokio::sync::watch;

use crate::client::Message;
use crate::judge::{Authorities, REACH, RETRY};
use crate::moment::{self, Moment};
use crate::news::{Shown, Teller, digest};
use crate::rule::Rule;
use crate::versions::{JWT_SVID_TTL, TRUST_DOMAIN, version_of};

/// Chains whose signatures have been checked, kept until there are so many.
const KEPT: usize = 256;

/// One for each process of the load.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    pub(crate) teller: Teller,
    verified: Mutex<Verified>,
    /// The newest that any bundle stream of this process brought.
    x509_bundle: Newest,
    jwt_bundle: Newest,
}

type Newest = watch::Sender<Option<Arc<Bundle>>>;

#[derive(Debug, Default)]
struct Verified {
    bundle: Option<(Bytes, Arc<Bundle>)>,
    /// Chains, by what they were verified with.
    chains: HashMap<(Bytes, Bytes), Arc<Chain>>,
}

/// A chain that verifies with some bundle, from when until when.
#[derive(Debug)]
struct Chain {
    id: String,
    serial: String,
    from: UnixTime,
    until: UnixTime,
    leaf_ends: UnixTime,
}

/// What a message comes to.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) shown: Shown,
    /// When the first of its SVIDs expires.
    pub(crate) expires: Option<UnixTime>,
}

impl Checker {
    /// Checks a message. What is wrong with it is told.
    pub(crate) fn see(self: &Arc<Self>, message: &Message) -> Option<Seen> {
        let (rule, seen) = match message {
            Message::X509Svids(response) => (Rule::X509Valid, self.x509_svids(response)),
            Message::X509Bundles(response) => {
                let bundle = response.bundles.get(&trust_domain_id());
                let read = read(bundle, |der| Bundle::from_der(trust_domain(), der));
                (
                    Rule::BundlesRead,
                    self.bundle(read, &self.x509_bundle, authorities_x509),
                )
            }
            Message::JwtBundles(response) => {
                let bundle = response.bundles.get(&trust_domain_id());
                let read = read(bundle, |jwks| Bundle::parse_jwks(trust_domain(), jwks));
                (
                    Rule::BundlesRead,
                    self.bundle(read, &self.jwt_bundle, authorities_jwt),
                )
            }
        };
        match seen {
            Ok(seen) => {
                self.teller.held(rule);
                Some(seen)
            }
            Err(what) => {
                self.teller.broken(rule, what);
                None
            }
        }
    }

    fn bundle(
        &self,
        read: Result<Arc<Bundle>, String>,
        newest: &Newest,
        authorities: fn(&Bundle) -> u64,
    ) -> Result<Seen, String> {
        let bundle = read?;
        let shown = Shown {
            version: None,
            ids: 0,
            serials: Vec::new(),
            authorities: authorities(&bundle),
        };
        newest.send_replace(Some(bundle));
        Ok(Seen {
            shown,
            expires: None,
        })
    }

    fn x509_svids(self: &Arc<Self>, response: &X509svidResponse) -> Result<Seen, String> {
        let first = response.svids.first().ok_or("a response without SVIDs")?;
        let bundle = self.bundle_beside(&first.bundle)?;
        let now = moment::seconds();
        let mut chains = Vec::new();
        for svid in &response.svids {
            if svid.bundle != first.bundle {
                return Err("two bundles of one trust domain in one response".to_owned());
            }
            let chain = self.verify(svid, &bundle)?;
            let (from, until) = (chain.from.as_secs(), chain.until.as_secs());
            if !(from..=until).contains(&now.as_secs()) {
                return Err(format!(
                    "{} is valid from {from} until {until}, and it is {}",
                    svid.spiffe_id,
                    now.as_secs()
                ));
            }
            if chain.until < chain.leaf_ends {
                return Err(format!("{} outlives its authority", svid.spiffe_id));
            }
            self.teller.received(&chain.serial);
            chains.push(chain);
        }
        let ids = response.svids.iter().map(|svid| svid.spiffe_id.as_str());
        let mut versions = ids.clone().filter_map(version_of);
        let shown = Shown {
            version: versions.next(),
            ids: digest(ids),
            serials: chains.iter().map(|chain| chain.digests()).collect(),
            authorities: authorities_x509(&bundle),
        };
        if versions.next().is_some() {
            return Err("a response with entries of two versions".to_owned());
        }
        // The rest is counted with the response.
        for _ in 1..response.svids.len() {
            self.teller.held(Rule::X509Valid);
        }
        Ok(Seen {
            shown,
            expires: chains.iter().map(|chain| chain.leaf_ends).min(),
        })
    }

    fn bundle_beside(&self, der: &Bytes) -> Result<Arc<Bundle>, String> {
        let mut verified = self.verified();
        if let Some((last, bundle)) = &verified.bundle
            && last == der
        {
            return Ok(bundle.clone());
        }
        let bundle = read(Some(der), |der| Bundle::from_der(trust_domain(), der))?;
        verified.bundle = Some((der.clone(), bundle.clone()));
        Ok(bundle)
    }

    /// Verifies a chain. Signatures are checked once for a chain and a bundle.
    fn verify(self: &Arc<Self>, svid: &X509svid, bundle: &Bundle) -> Result<Arc<Chain>, String> {
        let key = (svid.x509_svid.clone(), svid.bundle.clone());
        if let Some(chain) = self.verified().chains.get(&key) {
            return Ok(chain.clone());
        }
        let chain = verify_chain(&svid.x509_svid, bundle)
            .map_err(|error| format!("{}: {error}", svid.spiffe_id))?;
        if chain.id != svid.spiffe_id {
            return Err(format!("{} with the SVID of {}", svid.spiffe_id, chain.id));
        }
        X509Svid::parse(&svid.x509_svid, &svid.x509_svid_key, &AwsLc)
            .map_err(|error| format!("{}: {error}", svid.spiffe_id))?;
        let chain = Arc::new(chain);
        let mut verified = self.verified();
        if verified.chains.len() >= KEPT {
            verified.chains.clear();
        }
        if !verified.chains.keys().any(|(known, _)| *known == key.0) {
            let (checker, der, chain) = (self.clone(), key.0.clone(), chain.clone());
            tokio::spawn(async move { checker.verify_as_peer(&der, &chain.id).await });
        }
        verified.chains.insert(key, chain.clone());
        Ok(chain)
    }

    /// Does what the other end of a connection does, which has a bundle from its own stream.
    async fn verify_as_peer(&self, chain: &Bytes, id: &str) {
        let found = in_time(self.x509_bundle.subscribe(), |bundle| {
            match verify_chain(chain, bundle) {
                Ok(_) => Verdict::Good(()),
                Err(VerifyError::Untrusted(PathError::UnknownIssuer | PathError::Signature)) => {
                    Verdict::Later
                }
                Err(error) => Verdict::Bad(error.to_string()),
            }
        });
        let found = found.await.map_err(|error| format!("{id}: {error}"));
        self.teller.found(Rule::PeersTrusted, found);
    }

    /// Checks a JWT-SVID for these audiences that was just received.
    pub(crate) async fn jwt_svid(&self, svid: &Jwtsvid, audiences: &[String]) {
        let now = moment::seconds();
        let expected: Vec<&str> = audiences.iter().map(String::as_str).collect();
        let verifier = JwtVerifier::new(AwsLc.algorithms()).leeway(Duration::ZERO);
        let found = in_time(self.jwt_bundle.subscribe(), |bundle| {
            match verifier.verify(&svid.svid, &expected, bundle, now) {
                Ok(verified) => Verdict::Good(verified),
                Err(JwtError::UnknownKey { .. }) => Verdict::Later,
                Err(error) => Verdict::Bad(error.to_string()),
            }
        });
        let found = found.await.and_then(|verified| {
            let claims = verified.claims();
            let text = |name: &str| claims.get(name).and_then(|claim| claim.as_str());
            self.teller
                .received(text("jti").ok_or("a token without jti")?);
            let ends = verified.expires_at().as_secs();
            if ends > now.as_secs() + JWT_SVID_TTL + 1 {
                return Err(format!(
                    "it lives until {ends}, and it is {}",
                    now.as_secs()
                ));
            }
            if text("sub") != Some(&svid.spiffe_id) {
                return Err(format!("it is for {:?}", text("sub")));
            }
            Ok(())
        });
        let found = found.map_err(|error| format!("{}: {error}", svid.spiffe_id));
        self.teller.found(Rule::JwtValid, found);
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Verdict<T> {
    Good(T),
    /// A newer bundle may make it good.
    Later,
    Bad(String),
}

/// Tries with the newest bundle until one does, which may be on its way.
async fn in_time<T>(
    mut newest: watch::Receiver<Option<Arc<Bundle>>>,
    check: impl Fn(&Bundle) -> Verdict<T>,
) -> Result<T, String> {
    let limit = Moment::now() + REACH + RETRY;
    loop {
        let bundle = newest.borrow_and_update().clone();
        match bundle.map(|bundle| check(&bundle)) {
            Some(Verdict::Good(good)) => return Ok(good),
            Some(Verdict::Bad(error)) => return Err(error),
            Some(Verdict::Later) | None => {}
        }
        if tokio::time::timeout(limit.ahead(), newest.changed())
            .await
            .is_err()
        {
            return Err("no bundle stream brings its authority".to_owned());
        }
    }
}

impl Chain {
    /// Of the SPIFFE ID and the serial.
    fn digests(&self) -> (u64, u64) {
        (digest([&self.id]), digest([&self.serial]))
    }
}

fn verify_chain(chain: &[u8], bundle: &Bundle) -> Result<Chain, VerifyError> {
    let chain: Vec<&[u8]> = certificates(chain)
        .map(|certificate| certificate.map(|certificate| certificate.der()))
        .collect::<Result<_, _>>()
        .map_err(|error| VerifyError::Certificate { index: 0, error })?;
    let verifier = X509Verifier::new(AwsLc.algorithms());
    let verified = verifier.verify(&chain, bundle, moment::seconds())?;
    let serial = verified.leaf().serial().iter();
    Ok(Chain {
        id: verified.id().to_string(),
        serial: serial.map(|byte| format!("{byte:02x}")).collect(),
        from: verified.valid_from(),
        until: verified.valid_until(),
        leaf_ends: verified.leaf().not_after(),
    })
}

fn read(
    bytes: Option<&Bytes>,
    parse: impl Fn(&[u8]) -> Result<plastron_bundle::Parsed, plastron_bundle::BundleError>,
) -> Result<Arc<Bundle>, String> {
    let bytes = bytes.ok_or("no bundle of the trust domain")?;
    let parsed = parse(bytes).map_err(|error| error.to_string())?;
    if !parsed.skipped.is_empty() || parsed.bundle.is_empty() {
        return Err(format!(
            "authorities that cannot be used: {:?}",
            parsed.skipped
        ));
    }
    Ok(Arc::new(parsed.bundle))
}

/// The authorities of both kinds in a bundle document.
pub(crate) fn authorities_of(document: &Bytes) -> Result<Authorities, String> {
    let bundle = read(Some(document), |json| Bundle::parse(trust_domain(), json))?;
    Ok(Authorities {
        x509: authorities_x509(&bundle),
        jwt: authorities_jwt(&bundle),
    })
}

fn authorities_x509(bundle: &Bundle) -> u64 {
    let mut all: Vec<_> = bundle
        .x509_authorities()
        .iter()
        .map(|authority| authority.der())
        .collect();
    all.sort_unstable();
    digest(all)
}

fn authorities_jwt(bundle: &Bundle) -> u64 {
    let mut all: Vec<_> = bundle
        .jwt_authorities()
        .iter()
        .map(|authority| authority.key_id())
        .collect();
    all.sort_unstable();
    digest(all)
}

fn trust_domain() -> plastron_id::TrustDomain {
    TRUST_DOMAIN.parse().expect("it is written here")
}

fn trust_domain_id() -> String {
    format!("spiffe://{TRUST_DOMAIN}")
}
