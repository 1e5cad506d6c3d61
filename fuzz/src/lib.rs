//! What several targets have in common: an authority whose keys are the same in each run, so that what is found is found
//! again.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use pki_types::UnixTime;
use plastron_bundle::{Bundle, JwtAuthority, WitAuthority, X509Authority};
use plastron_http_signature::{HttpRequest, SignedFields};
use plastron_keys::rust_crypto::RustCrypto;
use plastron_keys::{JwsAlgorithm, KeyBackend as _, KeyType, Pkcs8Key, PrivateKey};
use plastron_mint::{
    HttpSignatureRequest, JwtIssuer, WitIssuer, WorkloadProofRequest, X509Issuer,
    self_signed_authority,
};
use rand_core::{TryCryptoRng, TryRng};

/// 2025-01-01.
pub const NOW: u64 = 1_735_689_600;

/// The time that targets judge at.
pub const fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW))
}

/// The same, as minting takes it.
pub fn system_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

/// The authority of `td.example`.
pub struct Authority {
    certificate: Vec<u8>,
    key: Box<dyn PrivateKey>,
    jwt_key: Box<dyn PrivateKey>,
    leaf_key: Box<dyn PrivateKey>,
    wit_key: Box<dyn PrivateKey>,
    /// The key of the workload in WIT-SVIDs.
    own_key: Box<dyn PrivateKey>,
    /// What it publishes.
    pub bundle: Bundle,
}

impl Authority {
    /// An authority that signs certificates with a key of this type, and tokens with P-256.
    pub fn new(key_type: KeyType) -> Self {
        let backend = RustCrypto::new(Counter(0));
        let generate = |key_type| backend.generate(key_type).expect("numbers do not run out");
        let (key, jwt_key, leaf_key) = (
            generate(key_type),
            generate(KeyType::EcP256),
            generate(key_type),
        );
        let (wit_key, own_key) = (generate(KeyType::EcP256), generate(KeyType::EcP256));
        let mut bundle = Bundle::new("td.example".parse().expect("a name"));
        let end = UnixTime::since_unix_epoch(Duration::from_secs(NOW + 86_400));
        let name = bundle.trust_domain().to_owned();
        let certificate =
            self_signed_authority(&name, &*key, &[1; 16], now(), end).expect("a right request");
        bundle.add_x509_authority(X509Authority::parse(&certificate).expect("just made"));
        let jwt = JwtAuthority::new("key", jwt_key.public_key().clone()).expect("a key for tokens");
        bundle.add_jwt_authority(jwt).expect("the only one");
        let wit = WitAuthority::new("wit", wit_key.public_key().clone()).expect("a key for tokens");
        bundle.add_wit_authority(wit).expect("the only one");
        Self {
            certificate,
            key,
            jwt_key,
            leaf_key,
            wit_key,
            own_key,
            bundle,
        }
    }

    /// Its certificate.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The key that it signs certificates with.
    pub fn key(&self) -> &dyn PrivateKey {
        &*self.key
    }

    /// The key that it signs tokens with.
    pub fn jwt_key(&self) -> &dyn PrivateKey {
        &*self.jwt_key
    }

    /// The key of leaves.
    pub fn leaf_key(&self) -> &dyn PrivateKey {
        &*self.leaf_key
    }

    /// The certificate of an X509-SVID with this path and these DNS names, unless it may not be made.
    pub fn x509_svid(&self, path: &str, dns_names: &[&str]) -> Option<Vec<u8>> {
        let id = plastron_id::SpiffeId::new(self.bundle.trust_domain(), path).ok()?;
        let issuer = X509Issuer::new(&self.certificate, &*self.key).expect("its own key");
        let request = issuer
            .x509_svid(&id, self.leaf_key.public_key())
            .dns_names(dns_names);
        Some(request.sign(&[2; 16], system_time()).ok()?.der)
    }

    /// A JWT-SVID with this path for these audiences, unless it may not be made.
    pub fn jwt_svid(&self, path: &str, audiences: &[&str], jti: &str) -> Option<String> {
        let id = plastron_id::SpiffeId::new(self.bundle.trust_domain(), path).ok()?;
        let issuer = JwtIssuer::new(self.bundle.trust_domain(), "key", &*self.jwt_key, None)
            .expect("a key for tokens");
        let request = issuer.jwt_svid(&id, audiences);
        Some(request.sign(jti, system_time()).ok()?.token)
    }
}

impl Authority {
    /// A WIT-SVID with this path, unless it may not be made.
    pub fn wit_svid(&self, path: &str, jti: &str) -> Option<String> {
        let id = plastron_id::SpiffeId::new(self.bundle.trust_domain(), path).ok()?;
        let issuer = WitIssuer::new(self.bundle.trust_domain(), "wit", &*self.wit_key)
            .expect("a key for tokens");
        let request = issuer.wit_svid(&id, self.own_key.public_key());
        Some(request.sign(jti, system_time()).ok()?.token)
    }

    /// A proof of a WIT-SVID for this audience, unless it may not be made.
    pub fn workload_proof(&self, token: &str, audience: &str, jti: &str) -> Option<String> {
        let request =
            WorkloadProofRequest::new(token, &*self.own_key, audience).expect("a key for proofs");
        Some(request.sign(jti, system_time()).ok()?.token)
    }

    /// A signature of a request, unless it may not be made.
    pub fn http_signature(
        &self,
        request: &HttpRequest<'_>,
        audience: &str,
        nonce: &str,
    ) -> Option<SignedFields> {
        let request = HttpSignatureRequest::new(request, &*self.own_key, audience);
        let request = request.expect("a key for proofs");
        request.sign(nonce, system_time()).ok()
    }

    /// The private key of its WIT-SVIDs in JSON.
    pub fn wit_key_json(&self) -> String {
        let key = Pkcs8Key::parse(&self.own_key.to_pkcs8()).expect("written by ourselves");
        let members: serde_json::Map<_, _> = key
            .jwk()
            .members()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        serde_json::Value::from(members).to_string()
    }
}

/// A certificate that says this, whatever it is, under a true signature.
pub fn certificate_of(tbs: &[u8], key: &dyn PrivateKey) -> Vec<u8> {
    let signature = key.sign(tbs).expect("keys in memory sign");
    let bits = der(0x03, &[&[0], &*signature].concat());
    let algorithm = key.algorithm().identifier_der();
    der(0x30, &[tbs, algorithm, &bits].concat())
}

/// A token that says this, whatever it is, under a true signature.
pub fn token_of(header: &[u8], claims: &[u8], key: &dyn PrivateKey) -> String {
    let signed = [header, claims]
        .map(Base64UrlUnpadded::encode_string)
        .join(".");
    let signature = key.sign(signed.as_bytes()).expect("keys in memory sign");
    let signature = JwsAlgorithm::from_signature_algorithm(key.algorithm())
        .and_then(|algorithm| algorithm.signature_from_x509(signature).ok())
        .expect("a key for tokens");
    format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature))
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len().to_be_bytes();
    let zeros = len.iter().take_while(|byte| **byte == 0).count();
    let len = &len[zeros..];
    let mut der = vec![tag];
    if content.len() >= 0x80 {
        der.push(0x80 | len.len() as u8);
    }
    der.extend(if content.is_empty() { &[0] } else { len });
    der.extend(content);
    der
}

/// The two parts of an input: the first has its length in front, in two bytes.
pub fn two_parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

/// Where to change what was made, and to what: the first three bytes of an input; the rest is text.
pub fn change_and_text(bytes: &[u8]) -> Option<(usize, u8, &str)> {
    let (&[high, low, change], text) = bytes.split_first_chunk()?;
    let text = std::str::from_utf8(text).ok()?;
    Some((usize::from(u16::from_be_bytes([high, low])), change, text))
}

/// Numbers that nobody should draw keys from.
pub struct Counter(pub u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.try_next_u64()? as u8;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}
