"""Judge in Python: the package `spiffe` as a caller of the Workload API, PyJWT on tokens and key sets, OpenSSL's TLS.

    judge.py [all]                 every check, as lines of the Test Anything Protocol
    judge.py serve CLIENT-ID       mTLS server with the SVID "judge"; prints its port, answers one line a connection
    judge.py dial PORT SERVER-ID   mTLS client with the SVID "judge"; 0 when server and answer are as expected

The socket is that of SPIFFE_ENDPOINT_SOCKET. The entries are those of ../run.
"""

import contextlib
import json
import socket
import ssl
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from spiffe import JwtSource, JwtSvid, SpiffeId, TrustDomain, WorkloadApiClient, X509Source

DOMAIN = TrustDomain("foreign.test")
PARTNER = TrustDomain("partner.test")
JUDGE, SECOND, ROTATES = (SpiffeId(f"spiffe://foreign.test/{name}") for name in ("judge", "second", "rotates"))


def x509_svids():
    """X.509: every identity of the caller, in the order of the configuration (WAPI-22 +, WAPI-68 +)"""
    with WorkloadApiClient() as client:
        got = [svid.spiffe_id for svid in client.fetch_x509_svids()]
        assert got == [JUDGE, SECOND, ROTATES], got
        assert client.fetch_x509_svid().spiffe_id == JUDGE


def x509_bundles():
    """X.509: own and federated bundles; the own one verifies by name and signature (WAPI-26 +, WAPI-36 +)"""
    with WorkloadApiClient() as client:
        bundles = client.fetch_x509_bundles()
        own = bundles.get_bundle_for_trust_domain(DOMAIN)
        assert own and bundles.get_bundle_for_trust_domain(PARTNER), bundles
        leaf = client.fetch_x509_svid().leaf
        issuers = [ca for ca in own.x509_authorities if ca.subject == leaf.issuer]
        assert issuers, "no authority has the name of the issuer"
        leaf.verify_directly_issued_by(issuers[0])
        for authority in own.x509_authorities:
            names = authority.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://foreign.test"], names


def x509_context():
    """X.509: context of SVIDs and bundles together (WAPI-21 +)"""
    with WorkloadApiClient() as client:
        context = client.fetch_x509_context()
        assert context.default_svid.spiffe_id == JUDGE
        assert context.x509_bundle_set.get_bundle_for_trust_domain(PARTNER)


def jwt_svids():
    """JWT: one token for each identity; bundles verify them for their audience alone (WAPI-42 +/−, WAPI-47 +, JWT-22 −)"""
    with WorkloadApiClient() as client:
        svids = client.fetch_jwt_svids({"first", "other"})
        assert [svid.spiffe_id for svid in svids] == [JUDGE, SECOND, ROTATES], svids
        bundles = client.fetch_jwt_bundles()
        assert bundles.get_bundle_for_trust_domain(PARTNER)
        own = bundles.get_bundle_for_trust_domain(DOMAIN)
        for svid in svids:
            assert set(svid.audience) == {"first", "other"}, svid.audience
            JwtSvid.parse_and_validate(svid.token, own, {"first"})
            refused(lambda: JwtSvid.parse_and_validate(svid.token, own, {"third"}), "audience")


def jwt_of_one():
    """JWT: a token of the identity asked for, and of no other (WAPI-41 +, WAPI-45 +)"""
    with WorkloadApiClient() as client:
        assert client.fetch_jwt_svid({"a"}, SECOND).spiffe_id == SECOND
        refused(lambda: client.fetch_jwt_svid({"a"}, SpiffeId("spiffe://foreign.test/nobody")), "PERMISSION_DENIED")


def validate():
    """JWT: the agent validates tokens (WAPI-52 +, WAPI-55 +)"""
    with WorkloadApiClient() as client:
        token = client.fetch_jwt_svid({"a"}).token
        assert client.validate_jwt_svid(token, "a").spiffe_id == JUDGE
        refused(lambda: client.validate_jwt_svid(token, "b"), "INVALID_ARGUMENT")
        head, claims, signature = token.split(".")
        forged = ".".join([head, claims, "A" * len(signature)])
        refused(lambda: client.validate_jwt_svid(forged, "a"), "INVALID_ARGUMENT")


def pyjwt():
    """JWT: a library of others verifies the token with the key set as served, by its kid (JWT-09 +, WAPI-46 +, WAPI-48 +)"""
    with WorkloadApiClient() as client:
        token = client.fetch_jwt_svid({"a"}).token
        response = next(client._spiffe_workload_api_stub.FetchJWTBundles(_messages().JWTBundlesRequest()))
    document = json.loads(response.bundles["spiffe://foreign.test"])
    assert all(key.get("use") in (None, "jwt-svid") and "x5c" not in key for key in document["keys"]), document
    keys = jwt.PyJWKSet.from_dict(document)
    header = jwt.get_unverified_header(token)
    assert set(header) <= {"alg", "kid", "typ"} and header["kid"], header
    options = {"require": ["exp", "iat", "sub", "aud", "jti"]}
    claims = jwt.decode(token, keys[header["kid"]], algorithms=[header["alg"]], audience="a", options=options)
    assert claims["sub"] == str(JUDGE) and claims["aud"] == ["a"], claims
    assert 0 < claims["exp"] - claims["iat"] <= 300, claims


def rotation():
    """rotation: a watcher gets new certificates before the old ones expire (WAPI-11 +)"""
    seen, faults, enough = [], [], threading.Event()

    def update(context):
        leaf = next(svid.leaf for svid in context.x509_svids if svid.spiffe_id == ROTATES)
        if seen and seen[-1] == leaf:
            return
        if seen and datetime.now(timezone.utc) > seen[-1].not_valid_after_utc:
            faults.append("the certificate before had expired")
        seen.append(leaf)
        if len(seen) > 3:
            enough.set()

    with WorkloadApiClient() as client:
        handle = client.stream_x509_contexts(update, lambda error: faults.append(str(error)), retry_connect=False)
        enough.wait(40)
        handle.cancel()
    assert not faults, faults
    assert len(seen) > 3, f"{len(seen)} certificates seen"


def sources():
    """sources: X509Source and JwtSource are ready at once and follow (WAPI-07 +, WAPI-12 +)"""
    with X509Source(timeout_in_seconds=10) as source:
        first, changed = source.get_x509_context(), threading.Event()
        assert source.svid.spiffe_id == JUDGE
        source.subscribe_for_updates(changed.set)
        assert changed.wait(20), "no update in 20 s, with SVIDs of 4 s"
        assert first is not source.get_x509_context()
    with JwtSource(timeout_in_seconds=10) as source:
        svid = source.fetch_svid({"a"})
        JwtSvid.parse_and_validate(svid.token, source.get_bundle_for_trust_domain(DOMAIN), {"a"})


def mtls():
    """mTLS: OpenSSL on both sides, and a client with another of our identities is refused"""
    with serving(JUDGE, SECOND) as port:
        assert greet(port, SECOND, JUDGE) == f"hello {SECOND}"
        refused(lambda: greet(port, JUDGE, JUDGE), "")
        refused(lambda: greet(port, SECOND, SECOND), "")


CHECKS = [x509_svids, x509_bundles, x509_context, jwt_svids, jwt_of_one, validate, pyjwt, rotation, sources, mtls]


def _messages():
    from spiffe._proto import workload_pb2

    return workload_pb2


def refused(call, word):
    try:
        call()
    except Exception as error:  # noqa: BLE001: which one is the library's matter
        assert word.lower() in f"{type(error).__name__}: {error}".lower(), f"refused with: {error!r}"
        return
    raise AssertionError(f"not refused ({word})")


def context(role, own):
    """A TLS context with the SVID `own`, which trusts the bundle of our trust domain; names are checked after it."""
    with WorkloadApiClient() as client:
        response = client.fetch_x509_context()
    svid = next(svid for svid in response.x509_svids if svid.spiffe_id == own)
    made = ssl.SSLContext(role)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    pem = serialization.Encoding.PEM
    with tempfile.TemporaryDirectory() as folder:
        chain = Path(folder, "chain.pem")
        key = svid.private_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        chain.write_bytes(key + b"".join(certificate.public_bytes(pem) for certificate in svid.cert_chain))
        made.load_cert_chain(chain)
    authorities = response.x509_bundle_set.get_bundle_for_trust_domain(DOMAIN).x509_authorities
    made.load_verify_locations(cadata="".join(ca.public_bytes(pem).decode() for ca in authorities))
    return made


def peer_id(connection):
    names = [value for kind, value in connection.getpeercert()["subjectAltName"] if kind == "URI"]
    assert len(names) == 1, names
    return names[0]


@contextlib.contextmanager
def serving(own, wanted):
    listener = socket.create_server(("127.0.0.1", 0))
    tls = context(ssl.PROTOCOL_TLS_SERVER, own)

    def answer(plain):
        with contextlib.suppress(OSError), plain, tls.wrap_socket(plain, server_side=True) as connection:
            connection.settimeout(20)
            if peer_id(connection) == str(wanted) and connection.recv(100):
                connection.sendall(f"hello {peer_id(connection)}\n".encode())

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def greet(port, own, wanted):
    tls = context(ssl.PROTOCOL_TLS_CLIENT, own)
    with socket.create_connection(("127.0.0.1", port), 20) as plain, tls.wrap_socket(plain) as connection:
        assert peer_id(connection) == str(wanted), peer_id(connection)
        connection.sendall(b"who am I?\n")
        line = connection.makefile().readline()
        assert line, "the server hung up"
        return line.strip()


def judge(checks):
    print(f"1..{len(checks)}")
    failed = 0
    for number, check in enumerate(checks, 1):
        try:
            check()
        except Exception as error:  # noqa: BLE001: each check may fail in its own way
            failed += 1
            where = error.__traceback__
            while where.tb_next and where.tb_next.tb_frame.f_code.co_filename == __file__:
                where = where.tb_next
            text = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"not ok {number} - {check.__doc__}: line {where.tb_lineno}: {text}", flush=True)
        else:
            print(f"ok {number} - {check.__doc__}", flush=True)
    return failed


def main(arguments):
    match arguments:
        case [] | ["all"]:
            return judge(CHECKS) > 0
        case ["serve", client]:
            with serving(JUDGE, client) as port:
                print(port, flush=True)
                time.sleep(120)
        case ["dial", port, server]:
            line = greet(int(port), JUDGE, server)
            return line != f"hello {JUDGE}"
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
