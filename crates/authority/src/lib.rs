//! The life of signing keys: prepare, publish, activate, retire.
//!
//! A trust domain signs X.509-SVIDs with one key, JWT-SVIDs with another (BUNDLE-03), and with the feature `wit` WIT-SVIDs with
//! a third where its policy says so, each for a while only. An [`Authority`] is the state machine of all: [`Authority::poll`] does what the clock asks for and says what it did,
//! [`Authority::next_due`] says when to ask again. It reads no clock and owns no file: a driver stores the [`State`] in its
//! [`KeyStore`] *before* it lets anybody see the outcome, so that nothing is signed by a key that could be lost.
//!
//! A key is published in the bundle when it is prepared, at half the life of the active one, and signs from the last sixth
//! of that life on; so verifiers know it long before they meet its signatures (FED-03, FED-04, JWT-55). It leaves the bundle
//! when nothing that it signed can be valid any more (FED-05).
//!
//! Tier 1. Left out: taint and revocation of single authorities, authorities below another organisation's root.

mod authority;
mod policy;
mod state;
mod succession;

pub use authority::{Authority, AuthorityError, Done, Kind, TokenKey, X509Key};
pub use policy::Policy;
pub use state::{KeyState, KeyStore, KeyStoreError, State};
pub use succession::{Phase, Slot};
