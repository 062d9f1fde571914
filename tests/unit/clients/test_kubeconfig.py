"""Kubeconfigs: TLS, proxies, exec plugins, tokens that expire, and the messages about kubeconfigs that cannot be used."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from clients import kubeconfig, kubeconfig_login
from clients.kubernetes import ApiError, KubernetesClient
from common.errors import UserError
from local.plugins.kubernetes.api import Api
from tests.unit.clients.kubeconfigs import GOOD, user_of

CLUSTER_NAME = "cluster.example"
"""The only name in the certificate of the tests' server."""


@pytest.fixture(scope="module")
def pair():
    """A certificate that signs itself, and its key, as PEM text."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CLUSTER_NAME)])
    now = datetime.now(UTC) - timedelta(minutes=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(CLUSTER_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


class Handler(BaseHTTPRequestHandler):
    """An API server that accepts only the last token that the exec plugin has printed."""

    def do_GET(self):
        self.server.seen.append(self.headers.get("Authorization"))
        good = self.server.token is None or self.headers.get("Authorization") == f"Bearer {self.server.token}"
        status = {"kind": "Status", "reason": "Unauthorized", "message": "Unauthorized"}
        body = json.dumps({"path": self.path} if good else status).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(handler, context=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.seen, server.token = [], None
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(pair, tmp_path):
    """An API server with TLS, with no name in its certificate that leads to it."""
    (tmp_path / "pem").write_bytes(b"".join(pair))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    with serving(Handler, context) as server:
        yield server


def config_for(server, pair=None, *, user=None, **cluster):
    scheme = "https" if pair else "http"
    entry = {"server": f"{scheme}://127.0.0.1:{server.server_port}", **cluster}
    if pair and not cluster.get("insecure-skip-tls-verify"):
        entry["certificate-authority-data"] = base64.b64encode(pair[0]).decode()
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": entry}],
        "users": [{"name": "u", "user": user or {}}],
    }


def get_by_command(config):
    with contextlib.closing(KubernetesClient.from_kubeconfig(config)) as client:
        return client.get("/version")["path"]


def get_by_plugin(config):
    return Api(kubeconfig.connect(config)).json("GET", "/version")["path"]


@pytest.fixture(params=[get_by_command, get_by_plugin], ids=["command", "plugin"])
def get(request):
    """A request as a command sends it, and as the provider plugin sends it."""
    return request.param


def test_the_name_in_the_certificate_may_differ_from_the_address(server, pair, get):
    assert get(config_for(server, pair, **{"tls-server-name": CLUSTER_NAME})) == "/version"
    with pytest.raises(Exception, match=r"(?i)certificate verify failed"):
        get(config_for(server, pair))
    with pytest.raises(Exception, match=r"(?i)certificate verify failed"):
        get(config_for(server, pair, **{"tls-server-name": "other.example"}))


def test_a_certificate_that_nobody_trusts_is_not_a_node_that_does_not_run(server, pair):
    untrusted = config_for(server, pair, **{"tls-server-name": CLUSTER_NAME})
    del untrusted["clusters"][0]["cluster"]["certificate-authority-data"]
    with pytest.raises(UserError, match="certificate authority of the cluster in your kubeconfig"):
        get_by_command(untrusted)


def test_the_certificate_of_a_server_is_not_checked_only_if_the_kubeconfig_says_so(server, pair, get):
    assert get(config_for(server, pair, **{"insecure-skip-tls-verify": True})) == "/version"
    untrusted = config_for(server, pair, **{"tls-server-name": CLUSTER_NAME})
    del untrusted["clusters"][0]["cluster"]["certificate-authority-data"]
    with pytest.raises(Exception, match=r"(?i)certificate verify failed"):
        get(untrusted)


class Proxy(BaseHTTPRequestHandler):
    def do_CONNECT(self):
        self.server.seen.append(self.path)
        host, port = self.path.split(":")
        with socket.create_connection((host, int(port))) as target:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=self.pump, args=(target, self.connection), daemon=True)
            back.start()
            self.pump(self.connection, target)
            back.join(5)

    @staticmethod
    def pump(source, target):
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)

    def log_message(self, *_):
        pass


def test_the_proxy_of_the_kubeconfig_is_used_and_no_other(server, pair, get, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://localhost:1")
    with serving(Proxy) as proxy:
        names = {"tls-server-name": CLUSTER_NAME}
        url = f"http://127.0.0.1:{proxy.server_port}"
        assert get(config_for(server, pair, **names, **{"proxy-url": url})) == "/version"
        assert proxy.seen == [f"127.0.0.1:{server.server_port}"]
        assert get(config_for(server, pair, **names)) == "/version"
        assert len(proxy.seen) == 1, "without a proxy in the kubeconfig, the cluster is asked directly"


def plugin(tmp_path, body, **fields):
    file = tmp_path / "login"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(file), **fields}}


def counting(tmp_path):
    """An exec plugin that prints the tokens t1, t2, ... in turn."""
    credential = '{"kind": "ExecCredential", "status": {"token": "t%d"}}'
    return plugin(tmp_path, f"echo x >> {tmp_path}/runs; printf '{credential}' $(wc -l < {tmp_path}/runs)")


@pytest.mark.parametrize("kind", ["command", "plugin"])
def test_a_token_that_expires_in_the_middle_is_renewed(tmp_path, kind):
    with serving(Handler) as server:
        config = config_for(server, user=counting(tmp_path))
        client = KubernetesClient.from_kubeconfig(config) if kind == "command" else None
        api = Api(kubeconfig.connect(config)) if client is None else None
        get = client.get if client is not None else lambda path: api.json("GET", path)
        server.token = "t1"
        get("/one")
        get("/two")
        assert server.seen == ["Bearer t1"] * 2, "a good token is used again"
        server.token = "t2"
        assert get("/three") == {"path": "/three"}
        assert server.seen[2:] == ["Bearer t1", "Bearer t2"]
        server.token = "t9"
        with pytest.raises(Exception, match="Unauthorized"):
            get("/four")
        assert server.seen[4:] == ["Bearer t2", "Bearer t3"], "one new token is tried, and not many"


def test_a_token_file_is_read_again_when_its_token_is_refused(tmp_path):
    (tmp_path / "token").write_text("t1\n")
    with serving(Handler) as server:
        server.token = "t1"
        config = config_for(server, user={"tokenFile": str(tmp_path / "token")})
        with contextlib.closing(KubernetesClient.from_kubeconfig(config)) as client:
            client.get("/one")
            (tmp_path / "token").write_text("t2\n")
            server.token = "t2"
            client.get("/two")
            server.token = "t3"
            with pytest.raises(ApiError, match="does not accept your login"):
                client.get("/three")
        assert server.seen == ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]


@pytest.mark.parametrize(
    ("user", "header"),
    [({"token": "t"}, "Bearer t"), ({"username": "u", "password": "p"}, "Basic dTpw"), ({}, None)],
)
def test_a_request_sends_the_credentials_of_the_kubeconfig(get, user, header):
    with serving(Handler) as server:
        get(config_for(server, user=user))
        assert server.seen == [header]


def test_an_exec_plugin_gets_its_arguments_variables_and_the_cluster(tmp_path):
    body = f'echo "$1 $TEAM $KUBERNETES_EXEC_INFO" > {tmp_path}/got; echo \'{{"status": {{"token": "t"}}}}\''
    fields = {"args": ["get-token"], "env": [{"name": "TEAM", "value": "blue"}], "provideClusterInfo": True}
    with serving(Handler) as server:
        get_by_command(config_for(server, user=plugin(tmp_path, body, **fields)))
        argument, variable, info = (tmp_path / "got").read_text().split(" ", 2)
        assert (argument, variable) == ("get-token", "blue")
        spec = {"interactive": False, "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        expected = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": spec}
        assert json.loads(info) == expected


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("echo nonsense", "prints no credentials"),
        ("echo '[]'", "prints no credentials"),
        ("echo '{\"status\": {}}'", "prints no credentials"),
        ("echo 'run az login first' >&2; exit 3", "(?s)fails.*status 3: run az login first"),
        ("sleep 60", "(?s)does not end within 0.3 s.*it may wait for a login"),
    ],
)
def test_an_exec_plugin_that_gives_no_credentials_is_one_clear_message(tmp_path, monkeypatch, body, says):
    monkeypatch.setattr(kubeconfig_login, "EXEC_SECONDS", 0.3)
    started = time.monotonic()
    with serving(Handler) as server, pytest.raises(UserError, match=says) as failed:
        get_by_command(config_for(server, user=plugin(tmp_path, body)))
    assert str(tmp_path / "login") in failed.value.where
    assert time.monotonic() - started < 10, "a child of the plugin does not hold the command"


def test_a_missing_exec_plugin_is_named_with_the_hint_of_the_kubeconfig():
    user = {"exec": {"command": "kubelogin-of-nobody", "installHint": "install kubelogin"}}
    with (
        serving(Handler) as server,
        pytest.raises(UserError, match=r"(?s)cannot be started.*kubelogin-of-nobody.*install kubelogin"),
    ):
        get_by_command(config_for(server, user=user))


@pytest.mark.parametrize("text", ["", "config"])
def test_the_text_of_a_kubeconfig_is_neither_a_path_nor_the_user_s_own(tmp_path, monkeypatch, text):
    (tmp_path / "config").write_text(yaml.safe_dump(GOOD))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(UserError, match="is not a mapping"):
        KubernetesClient.from_kubeconfig(text)


@pytest.mark.parametrize("user", ["u", {"exec": "login"}, None])
def test_a_user_without_a_login_sends_none(tmp_path, user):
    (tmp_path / "config").write_text(user_of(user))
    assert kubeconfig.connect(kubeconfig.load_file(tmp_path / "config")).headers == {}


def test_names_that_are_no_text_are_merged(tmp_path, monkeypatch):
    (tmp_path / "config").write_text(yaml.safe_dump({**GOOD, "users": [{"name": ["u"]}, *GOOD["users"]]}))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert kubeconfig.connect(kubeconfig.load()).server == "http://localhost:1"


def test_a_certificate_that_cannot_be_read_is_one_clear_message(server, pair):
    broken = config_for(server, pair)
    broken["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(b"nonsense").decode()
    with pytest.raises(UserError, match="certificate or key of the kubeconfig cannot be read"):
        kubeconfig.connect(broken)


def test_paths_in_a_kubeconfig_are_relative_to_it(tmp_path, pair, monkeypatch):
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(pair[0])
    (folder / "token").write_text("t")
    config = yaml.safe_load(yaml.safe_dump(GOOD))
    config["clusters"][0]["cluster"] = {"server": "https://one.example", "certificate-authority": "ca.crt"}
    config["users"][0]["user"] = {"tokenFile": "token"}
    (folder / "config").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    access = kubeconfig.connect(kubeconfig.load_file(folder / "config"))
    assert access.headers == {"Authorization": "Bearer t"}
    assert access.context.get_ca_certs()[0]["subject"]


def test_several_kubeconfigs_are_merged_and_the_first_decides(tmp_path, monkeypatch):
    other = yaml.safe_load(yaml.safe_dump(GOOD))
    other["current-context"] = "d"
    other["clusters"][0]["cluster"]["server"] = "http://ignored"
    other["contexts"].append({"name": "d", "context": {"cluster": "d", "user": "u"}})
    other["clusters"].append({"name": "d", "cluster": {"server": "http://d"}})
    (tmp_path / "one").write_text(yaml.safe_dump(GOOD))
    (tmp_path / "two").write_text(yaml.safe_dump(other))
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(tmp_path / name) for name in ("one", "gone", "two")]))
    config = kubeconfig.load()
    assert kubeconfig.connect(config).server == "http://localhost:1"
    assert kubeconfig.connect(config, "d").server == "http://d"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "gone"))
    with pytest.raises(UserError, match="no kubeconfig"):
        kubeconfig.load()
