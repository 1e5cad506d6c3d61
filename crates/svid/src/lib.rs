//! X509-SVID and JWT-SVID: parse and verify.
