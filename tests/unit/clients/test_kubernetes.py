"""Login to the API server, and requests to pods through its proxy."""

from __future__ import annotations

import base64
import contextlib
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from clients import kubernetes
from clients.kubernetes import ApiError, KubernetesClient
from common.errors import UserError

POD = "/api/v1/namespaces/serving/pods/"

RESPONSES = {
    f"{POD}one:6000/proxy/metrics": (200, b"metrics"),
    f"{POD}denied:6000/proxy/metrics": (403, b'{"kind": "Status", "reason": "Forbidden", "message": "no role"}'),
    f"{POD}ended:6000/proxy/metrics": (403, b"denied destination"),
    f"{POD}odd:6000/proxy/metrics": (403, b'["odd"]'),
    f"{POD}own:6000/proxy/metrics": (403, b'{"reason": "Forbidden", "message": "not you"}'),
    "/version": (200, b'{"major": "1"}'),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if "slow" in self.path:
            self.server.over.wait(10)
        self.server.authorization = self.headers.get("Authorization")
        status, body = RESPONSES.get(self.path, (503, b'{"message": "no route"}'))
        self.send_response(status)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # the client has not waited
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.over = threading.Event()
    threading.Thread(target=http_server.serve_forever, args=(0.02,), daemon=True).start()
    yield http_server
    http_server.over.set()
    http_server.shutdown()
    http_server.server_close()


def client_for(port, user=None):
    return KubernetesClient.from_kubeconfig(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "u", "user": user or {}}],
        }
    )


@pytest.fixture
def cluster(server):
    client = client_for(server.server_port)
    yield client
    client.close()


def test_a_request_reaches_a_port_of_a_pod(cluster):
    assert cluster.get_from_pod("serving", "one", 6000, "/metrics") == "metrics"


def test_an_unreachable_pod_and_an_unreachable_cluster_are_different_errors(cluster):
    with pytest.raises(ApiError, match="no route") as refused:
        cluster.get_from_pod("serving", "gone", 6000, "/metrics")
    assert refused.value.status == 503
    with contextlib.closing(client_for(1)) as gone, pytest.raises(UserError, match="cluster does not answer"):
        gone.get_from_pod("serving", "one", 6000, "/metrics")


@pytest.mark.parametrize(
    ("pod", "reason", "message"),
    [
        ("denied", "Forbidden", "no role"),
        ("ended", "", "denied destination"),
        ("odd", "", '["odd"]'),
        ("own", "", "not you"),
    ],
)
def test_only_a_refusal_by_the_api_server_has_a_reason(cluster, pod, reason, message):
    with pytest.raises(ApiError) as refused:
        cluster.get_from_pod("serving", pod, 6000, "/metrics")
    assert (refused.value.status, refused.value.reason, str(refused.value)) == (403, reason, message)


def test_a_request_to_a_slow_pod_times_out(cluster, monkeypatch):
    monkeypatch.setattr(kubernetes, "_POD_SECONDS", 0.2)
    with pytest.raises(ApiError, match="slow does not answer within"):
        cluster.get_from_pod("serving", "slow", 6000, "/metrics")


@pytest.fixture
def pair():
    """A certificate and its key, as PEM text."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None)
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


def kubeconfig_with(pair, **user):
    certificate, key = (base64.b64encode(part).decode() for part in pair)
    credentials = {"client-certificate-data": certificate, "client-key-data": key}
    return {
        "current-context": "other",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://one.example", "certificate-authority-data": certificate}}],
        "users": [{"name": "u", "user": credentials | user}],
    }


def test_a_kubeconfig_with_certificates_alone_gives_the_login_of_the_official_client(pair):
    document = kubeconfig_with(pair)
    ours, official = kubernetes._embedded_login(document, "c"), kubernetes._official_login(document, "c")
    assert ours is not None
    assert (ours[0], ours[2]) == (official[0], official[2]) == ("https://one.example", {})
    assert ours[1].get_ca_certs() == official[1].get_ca_certs()
    assert (ours[1].verify_mode, ours[1].check_hostname) == (official[1].verify_mode, official[1].check_hostname)


@pytest.mark.parametrize("user", [{"token": "t"}, {"exec": {"command": "kubelogin"}}, {"username": "u", "password": "p"}])
def test_any_other_login_is_left_to_the_official_client(pair, user):
    assert kubernetes._embedded_login(kubeconfig_with(pair, **user), "c") is None


def test_an_unknown_context_is_left_to_the_official_client(pair):
    assert kubernetes._embedded_login(kubeconfig_with(pair), "gone") is None


EXEC = """\
#!/bin/sh
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}'
"""


@pytest.mark.parametrize("login", ["token", "exec plugin", "none"])
def test_a_request_sends_the_token_of_the_kubeconfig(server, tmp_path, login):
    plugin = tmp_path / "login"
    plugin.write_text(EXEC)
    plugin.chmod(0o755)
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    user = {"token": {"token": "t"}, "exec plugin": {"exec": command}, "none": {}}[login]
    with contextlib.closing(client_for(server.server_port, user)) as client:
        client.get("/version")
    assert server.authorization == (None if login == "none" else "Bearer t"), (
        "the clusters of cloud providers accept tokens only: without one, the user is anonymous"
    )
