//! When to renew, back off and retry: pure functions of time and a seed.
