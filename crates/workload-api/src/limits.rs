//! How much one caller, one user and everybody together may take.

use std::time::Duration;

/// Limits of a server. All are checked before the work they limit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections in all, with what attestation holds beside them (see [`Held`](crate::Held)).
    pub connections: usize,
    /// The same, of one user ID.
    pub connections_per_uid: usize,
    /// The last so many of `connections` go only to user IDs that hold fewer than `few`.
    pub reserve: usize,
    /// What a user ID may hold and still reach into the reserve.
    pub few: usize,
    /// Streams at a time on one connection; announced to the peer.
    pub streams_per_connection: u32,
    /// Streams at a time of one user ID.
    pub streams_per_uid: usize,
    /// Connections over a limit that are kept open for a moment to be told so. What comes on top is dropped.
    pub refusers: usize,
    /// From accept to the first complete request, attestation included, and from the head of a request to its end. A
    /// stream of requests to another service has no end to wait for: it is bounded by its bytes alone.
    pub request_time: Duration,
    /// The length of a request's body, in bytes.
    pub request_bytes: usize,
    /// All of one user ID's request bodies that are held at a time, in bytes.
    pub request_bytes_per_uid: usize,
    /// All request bodies that are held at a time, in bytes. User IDs that hold less than 64 KiB go beyond it, since
    /// one person can have many user IDs.
    pub request_bytes_in_all: usize,
    /// Metadata of a request, in bytes as HTTP/2 counts them (32 on top for each entry); announced to the peer.
    pub metadata_bytes: u32,
    /// How long a connection that ends may take to read what it still gets.
    pub flush_time: Duration,
}

impl Limits {
    /// Limits for a process that may have `descriptors` open: half of them for one user ID, a sixteenth (at most 512)
    /// for the agent itself, and as many again for users that hold few.
    #[must_use]
    pub fn for_descriptors(descriptors: usize) -> Self {
        let own = (descriptors / 16).clamp(16, 512);
        Self {
            connections: descriptors.saturating_sub(own).max(1),
            connections_per_uid: (descriptors / 2).max(1),
            reserve: own,
            few: 16,
            streams_per_connection: 100,
            streams_per_uid: (descriptors / 2).max(1) * 4,
            refusers: (own / 4).min(64),
            request_time: Duration::from_secs(10),
            request_bytes: 64 * 1024,
            request_bytes_per_uid: 8 << 20,
            request_bytes_in_all: 64 << 20,
            metadata_bytes: 4 * 1024,
            flush_time: Duration::from_secs(1),
        }
    }
}

impl Default for Limits {
    /// For 1,024 descriptors, the usual soft limit.
    fn default() -> Self {
        Self::for_descriptors(1024)
    }
}
