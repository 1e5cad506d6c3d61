//! Live X.509 and JWT material: one publisher, many readers.
