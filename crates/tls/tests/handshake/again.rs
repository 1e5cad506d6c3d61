//! Peers that come again: no session is resumed, and what is remembered of them spares signatures and nothing else.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};

use super::*;

#[test]
fn no_session_is_resumed_past_the_check() {
    let (client, server, clock) = two_sides();
    let (a, b) = (&client.authority, &server.authority);
    for versions in [V12, V13] {
        let is_allowed = Arc::new(AtomicBool::new(true));
        let switch = Arc::clone(&is_allowed);
        let clients = Authorizer::with(move |_| switch.load(Ordering::SeqCst));
        let config = client.client(&client.tls().versions(versions), everybody());
        let server_config = server.server(&server.tls(), clients);
        for _ in 0..3 {
            // X509-73 +: full each time.
            let (at_client, at_server) = meet(&config, &server_config);
            assert_full(&at_client, "spiffe://b.example/shop/pay");
            assert_full(&at_server, "spiffe://a.example/shop/cart");
        }
        is_allowed.store(false, Ordering::SeqCst);
        let (_, at_server) = meet(&config, &server_config);
        assert!(
            matches!(refused(&at_server), Some(PeerError::Unauthorized { .. })),
            "{at_server:?}"
        );
        is_allowed.store(true, Ordering::SeqCst);
        assert!(meet(&config, &server_config).1.is_ok());
        // X509-73 −: a removed trust domain counts at once, on both sides.
        server.publish(vec![b.x509_svid(PAY, clock.now())], known(&[b]));
        let (_, at_server) = meet(&config, &server_config);
        assert!(
            matches!(refused(&at_server), Some(PeerError::Verify(_))),
            "{at_server:?}"
        );
        server.publish(vec![b.x509_svid(PAY, clock.now())], known(&[a, b]));
        client.publish(vec![a.x509_svid(CART, clock.now())], known(&[a]));
        let (at_client, _) = meet(&config, &server_config);
        assert!(
            matches!(refused(&at_client), Some(PeerError::Verify(_))),
            "{at_client:?}"
        );
        client.publish(vec![a.x509_svid(CART, clock.now())], known(&[a, b]));
    }
}

/// What the configurations protect from: with resumption, as `rustls` has it by default, nobody is asked again.
#[test]
fn resumption_left_on_in_a_configuration_of_ones_own_would_skip_the_check() {
    for versions in [V12, V13] {
        let (client, server, clock) = two_sides();
        let (a, b) = (&client.authority, &server.authority);
        let mut config = (*client.client(&client.tls().versions(versions), everybody())).clone();
        config.resumption = Resumption::in_memory_sessions(8);
        let mut server_config = (*server.server(&server.tls(), everybody())).clone();
        server_config.session_storage = ServerSessionMemoryCache::new(8);
        server_config.send_tls13_tickets = 2;
        let (config, server_config) = (Arc::new(config), Arc::new(server_config));
        assert!(meet(&config, &server_config).1.is_ok());
        server.publish(vec![b.x509_svid(PAY, clock.now())], known(&[b]));
        let (_, at_server) = meet(&config, &server_config);
        assert_eq!(at_server.unwrap().1, Some(HandshakeKind::Resumed));
        // One side of ours is enough against it: a server beside that client …
        let ours = server.server(&server.tls(), everybody());
        let (_, at_server) = meet(&config, &ours);
        assert!(
            matches!(refused(&at_server), Some(PeerError::Verify(_))),
            "{at_server:?}"
        );
        // … and a client beside that server.
        server.publish(vec![b.x509_svid(PAY, clock.now())], known(&[a, b]));
        let ours = client.client(&client.tls().versions(versions), everybody());
        for _ in 0..2 {
            let (at_client, _) = meet(&ours, &server_config);
            assert_full(&at_client, "spiffe://b.example/shop/pay");
        }
        client.publish(vec![a.x509_svid(CART, clock.now())], known(&[a]));
        let (at_client, _) = meet(&ours, &server_config);
        assert!(
            matches!(refused(&at_client), Some(PeerError::Verify(_))),
            "{at_client:?}"
        );
    }
}

/// Signatures of certificates that [`Counting`] has checked.
static CHECKED: AtomicUsize = AtomicUsize::new(0);

/// ECDSA on P-256, counted.
#[derive(Debug)]
struct Counting;

impl SignatureVerificationAlgorithm for Counting {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }

    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        CHECKED.fetch_add(1, Ordering::SeqCst);
        let all = plastron_keys::rust_crypto::ALGORITHMS.iter();
        let p256 = all
            .filter(|algorithm| algorithm.public_key_alg_id() == self.public_key_alg_id())
            .find(|algorithm| algorithm.signature_alg_id() == self.signature_alg_id());
        p256.unwrap()
            .verify_signature(public_key, message, signature)
    }
}

#[test]
fn a_remembered_peer_takes_no_signatures_and_is_asked_everything_else() {
    let (client, server, clock) = two_sides();
    let (a, b) = (&client.authority, &server.authority);
    let mut counting = rustls::crypto::aws_lc_rs::default_provider();
    counting.signature_verification_algorithms.all = &[&Counting];
    let tls = MutualTls::new(server.source.clone(), Arc::new(counting)).remembering(16);
    let is_allowed = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_allowed);
    let clients = Authorizer::with(move |_| switch.load(Ordering::SeqCst));
    let server_config = server.server(&tls, clients);
    let config = client.client(&client.tls(), everybody());
    let checked = |what: &dyn Fn()| {
        let before = CHECKED.load(Ordering::SeqCst);
        what();
        CHECKED.load(Ordering::SeqCst) - before
    };
    let accepted = || {
        assert_full(
            &meet(&config, &server_config).1,
            "spiffe://a.example/shop/cart",
        );
    };
    assert_eq!(checked(&accepted), 1, "the first time");
    assert_eq!(checked(&accepted), 0, "remembered");
    is_allowed.store(false, Ordering::SeqCst);
    let (_, at_server) = meet(&config, &server_config);
    assert!(
        matches!(refused(&at_server), Some(PeerError::Unauthorized { .. })),
        "X509-73 −: {at_server:?}"
    );
    is_allowed.store(true, Ordering::SeqCst);
    server.publish(vec![b.x509_svid(PAY, clock.now())], known(&[b]));
    let (_, at_server) = meet(&config, &server_config);
    assert!(
        matches!(refused(&at_server), Some(PeerError::Verify(_))),
        "X509-73 −: {at_server:?}"
    );
    server.publish(vec![b.x509_svid(PAY, clock.now())], known(&[a, b]));
    assert_eq!(checked(&accepted), 1, "a new bundle");
    clock.advance(Duration::from_secs(3601));
    server.publish(vec![b.x509_svid(PAY, clock.now())], known(&[a, b]));
    let (_, at_server) = meet(&config, &server_config);
    assert!(
        matches!(
            refused(&at_server),
            Some(PeerError::Verify(VerifyError::Expired { .. }))
        ),
        "{at_server:?}"
    );
}
