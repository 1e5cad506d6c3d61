//! Says whose SVID is in a file, by a bundle in another. Nothing but the verifier's crates.
//!
//! ```text
//! cargo run -p plastron-examples --example verify -- example.org BUNDLE.pem SVID.pem
//! cargo run -p plastron-examples --example verify -- example.org BUNDLE.json TOKEN AUDIENCE
//! ```

use std::{env, error::Error, fs};

use pki_types::UnixTime;
use plastron_bundle::{Bundle, pem};
use plastron_id::{SpiffeId, TrustDomain};
use plastron_keys_aws_lc::ALGORITHMS;
use plastron_svid::{JwtVerifier, PeerRole, X509Verifier};

/// Whose chain it is that a client showed.
pub fn chain(chain: &str, bundle: &Bundle, now: UnixTime) -> Result<SpiffeId, Box<dyn Error>> {
    let chain = pem::certificates(chain)?;
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let client = X509Verifier::new(ALGORITHMS)
        .role(PeerRole::Client)
        .verify(&chain, bundle, now)?;
    Ok(client.id().to_owned())
}

/// Who sent a token that is meant for `audience`.
pub fn token(
    token: &str,
    audience: &str,
    bundle: &Bundle,
    now: UnixTime,
) -> Result<SpiffeId, Box<dyn Error>> {
    let caller = JwtVerifier::new(ALGORITHMS).verify(token, &[audience], bundle, now)?;
    Ok(caller.id().to_owned())
}

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program reads the clock and prints; the verifier does neither"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, bundle, svid, audience @ ..] = &arguments[..] else {
        return Err("TRUST-DOMAIN BUNDLE SVID [AUDIENCE]".into());
    };
    let name: TrustDomain = name.parse()?;
    let (bundle, svid) = (fs::read_to_string(bundle)?, fs::read_to_string(svid)?);
    let bundle = match bundle.starts_with('{') {
        true => Bundle::parse(name, bundle.as_bytes())?.bundle,
        false => Bundle::from_pem(name, &bundle)?.bundle,
    };
    let id = match audience {
        [] => chain(&svid, &bundle, UnixTime::now())?,
        [audience, ..] => token(svid.trim_end(), audience, &bundle, UnixTime::now())?,
    };
    println!("{id}");
    Ok(())
}
