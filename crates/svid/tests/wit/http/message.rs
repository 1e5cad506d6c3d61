//! Requests, right ones and such as differ in one thing.

use std::sync::LazyLock;

use base64ct::{Base64, Encoding as _};
use plastron_http_signature::{HttpRequest, HttpSignatureError, content_digest};
use plastron_keys::{JwsAlgorithm, SigningKey};
use plastron_svid::{HttpProof, ProofError, WitError, WitVerifier};

use crate::fixture::*;

/// A request as it travels.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// Components that the request of [`message`] must have covered.
pub(crate) const COVERED: [&str; 7] = [
    "@method",
    "@request-target",
    "content-type",
    "content-digest",
    "authorization",
    "txn-token",
    "workload-identity-token",
];

/// Parameters of a right signature.
pub(crate) fn parameters() -> String {
    let expires = NOW + 10;
    format!(
        r#";created={NOW};expires={expires};nonce="n-1";tag="wimse-workload-to-workload";wimse-aud="{AUDIENCE}""#
    )
}

/// A request with everything that may have to be covered, and not signed.
pub(crate) fn unsigned(token: &str) -> Message {
    let body = b"{\"amount\":7}";
    let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    Message {
        method: "POST".to_owned(),
        target: "/pay?order=1".to_owned(),
        fields: vec![
            field("Host", "payments.example"),
            field("Content-Type", "application/json"),
            field("Content-Digest", &content_digest(body)),
            field("Authorization", "Bearer of-somebody-else"),
            field("Txn-Token", "t.x.n"),
            field("X-Trace", " 1"),
            field("X-Trace", "2 "),
            field("Workload-Identity-Token", token),
        ],
        body: body.to_vec(),
    }
}

impl Message {
    /// With a signature of these components and parameters, made as RFC 9421 §2.5 says and not by our own code.
    pub(crate) fn signed(
        self,
        components: &[&str],
        parameters: &str,
        key: &dyn SigningKey,
    ) -> Self {
        let quoted: Vec<String> = components
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        let input = format!("({}){parameters}", quoted.join(" "));
        let mut base = String::new();
        for name in components {
            let value = match *name {
                "@method" => self.method.clone(),
                "@request-target" => self.target.clone(),
                name => self.value(name),
            };
            base += &format!("\"{name}\": {value}\n");
        }
        base += &format!("\"@signature-params\": {input}");
        let signature = key.sign(base.as_bytes()).unwrap();
        let algorithm = JwsAlgorithm::from_signature_algorithm(key.algorithm()).unwrap();
        let signature = algorithm.signature_from_x509(signature).unwrap();
        let signature = Base64::encode_string(&signature);
        self.with("Signature-Input", format!("wimse={input}"))
            .with("Signature", format!("wimse=:{signature}:"))
    }

    pub(crate) fn value(&self, name: &str) -> String {
        let of_name = |field: &&(String, Vec<u8>)| field.0.eq_ignore_ascii_case(name);
        let lines = self.fields.iter().filter(of_name);
        let lines: Vec<_> = lines
            .map(|(_, line)| String::from_utf8_lossy(line).trim().to_owned())
            .collect();
        lines.join(", ")
    }

    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields
            .retain(|field| !field.0.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn changed(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).with(name, value)
    }

    pub(crate) fn judge(&self) -> Result<String, WitError> {
        self.judge_with(verifier(), |proof| proof)
    }

    pub(crate) fn judge_with(
        &self,
        verifier: WitVerifier<'_>,
        expect: impl FnOnce(HttpProof<'_>) -> HttpProof<'_>,
    ) -> Result<String, WitError> {
        self.view(|request| {
            let proof = expect(HttpProof::new(request, &[AUDIENCE]));
            let svid = verifier.verify_request(&proof, &bundle(), at(NOW))?;
            Ok(name(&svid))
        })
    }

    pub(crate) fn view<T>(&self, look: impl FnOnce(&HttpRequest<'_>) -> T) -> T {
        let fields = self.fields.iter();
        let fields: Vec<(&str, &[u8])> = fields.map(|(name, value)| (&**name, &**value)).collect();
        look(&HttpRequest::new(&self.method, &self.target, &fields).body(&self.body))
    }
}

/// A right token. Its signature would differ if it were made anew.
pub(crate) fn token() -> String {
    static TOKEN: LazyLock<String> = LazyLock::new(|| with_claims(claims()));
    TOKEN.clone()
}

/// A right request.
pub(crate) fn right() -> Message {
    unsigned(&token()).signed(&COVERED, &parameters(), &*KEYS.own)
}

/// A request that is right but for what it covers, under a signature that holds.
pub(crate) fn covering(components: &[&str]) -> Result<String, WitError> {
    unsigned(&token())
        .signed(components, &parameters(), &*KEYS.own)
        .judge()
}

/// A request that is right but for its parameters, under a signature that holds.
pub(crate) fn saying(parameters: &str) -> Result<String, WitError> {
    unsigned(&token())
        .signed(&COVERED, parameters, &*KEYS.own)
        .judge()
}

pub(crate) fn proof<T>(error: ProofError) -> Result<T, WitError> {
    Err(WitError::Proof(error))
}

pub(crate) fn request<T>(error: HttpSignatureError) -> Result<T, WitError> {
    proof(ProofError::Request(error))
}

/// What is said of what was changed behind the back of the signer.
pub(crate) fn broken<T>() -> Result<T, WitError> {
    proof(ProofError::Signature)
}
