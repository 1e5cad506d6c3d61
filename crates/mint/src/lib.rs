//! SVID profiles: make X509-SVIDs, JWT-SVIDs and signing certificates over a signer.
