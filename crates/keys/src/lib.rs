//! Private keys, signers and the RustCrypto set of verification algorithms.
