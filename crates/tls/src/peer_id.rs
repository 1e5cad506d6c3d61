//! Who is on the other side of a connection.

use plastron_bundle::certificate::Certificate;
use plastron_id::{SpiffeId, SpiffeIdRef};
use rustls::CommonState;

/// The SPIFFE ID of the peer, once the handshake is over; for decisions on what it may do.
///
/// It is as good as the verifier of the configuration: with a [`PeerVerifier`](crate::PeerVerifier) it is verified and let in.
pub fn peer_id(connection: &CommonState) -> Option<SpiffeId> {
    let leaf = connection.peer_certificates()?.first()?;
    let leaf = Certificate::parse(leaf).ok()?;
    SpiffeIdRef::parse_bytes(leaf.uri_san()?)
        .ok()
        .map(SpiffeIdRef::to_owned)
}
