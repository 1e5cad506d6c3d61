"""Judge in Python of signed requests: the package `http-message-signatures` builds the signature base, signs and verifies.

    http_signature.py PROGRAM     every check, as lines of the Test Anything Protocol

PROGRAM is the example `signed_request`, which opens with a request of ours and answers requests of others. The package asks
for `keyid` and does not know `wimse-aud`, so its parts are put together here.
"""

import base64
import copy
import json
import subprocess
import sys
import time
from types import SimpleNamespace

from cryptography.hazmat.primitives.serialization import load_der_private_key
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, algorithms
from http_message_signatures.digests import ContentDigest

from judge import judge

TAG = "wimse-workload-to-workload"
ALGORITHMS = {
    "ec-p256": algorithms.ECDSA_P256_SHA256,
    "ec-p384": algorithms.ECDSA_P384_SHA384,
    "rsa-2048": algorithms.RSA_V1_5_SHA256,
}
COVERED = ("@method", "@request-target", "content-type", "content-digest", "workload-identity-token")


class Talk:
    """The program with a key of one type."""

    def __init__(self, program, key_type):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([program, key_type], text=True, **pipes)
        opening = json.loads(self.process.stdout.readline())
        self.key = load_der_private_key(base64.b64decode(opening["private_key"]), None)
        self.audience, self.ours = opening["audience"], opening["request"]
        self.algorithm = ALGORITHMS[key_type]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)

    def ask(self, request):
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def unsigned(self):
        request = copy.deepcopy(self.ours)
        request["fields"] = [field for field in request["fields"] if not field[0].startswith("Signature")]
        return request

    def sign(self, request, covered=COVERED, **more):
        """Signs with the library: its base, its serialization, its cryptography."""
        signer = HTTPMessageSigner(signature_algorithm=self.algorithm)
        parameters = {
            "created": int(time.time()),
            "expires": int(time.time()) + 60,
            "nonce": "theirs",
            "tag": TAG,
            "wimse-aud": self.audience,
            **more,
        }
        base, node, _ = signer._build_signature_base(
            message_of(request),
            covered_component_ids=signer._parse_covered_component_ids(covered),
            signature_params=parameters,
        )
        signature = self.algorithm(private_key=self.key).sign(base.encode())
        request["fields"] += [
            ["Signature-Input", f"theirs={node}"],
            ["Signature", f"theirs=:{base64.b64encode(signature).decode()}:"],
        ]
        return request

    def verify(self, request):
        """Verifies with the library; raises where it does not hold."""
        verifier = HTTPMessageVerifier(signature_algorithm=self.algorithm, key_resolver=None)
        message = message_of(request)
        [(_, given, signature)] = verifier._get_sig_inputs_and_signatures(message, expect_tag=TAG)
        verifier.validate_created_and_expires(given)
        base, _, covered = verifier._build_signature_base(
            message, covered_component_ids=list(given), signature_params=given.params
        )
        key = self.algorithm(public_key=self.key.public_key())
        key.verify(signature=signature.value, message=base.encode())
        assert ContentDigest.verify_components(covered, request["body"].encode()), covered
        return given


def message_of(request):
    return SimpleNamespace(
        method=request["method"],
        url="https://payments.example" + request["target"],
        headers=dict(request["fields"]),
    )


def checks(program):
    for key_type in ALGORITHMS:

        def theirs_verifies(key_type=key_type):
            with Talk(program, key_type) as talk:
                given = talk.verify(talk.ours)
                assert [item.value for item in given] == list(COVERED), given
                names = ["created", "expires", "nonce", "tag", "wimse-aud"]
                assert list(given.params) == names and given.params["wimse-aud"] == talk.audience, given.params
                for part, value in (("target", "/refund"), ("method", "PUT"), ("body", "{}")):
                    try:
                        talk.verify({**talk.ours, part: value})
                    except Exception:  # noqa: BLE001: which one is the library's matter
                        continue
                    raise AssertionError(f"another {part} is accepted")

        theirs_verifies.__doc__ = f"{key_type}: they verify what we sign, and that it is of the request (WIT-39, WIT-53)"
        yield theirs_verifies

        def ours_verifies(key_type=key_type):
            with Talk(program, key_type) as talk:
                signed = talk.sign(talk.unsigned())
                accepted = "accepted spiffe://td.example/shop/cart"
                assert talk.ask(signed) == accepted, talk.ask(signed)
                for part, value in (("target", "/refund"), ("method", "PUT"), ("body", "{}")):
                    answer = talk.ask({**signed, part: value})
                    assert answer.startswith("refused WIT-3"), answer
                for missing in COVERED:
                    answer = talk.ask(talk.sign(talk.unsigned(), [name for name in COVERED if name != missing]))
                    assert answer == f"refused WIT-53: proof of possession: component {missing} is not covered", answer
                for parameter in ({"keyid": "k"}, {"alg": "x"}, {"wimse-aud": "https://other.example"}, {"nonce": ""}):
                    answer = talk.ask(talk.sign(talk.unsigned(), **parameter))
                    assert answer.startswith("refused WIT-5"), answer

        ours_verifies.__doc__ = f"{key_type}: we verify what they sign, and refuse what the profile forbids (WIT-53)"
        yield ours_verifies


if __name__ == "__main__":
    sys.exit(judge(list(checks(sys.argv[1]))) > 0)
