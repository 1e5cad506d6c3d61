//! Certificates, virtual time and a loopback harness for tests.
