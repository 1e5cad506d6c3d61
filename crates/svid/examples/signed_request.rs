//! One side of a talk in signed requests, for judges that have their own idea of HTTP Message Signatures.
//!
//! Prints a line of JSON: a request that we signed with a new key, and the private key. Then answers each line of the
//! standard input, a request in the same form, with `accepted ID` or `refused RULE: why`.
//!
//! ```text
//! cargo run -p plastron-svid --features wit --example signed_request -- ec-p256
//! ```

use std::error::Error;
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};
use std::{env, iter};

use base64ct::{Base64, Encoding as _};
use pki_types::UnixTime;
use plastron_bundle::{Bundle, WitAuthority};
use plastron_http_signature::{HttpRequest, content_digest};
use plastron_id::{SpiffeId, TrustDomain};
use plastron_keys::{KeyBackend as _, KeyType};
use plastron_keys_aws_lc::AwsLc;
use plastron_mint::{HttpSignatureRequest, WitIssuer};
use plastron_svid::{HttpProof, WitVerifier};
use serde::{Deserialize, Serialize};

const AUDIENCE: &str = "https://payments.example/pay";

#[derive(Serialize)]
struct Opening {
    /// PKCS#8 in base64.
    private_key: String,
    audience: &'static str,
    request: Message,
}

#[derive(Deserialize, Serialize)]
struct Message {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: String,
}

impl Message {
    fn view<T>(&self, look: impl FnOnce(&HttpRequest<'_>) -> T) -> T {
        let fields = self.fields.iter();
        let fields: Vec<(&str, &[u8])> = fields
            .map(|(name, value)| (&**name, value.as_bytes()))
            .collect();
        look(&HttpRequest::new(&self.method, &self.target, &fields).body(self.body.as_bytes()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let key_type = match env::args().nth(1).as_deref() {
        Some("ec-p384") => KeyType::EcP384,
        Some("rsa-2048") => KeyType::Rsa2048,
        _ => KeyType::EcP256,
    };
    let trust_domain: TrustDomain = "td.example".parse()?;
    let id: SpiffeId = "spiffe://td.example/shop/cart".parse()?;
    let [issuer, own] = [AwsLc.generate(KeyType::EcP256)?, AwsLc.generate(key_type)?];
    let mut bundle = Bundle::new(trust_domain);
    bundle.add_wit_authority(WitAuthority::new("k", issuer.public_key().clone())?)?;
    let token = WitIssuer::new(bundle.trust_domain(), "k", &*issuer)?
        .wit_svid(&id, own.public_key())
        .sign("1", now())?
        .token;

    let body = r#"{"amount":7}"#;
    let fields = [
        ("Content-Type", "application/json"),
        ("Content-Digest", &content_digest(body.as_bytes())),
        ("Workload-Identity-Token", &token),
    ];
    let mut request = Message {
        method: "POST".to_owned(),
        target: "/pay?order=1".to_owned(),
        fields: fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        body: body.to_owned(),
    };
    let signed = request.view(|request| {
        HttpSignatureRequest::new(request, &*own, AUDIENCE)?
            .lifetime(Duration::from_secs(60))
            .sign("n-1", now())
    })?;
    request.fields.extend([
        ("Signature-Input".to_owned(), signed.signature_input),
        ("Signature".to_owned(), signed.signature),
    ]);
    let opening = Opening {
        private_key: Base64::encode_string(&own.to_pkcs8()),
        audience: AUDIENCE,
        request,
    };
    let opening = serde_json::to_string(&opening)?;
    let answers = io::stdin().lines().map(|line| answer(&line?, &bundle));
    for line in iter::once(Ok(opening)).chain(answers) {
        writeln!(io::stdout(), "{}", line?)?;
    }
    Ok(())
}

fn answer(line: &str, bundle: &Bundle) -> Result<String, Box<dyn Error>> {
    let message: Message = serde_json::from_str(line)?;
    let now = UnixTime::since_unix_epoch(now().duration_since(SystemTime::UNIX_EPOCH)?);
    let verdict = message.view(|request| {
        let proof = HttpProof::new(request, &[AUDIENCE]);
        WitVerifier::new(AwsLc.algorithms()).verify_request(&proof, bundle, now)
    });
    Ok(match verdict {
        Ok(svid) => format!("accepted {}", svid.id()),
        Err(error) => format!("refused {}: {error}", error.rule()),
    })
}

#[expect(clippy::disallowed_methods, reason = "the program owns the clock")]
fn now() -> SystemTime {
    SystemTime::now()
}
