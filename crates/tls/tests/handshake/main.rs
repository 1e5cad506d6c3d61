//! Handshakes on loopback between a client and a server of ours, while what they trust changes under them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod again;
mod openssl;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use plastron_bundle::{Bundle, BundleSet};
use plastron_id::SpiffeId;
use plastron_source::{Publisher, SourceError, SvidPicker, X509Context, X509Source, source};
use plastron_svid::{LeafError, VerifyError, X509Svid};
use plastron_testing::{Authority, Clock};
use plastron_tls::{Authorizer, MutualTls, PeerError, PeerVerifier, SvidResolver, peer_id};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, HandshakeKind, ProtocolVersion,
    ServerConfig, ServerConnection, SignatureScheme, SupportedProtocolVersion,
};

static V12: &[&SupportedProtocolVersion] = &[&TLS12];
static V13: &[&SupportedProtocolVersion] = &[&TLS13];

const CART: &str = "/shop/cart";
const PAY: &str = "/shop/pay";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[derive(Debug)]
struct TestTime(Clock);

impl TimeProvider for TestTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0.unix_time())
    }
}

/// One side: its authority, and a source that a test changes.
struct Side {
    authority: Authority,
    clock: Clock,
    publisher: Publisher<X509Context>,
    source: X509Source,
}

impl Side {
    fn new(authority: Authority, path: &str, bundles: BundleSet, clock: &Clock) -> Self {
        let svid = authority.x509_svid(path, clock.now());
        let (publisher, source) = source(X509Context::new(vec![svid], bundles));
        let clock = clock.clone();
        Self {
            authority,
            clock,
            publisher,
            source,
        }
    }

    fn publish(&self, svids: Vec<X509Svid>, bundles: BundleSet) {
        self.publisher.publish(X509Context::new(svids, bundles));
    }

    fn tls(&self) -> MutualTls {
        MutualTls::new(self.source.clone(), provider())
    }

    fn client(&self, tls: &MutualTls, servers: Authorizer) -> Arc<ClientConfig> {
        let mut config = tls.client_config(servers).unwrap();
        config.time_provider = Arc::new(TestTime(self.clock.clone()));
        Arc::new(config)
    }

    fn server(&self, tls: &MutualTls, clients: Authorizer) -> Arc<ServerConfig> {
        let mut config = tls.server_config(clients).unwrap();
        config.time_provider = Arc::new(TestTime(self.clock.clone()));
        Arc::new(config)
    }
}

/// A cart and a payment service of different trust domains that know each other.
fn two_sides() -> (Side, Side, Clock) {
    let clock = Clock::new();
    let (a, b) = (Authority::new("a.example"), Authority::new("b.example"));
    let bundles = known(&[&a, &b]);
    let client = Side::new(a, CART, bundles.clone(), &clock);
    let server = Side::new(b, PAY, bundles, &clock);
    (client, server, clock)
}

fn known(authorities: &[&Authority]) -> BundleSet {
    authorities
        .iter()
        .map(|authority| authority.bundle())
        .collect()
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn only(text: &str) -> Authorizer {
    Authorizer::ids([id(text)])
}

fn everybody() -> Authorizer {
    Authorizer::patterns([
        "spiffe://a.example/**".parse().unwrap(),
        "spiffe://b.example/**".parse().unwrap(),
    ])
}

/// What one side saw: the peer's ID and the kind of handshake, or what went wrong.
type Seen = Result<
    (
        Option<SpiffeId>,
        Option<HandshakeKind>,
        Option<ProtocolVersion>,
    ),
    Error,
>;

/// Lets both talk: the client says a byte, the server another.
fn meet(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> (Seen, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::clone(server);
    let serving = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(server).unwrap();
        talk(&mut connection, &mut socket)
    });
    let mut socket = TcpStream::connect(address).unwrap();
    let name = ServerName::try_from("nobody.looks.at.it").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(client), name).unwrap();
    let seen = talk(&mut connection, &mut socket);
    drop(socket);
    (seen, serving.join().unwrap())
}

fn talk<C, D>(connection: &mut C, socket: &mut TcpStream) -> Seen
where
    C: std::ops::DerefMut<Target = rustls::ConnectionCommon<D>>,
    D: rustls::SideData,
{
    let mut exchange = || {
        let mut stream = rustls::Stream::new(connection, socket);
        stream.write_all(b"?")?;
        stream.read_exact(&mut [0])?;
        stream.flush()
    };
    let ended = exchange();
    let connection: &rustls::ConnectionCommon<D> = connection;
    match ended {
        Ok(()) => Ok((
            peer_id(connection),
            connection.handshake_kind(),
            connection.protocol_version(),
        )),
        Err(error) => Err(error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>())
            .cloned()
            .unwrap_or_else(|| Error::General(error.to_string()))),
    }
}

#[track_caller]
fn assert_full(seen: &Seen, peer: &str) {
    let (who, kind, _) = seen.as_ref().unwrap();
    assert_eq!(who, &Some(id(peer)));
    assert_eq!(*kind, Some(HandshakeKind::Full));
}

fn refused(seen: &Seen) -> Option<PeerError> {
    seen.as_ref().err().and_then(PeerError::of).cloned()
}

#[test]
fn both_sides_see_whom_they_talk_to_in_every_version() {
    let (client, server, _) = two_sides();
    let versions = [
        (V12, ProtocolVersion::TLSv1_2),
        (V13, ProtocolVersion::TLSv1_3),
        (rustls::ALL_VERSIONS, ProtocolVersion::TLSv1_3),
    ];
    for (versions, version) in versions {
        let client = client.client(
            &client.tls().versions(versions),
            only("spiffe://b.example/shop/pay"),
        );
        let server = server.server(&server.tls(), only("spiffe://a.example/shop/cart"));
        let (at_client, at_server) = meet(&client, &server);
        // X509-72 +
        assert_full(&at_client, "spiffe://b.example/shop/pay");
        assert_full(&at_server, "spiffe://a.example/shop/cart");
        assert_eq!(at_client.unwrap().2, Some(version));
    }
}

#[test]
fn whoever_is_not_meant_is_refused_with_his_name() {
    let (client, server, _) = two_sides();
    let nobody = Authorizer::ids([]);
    let (cart, pay) = (
        "spiffe://a.example/shop/cart",
        "spiffe://b.example/shop/pay",
    );
    let of_td = |name: &str| Authorizer::member_of(name.parse().unwrap());
    let pattern = |text: &str| Authorizer::patterns([text.parse().unwrap()]);
    for (servers, clients, at_client, at_server) in [
        (only(cart), only(cart), Some(pay), None),
        (of_td("a.example"), of_td("a.example"), Some(pay), None),
        (nobody, everybody(), Some(pay), None),
        (Authorizer::with(|_| false), everybody(), Some(pay), None),
        (only(pay), only(pay), None, Some(cart)),
        (of_td("b.example"), of_td("b.example"), None, Some(cart)),
        (
            pattern("spiffe://b.example/*/pay"),
            pattern("spiffe://a.example/*"),
            None,
            Some(cart),
        ),
        (
            everybody(),
            Authorizer::with(|id| id.path() != CART),
            None,
            Some(cart),
        ),
    ] {
        for versions in [V12, V13] {
            let tls = client.tls().versions(versions);
            let seen = meet(
                &client.client(&tls, servers.clone()),
                &server.server(&server.tls(), clients.clone()),
            );
            let unauthorized = |seen: &Seen| match refused(seen) {
                Some(PeerError::Unauthorized { id, allowed }) => {
                    assert!(!allowed.is_empty());
                    Some(id.to_string())
                }
                _ => None,
            };
            // X509-72 −
            assert_eq!(
                unauthorized(&seen.0).as_deref(),
                at_client,
                "{servers} {clients}"
            );
            assert_eq!(
                unauthorized(&seen.1).as_deref(),
                at_server,
                "{servers} {clients}"
            );
            assert!(
                seen.0.is_err() || versions == V13,
                "TLS 1.2 tells the client"
            );
        }
    }
    let error = PeerError::Unauthorized {
        id: id(cart),
        allowed: of_td("b.example").to_string().into(),
    };
    assert_eq!(
        error.to_string(),
        "spiffe://a.example/shop/cart is not authorized, which are: spiffe://b.example/**"
    );
}

#[test]
fn a_client_that_shows_no_certificate_is_refused() {
    let (client, server, _) = two_sides();
    for versions in [V12, V13] {
        let mut anonymous = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PeerVerifier::new(
                client.source.clone(),
                provider(),
                everybody(),
            )))
            .with_no_client_auth();
        anonymous.time_provider = Arc::new(TestTime(client.clock.clone()));
        let server = server.server(&server.tls(), everybody());
        let (_, at_server) = meet(&Arc::new(anonymous), &server);
        // X509-72 −
        assert_eq!(at_server.unwrap_err(), Error::NoCertificatesPresented);
    }
}

/// Shows the certificates of somebody else, with a key of his own.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl Thief {
    fn of(victim: &X509Svid, own: &X509Svid) -> Arc<Self> {
        let key = PrivatePkcs8KeyDer::from(own.key_pkcs8()).clone_key();
        let key = provider()
            .key_provider
            .load_private_key(key.into())
            .unwrap();
        let chain = vec![CertificateDer::from(victim.leaf_der().to_vec())];
        Arc::new(Self(Arc::new(CertifiedKey::new(chain, key))))
    }
}

impl ResolvesServerCert for Thief {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl ResolvesClientCert for Thief {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn whoever_has_a_certificate_without_its_key_is_refused() {
    let (client, server, clock) = two_sides();
    for versions in [V12, V13] {
        let tls = client.tls().versions(versions);
        let config = client.client(&tls, everybody());
        let server_config = server.server(&server.tls(), everybody());
        let steal = |side: &Side, path| {
            let svid = |path| side.authority.x509_svid(path, clock.now());
            Thief::of(&svid(path), &svid("/thief"))
        };
        let mut thief = (*config).clone();
        thief.client_auth_cert_resolver = steal(&client, CART);
        let (_, at_server) = meet(&Arc::new(thief), &server_config);
        // RS-05 −
        let wrong = Error::InvalidCertificate(CertificateError::BadSignature);
        assert_eq!(at_server.unwrap_err(), wrong);
        let mut thief = (*server_config).clone();
        thief.cert_resolver = steal(&server, PAY);
        let (at_client, _) = meet(&config, &Arc::new(thief));
        assert_eq!(at_client.unwrap_err(), wrong);
    }
}

#[test]
fn the_bundle_of_the_peers_own_trust_domain_decides() {
    let (client, server, clock) = two_sides();
    let (a, b) = (&client.authority, &server.authority);
    let impostor = Authority::new("b.example");
    let mut jwt_alone = Bundle::new(b.trust_domain().clone());
    for authority in b.bundle().jwt_authorities() {
        jwt_alone.add_jwt_authority(authority.clone()).unwrap();
    }
    let svids = || vec![a.x509_svid(CART, clock.now())];
    let unknown = VerifyError::UnknownTrustDomain(b.trust_domain().clone());
    let without = VerifyError::NoAuthorities(b.trust_domain().clone());
    let config = client.client(&client.tls(), everybody());
    let server_config = server.server(&server.tls(), everybody());
    for (what, bundles, want) in [
        ("its own", known(&[a, b]), Ok(())),
        ("none", known(&[a]), Err(unknown.rule())),
        (
            "of JWT keys alone",
            [a.bundle(), jwt_alone].into_iter().collect(),
            Err(without.rule()),
        ),
        (
            "of another authority of that name",
            known(&[a, &impostor]),
            Err("X509-52"),
        ),
        ("its own again", known(&[a, b]), Ok(())),
    ] {
        client.publish(svids(), bundles);
        let (at_client, _) = meet(&config, &server_config);
        let outcome = match (refused(&at_client), at_client) {
            (Some(PeerError::Verify(error)), _) => Err(error.rule()),
            (None, Ok(_)) => Ok(()),
            (_, other) => panic!("{what}: {other:?}"),
        };
        assert_eq!(outcome, want, "{what}");
    }
    client.publisher.clear();
    let (at_client, _) = meet(&config, &server_config);
    assert_eq!(
        refused(&at_client),
        Some(PeerError::Source(SourceError::Withdrawn))
    );
}

#[test]
fn an_expired_svid_is_refused_by_the_clock_of_the_configuration() {
    let (client, server, clock) = two_sides();
    let config = client.client(&client.tls(), everybody());
    let server_config = server.server(&server.tls(), everybody());
    assert!(meet(&config, &server_config).0.is_ok());
    clock.advance(Duration::from_secs(3600 + 1));
    let (at_client, _) = meet(&config, &server_config);
    assert!(
        matches!(
            refused(&at_client),
            Some(PeerError::Verify(VerifyError::Expired { .. }))
        ),
        "{at_client:?}"
    );
    // The server gets a new one, and the client's is looked at.
    let (a, b) = (&client.authority, &server.authority);
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

#[test]
fn a_new_handshake_presents_the_newest_svid() {
    let (client, server, clock) = two_sides();
    let (a, b) = (&client.authority, &server.authority);
    let config = client.client(&client.tls(), everybody());
    let server_config = server.server(&server.tls(), everybody());
    for path in ["/one", "/two", "/three"] {
        server.publish(vec![b.x509_svid(path, clock.now())], known(&[a, b]));
        client.publish(vec![a.x509_svid(path, clock.now())], known(&[a, b]));
        let (at_client, at_server) = meet(&config, &server_config);
        // X509-74 +
        assert_full(&at_client, &format!("spiffe://b.example{path}"));
        assert_full(&at_server, &format!("spiffe://a.example{path}"));
    }
    // The authority's key changes too: the old SVID goes with the old bundle.
    let renewed = Authority::new("b.example");
    server.publish(
        vec![renewed.x509_svid(PAY, clock.now())],
        known(&[a, &renewed]),
    );
    let refused = refused(&meet(&config, &server_config).0);
    assert!(matches!(refused, Some(PeerError::Verify(_))), "{refused:?}");
    client.publish(vec![a.x509_svid(CART, clock.now())], known(&[a, &renewed]));
    assert_full(
        &meet(&config, &server_config).0,
        "spiffe://b.example/shop/pay",
    );
}

#[test]
fn the_picker_says_which_svid_is_presented() {
    let (client, server, clock) = two_sides();
    let (a, b) = (&client.authority, &server.authority);
    let svids = ["/first", "/second"].map(|path| b.x509_svid(path, clock.now()));
    server.publish(svids.to_vec(), known(&[a, b]));
    let config = client.client(&client.tls(), everybody());
    let second = SvidPicker::Id(id("spiffe://b.example/second"));
    let picked = server.server(&server.tls().picker(second), everybody());
    assert_full(&meet(&config, &picked).0, "spiffe://b.example/second");
    let missing = SvidPicker::Id(id("spiffe://b.example/third"));
    let none = server.server(&server.tls().picker(missing), everybody());
    assert!(meet(&config, &none).0.is_err());
}

#[test]
fn a_certificate_for_the_other_role_is_refused() {
    use plastron_keys::{KeyBackend as _, KeyType};
    use plastron_testing::raw_certificate::{Extension, RawCertificate};
    let (client, server, _) = two_sides();
    let (a, b) = (&client.authority, &server.authority);
    let key = plastron_testing::BACKEND.generate(KeyType::EcP256).unwrap();
    let issuer = b.bundle().x509_authorities()[0].subject().to_vec();
    let mut raw = RawCertificate::leaf("spiffe://b.example/x", "x", key.public_key())
        .with(vec![Extension::extended_key_usage(&[2])]);
    raw.issuer = issuer;
    let verifier = PeerVerifier::new(client.source.clone(), provider(), everybody());
    let leaf = raw.sign(b.key()).into();
    let name = ServerName::try_from("x").unwrap();
    let now = client.clock.unix_time();
    client.publish(vec![], known(&[a, b]));
    let as_server = rustls::client::danger::ServerCertVerifier::verify_server_cert(
        &verifier,
        &leaf,
        &[],
        &name,
        &[],
        now,
    );
    let error = as_server.unwrap_err();
    assert!(matches!(
        PeerError::of(&error),
        Some(PeerError::Verify(VerifyError::Leaf(
            LeafError::ExtendedKeyUsage { .. }
        )))
    ));
    let as_client =
        rustls::server::danger::ClientCertVerifier::verify_client_cert(&verifier, &leaf, &[], now);
    assert!(as_client.is_ok());
}

#[test]
fn parts_show_no_keys() {
    let (client, ..) = two_sides();
    let resolver = SvidResolver::new(client.source, SvidPicker::First, provider());
    let shown = format!("{resolver:?} {:?}", everybody());
    assert!(
        shown.contains("spiffe://a.example/**") && !shown.contains("key"),
        "{shown}"
    );
}
