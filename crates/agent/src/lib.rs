//! The agent: attest, match, cache, renew, serve.
