//! The life of signing keys: prepare, publish, activate, retire.
