//! Unix callers: the listener that knows peers and writers, and the unix attestor.
