//! SPIFFE bundles: authorities of a trust domain, the bundle document, sets of bundles.
