//! Verifying a WIT-SVID: a signed JWT that binds a SPIFFE ID to a key, presented with a proof that the key is held.
//!
//! The token alone is no secret and proves nothing (WIT-33, WIT-42): there is no way from one to an ID but through a
//! signature by the key that it names. Steps and their order are those of JWT-SVIDs; then comes the proof. Incubating:
//! [`WIT_REVISION`] says what was followed. Spec: WIT-SVID §2 to §5.

mod claims;
mod error;
mod expected;
mod header_value;
mod http_proof;
mod proof;
mod seen;

use std::fmt;
use std::time::Duration;

use pki_types::{SignatureVerificationAlgorithm, UnixTime};
use plastron_bundle::WitBundleSource;
use plastron_id::SpiffeIdRef;
use plastron_keys::{JwsAlgorithm, PublicKey};
use sha2::{Digest as _, Sha256};

pub use error::{ProofError, WitError};
pub use expected::DEFAULT_MAX_PROOF_LIFETIME;
pub use header_value::header_value;
pub use http_proof::HttpProof;
pub use proof::{MAX_PROOF_LEN, WorkloadProof};
pub use seen::{ProofId, ReplayError, SeenProofs};

pub(crate) use claims::{Claims, Confirmation};

use crate::token::{self, Compact, Header, SubjectPlace, Times};
use crate::{DEFAULT_LEEWAY, MAX_LEEWAY};

/// The revisions that were followed (STAB-04).
pub const WIT_REVISION: &str = "SPIFFE WIT-SVID at 665a28f, of 2026-07-01; draft-ietf-wimse-workload-creds-02; \
                                draft-ietf-wimse-wpt-02; draft-ietf-wimse-http-signature-06";

/// The HTTP header field of the token (WIT-47). Never `Authorization` (WIT-35).
pub const WIT_HEADER: &str = "workload-identity-token";

/// The HTTP header field of the proof (WIT-51).
pub const WPT_HEADER: &str = "workload-proof-token";

/// The most bytes of a token: a public key of RSA 8192 in it takes two thousand.
pub const MAX_WIT_LEN: usize = 16 * 1024;

/// Says what is accepted as a WIT-SVID.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// # use plastron_bundle::{Bundle, WitAuthority};
/// # use plastron_id::{SpiffeId, TrustDomain};
/// # use plastron_keys::{KeyBackend as _, KeyType};
/// # use plastron_keys_aws_lc::AwsLc;
/// # use plastron_mint::{WitIssuer, WorkloadProofRequest};
/// # let now = pki_types::UnixTime::since_unix_epoch(Duration::from_secs(20_000 * 86_400));
/// # let then = UNIX_EPOCH + Duration::from_secs(now.as_secs());
/// # let example: TrustDomain = "example.org".parse()?;
/// # let cart: SpiffeId = "spiffe://example.org/shop/cart".parse()?;
/// # let [issuer, own] = [AwsLc.generate(KeyType::EcP256)?, AwsLc.generate(KeyType::EcP256)?];
/// # let wit = WitIssuer::new(example.as_ref(), "k", &*issuer)?;
/// # let token = wit.wit_svid(&cart, own.public_key()).sign("1", then)?.token;
/// # let uri = "https://payments.example/pay";
/// # let proof = WorkloadProofRequest::new(&token, &*own, uri)?.sign("2", then)?.token;
/// # let mut bundle = Bundle::new(example);
/// # bundle.add_wit_authority(WitAuthority::new("k", issuer.public_key().clone())?)?;
/// use plastron_svid::{WitVerifier, WorkloadProof};
///
/// let proof = WorkloadProof::new(&proof, &["https://payments.example/pay"]);
/// let caller = WitVerifier::new(AwsLc.algorithms()).verify(&token, &proof, &bundle, now)?;
/// assert_eq!(caller.id().path(), "/shop/cart");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct WitVerifier<'a> {
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    leeway: Duration,
    max_lifetime: Option<Duration>,
}

impl<'a> WitVerifier<'a> {
    /// A verifier that knows these signature algorithms, with [`DEFAULT_LEEWAY`].
    pub fn new(algorithms: &'a [&'a dyn SignatureVerificationAlgorithm]) -> Self {
        Self {
            algorithms,
            leeway: DEFAULT_LEEWAY,
            max_lifetime: None,
        }
    }

    /// Sets how far past `exp` a clock may be, at most [`MAX_LEEWAY`], which stands for anything longer (WIT-18). There is
    /// none on `nbf`, which issuers may set a little into the past (WIT-19, WIT-20).
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(MAX_LEEWAY);
        self
    }

    /// Refuses tokens that live longer than this, from `nbf`, or else from now, to `exp` (WIT-21). No limit by default.
    #[must_use]
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = Some(max_lifetime);
        self
    }

    /// Checks that `token` is a WIT-SVID at `now`, and that `proof` shows possession of its key.
    ///
    /// The keys are those of the trust domain that the subject names, and no others (WIT-41, WIT-48).
    ///
    /// # Errors
    ///
    /// The first rule broken, of the token's or of the proof's. Both are the peer's: no input panics, or costs more than
    /// its length allows and two signatures.
    ///
    /// Spec: WIT-SVID §4, §5 (WIT-33, WIT-34); draft-ietf-wimse-wpt §2 (WIT-52).
    pub fn verify(
        &self,
        token: &str,
        proof: &WorkloadProof<'_>,
        bundles: &dyn WitBundleSource,
        now: UnixTime,
    ) -> Result<VerifiedWitSvid, WitError> {
        let unproven = self.check(token, bundles, now)?;
        Ok(unproven.prove_with_token(proof, now)?)
    }

    /// Checks that a request has a WIT-SVID at `now`, and then that it is signed with the key of that.
    ///
    /// # Errors
    ///
    /// The first rule broken, of the token's or of the signature's. All of the request is the peer's: none panics, or costs
    /// more than its length allows and two signatures.
    ///
    /// Spec: WIT-SVID §4, §5 (WIT-01 to WIT-41); draft-ietf-wimse-http-signature-06 §2 (WIT-53).
    pub fn verify_request(
        &self,
        proof: &HttpProof<'_>,
        bundles: &dyn WitBundleSource,
        now: UnixTime,
    ) -> Result<VerifiedWitSvid, WitError> {
        let unproven = self.check(proof.token()?, bundles, now)?;
        Ok(unproven.prove_with_request(proof, now)?)
    }

    /// Checks a token, and holds back what it says until its key has been proven: for protocols that have a proof of
    /// another form.
    ///
    /// # Errors
    ///
    /// The first rule broken.
    ///
    /// Spec: WIT-SVID §4 (WIT-01, WIT-07, WIT-41).
    pub fn check(
        &self,
        token: &str,
        bundles: &dyn WitBundleSource,
        now: UnixTime,
    ) -> Result<UnprovenWitSvid<'a>, WitError> {
        let compact = Compact::split(token, MAX_WIT_LEN)?;
        let header = compact.header()?;
        let header = Header::parse(&header)?;
        let key_id = check_header(&header)?;
        let payload = compact.payload()?;
        let claims = Claims::parse(&payload)?;
        let id = claims.subject()?;
        let trust_domain = id.trust_domain();
        let authorities = match bundles.wit_authorities(trust_domain) {
            None => return Err(WitError::UnknownTrustDomain(trust_domain.to_owned())),
            Some([]) => return Err(WitError::NoAuthorities(trust_domain.to_owned())),
            Some(authorities) => authorities,
        };
        let authority =
            token::authority(authorities, key_id).ok_or_else(|| WitError::UnknownKey {
                key_id: key_id.into(),
            })?;
        token::check_signature(
            self.algorithms,
            header.algorithm,
            authority.public_key(),
            compact.signed(),
            &compact.signature()?,
        )?;
        let times = claims.check(now, self.leeway)?;
        self.check_lifetime(&times, now)?;
        let confirmation = claims.confirmation()?;
        let subject = claims.subject_place(&payload);
        Ok(UnprovenWitSvid {
            algorithms: self.algorithms,
            leeway: self.leeway,
            token_hash: Sha256::digest(token).into(),
            svid: VerifiedWitSvid {
                payload,
                subject,
                times,
                confirmation,
                proof: None,
            },
        })
    }

    fn check_lifetime(&self, times: &Times, now: UnixTime) -> Result<(), WitError> {
        let Some(most) = self.max_lifetime else {
            return Ok(());
        };
        let from = times.not_before.unwrap_or(now.as_secs());
        let lifetime = times.expires_at.saturating_sub(from);
        if lifetime > most.as_secs() {
            return Err(WitError::Lifetime { lifetime });
        }
        Ok(())
    }
}

impl fmt::Debug for WitVerifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitVerifier")
            .field("leeway", &self.leeway)
            .field("max_lifetime", &self.max_lifetime)
            .finish_non_exhaustive()
    }
}

/// Judges all of a header but `alg`, and finds the `kid` (WIT-02, WIT-05, WIT-09).
pub(crate) fn check_header<'h>(header: &'h Header<'_>) -> Result<&'h str, WitError> {
    if !header.is_of(&["wit+jwt"], false) {
        return Err(WitError::Type);
    }
    if header.dangerous() == Some("crit") {
        return Err(WitError::Critical);
    }
    match header.key_id()? {
        Some(key_id) if !key_id.is_empty() => Ok(key_id),
        _ => Err(WitError::KeyIdMissing),
    }
}

/// A WIT-SVID whose signature holds, and whose key nobody has shown to hold yet.
///
/// It tells nobody's ID (WIT-33). What leads to one is a signature under the key in `cnf`.
#[must_use = "it says nothing until it is proven"]
pub struct UnprovenWitSvid<'a> {
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    leeway: Duration,
    token_hash: [u8; 32],
    svid: VerifiedWitSvid,
}

impl UnprovenWitSvid<'_> {
    /// The algorithm of every proof, that of `cnf.jwk.alg` (WIT-48).
    pub fn algorithm(&self) -> JwsAlgorithm {
        self.svid.confirmation.algorithm
    }

    /// Takes a Workload Proof Token as the proof.
    ///
    /// # Errors
    ///
    /// The first rule that the proof breaks.
    ///
    /// Spec: draft-ietf-wimse-wpt §2 (WIT-51, WIT-52).
    pub fn prove_with_token(
        self,
        proof: &WorkloadProof<'_>,
        now: UnixTime,
    ) -> Result<VerifiedWitSvid, ProofError> {
        let id = proof.check(&self, now)?;
        Ok(self.proven_by(id))
    }

    /// Takes the signature of the request that carried the token as the proof.
    ///
    /// # Errors
    ///
    /// The first rule that the signature breaks.
    ///
    /// Spec: draft-ietf-wimse-http-signature-06 §2 (WIT-53).
    pub fn prove_with_request(
        self,
        proof: &HttpProof<'_>,
        now: UnixTime,
    ) -> Result<VerifiedWitSvid, ProofError> {
        let id = proof.check(&self, now)?;
        Ok(self.proven_by(id))
    }

    /// Takes a signature of `message`, in the form of JWS, as the proof.
    ///
    /// That it is a fresh one, and that `message` is what was received, is for the caller to see to: what a proof says it
    /// covers has to be compared with the request (WIT-39), and its lifetime has to be short (WIT-37).
    ///
    /// # Errors
    ///
    /// [`ProofError::Signature`], or an algorithm that the verifier has not.
    ///
    /// Spec: WIT-SVID §5 (WIT-34).
    pub fn prove(self, message: &[u8], signature: &[u8]) -> Result<VerifiedWitSvid, ProofError> {
        self.check_proof(message, signature)?;
        Ok(self.svid)
    }

    fn proven_by(self, id: ProofId) -> VerifiedWitSvid {
        VerifiedWitSvid {
            proof: Some(id),
            ..self.svid
        }
    }

    fn check_proof(&self, message: &[u8], signature: &[u8]) -> Result<(), ProofError> {
        let Confirmation { algorithm, key } = &self.svid.confirmation;
        let checked = token::check_signature(self.algorithms, *algorithm, key, message, signature);
        Ok(checked?)
    }
}

impl fmt::Debug for UnprovenWitSvid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnprovenWitSvid")
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// A WIT-SVID that was verified, with proof of possession of its key.
#[derive(Clone)]
pub struct VerifiedWitSvid {
    payload: String,
    subject: SubjectPlace,
    times: Times,
    confirmation: Confirmation,
    proof: Option<ProofId>,
}

impl VerifiedWitSvid {
    /// The SPIFFE ID of the subject. Parses it again, which takes some tens of nanoseconds.
    pub fn id(&self) -> SpiffeIdRef<'_> {
        self.subject.id(&self.payload)
    }

    /// The first second at which it is no longer valid, leeway aside.
    pub fn expires_at(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.times.expires_at))
    }

    /// When it was issued, as far as it says; nothing depends on it.
    pub fn issued_at(&self) -> Option<UnixTime> {
        let seconds = self.times.issued_at?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }

    /// The key that was proven.
    pub fn public_key(&self) -> &PublicKey {
        &self.confirmation.key
    }

    /// What tells the proof from all others, for [`SeenProofs`]; a proof of a form that is not known here has none. The
    /// token's own `jti` is not it: one token may be presented by several instances.
    pub fn proof_id(&self) -> Option<&ProofId> {
        self.proof.as_ref()
    }

    /// The claims, as the JSON text that was signed.
    pub fn claims_json(&self) -> &str {
        &self.payload
    }

    /// The claims, those that SPIFFE does not know included. Parses them anew.
    pub fn claims(&self) -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_str(&self.payload).expect("parsed when the token was verified")
    }
}

impl fmt::Debug for VerifiedWitSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedWitSvid")
            .field("id", &self.id())
            .field("expires_at", &self.times.expires_at)
            .finish_non_exhaustive()
    }
}
