//! WIT-SVIDs of an authority.

use std::time::SystemTime;

use plastron_bundle::{Bundle, WitAuthority};
use plastron_keys::{KeyType, Pkcs8Key};
use plastron_mint::WitIssuer;

use crate::Authority;
use crate::authority::generate;

/// A WIT-SVID as the Workload API gives it to whoever it is about.
#[derive(Clone, Debug)]
pub struct WitSvidWithKey {
    /// The token in compact serialization.
    pub token: String,
    /// The private key that it names, as a JWK.
    pub private_jwk: String,
}

impl Authority {
    /// The `kid` of its WIT key.
    pub const WIT_KEY_ID: &'static str = "wit-key-1";

    /// The bundle that WIT-SVIDs are verified with: its WIT key alone.
    pub fn wit_bundle(&self) -> Bundle {
        let mut bundle = Bundle::new(self.trust_domain().clone());
        let authority = WitAuthority::new(Self::WIT_KEY_ID, self.wit_key.public_key().clone());
        bundle
            .add_wit_authority(authority.expect("a key for tokens"))
            .expect("the only one");
        bundle
    }

    /// A WIT-SVID that lives an hour from `now`, with a new P-256 key.
    pub fn wit_svid(&self, path: &str, now: SystemTime) -> WitSvidWithKey {
        let key = generate(KeyType::EcP256);
        let issuer = WitIssuer::new(
            self.trust_domain().as_ref(),
            Self::WIT_KEY_ID,
            &*self.wit_key,
        );
        let token = issuer
            .expect("a key for tokens")
            .wit_svid(&self.id(path), key.public_key())
            .sign("jti", now)
            .expect("a valid request")
            .token;
        let key = Pkcs8Key::parse(&key.to_pkcs8()).expect("just made");
        let jwk = key.jwk();
        let members = jwk.members().into_iter();
        let members: Vec<String> = members
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        WitSvidWithKey {
            token,
            private_jwk: format!("{{{}}}", members.join(",")),
        }
    }
}
