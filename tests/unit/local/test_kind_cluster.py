"""The `kind` cluster of a stack, with a `kind` and an API server of the tests' own."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from clients import kind
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from infra import live_cluster
from infra.foundation.settings.kind import KindCluster
from local import kind_cluster

SCRIPT = """\
#!/bin/sh
cd {folder}
echo "$*" >> calls
case "$1 $2" in
  "get clusters") cat names ;;
  "get kubeconfig") cat kubeconfig ;;
  "create cluster") cat > config; echo mine > names ;;
  "delete cluster") : > names ;;
esac
"""


class Handler(BaseHTTPRequestHandler):
    """An API server with one node."""

    def do_GET(self):
        node = {"metadata": {"name": "node", "labels": self.server.labels}}
        self.respond({"items": [node]} if self.path == "/api/v1/nodes" else {"metadata": {"uid": "u"}, "data": {"id": "o"}})

    def do_PATCH(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.labels.update(body["metadata"]["labels"])
        self.respond({})

    def respond(self, content):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder in which `kind` keeps its clusters, and the API server of the cluster."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.labels, server.folder = {}, tmp_path
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    (tmp_path / "names").write_text("other\n")
    (tmp_path / "kind").write_text(SCRIPT.format(folder=tmp_path))
    (tmp_path / "kind").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    yield server
    server.shutdown()
    server.server_close()


def calls(world):
    return [line for line in (world.folder / "calls").read_text().splitlines() if not line.startswith("get")]


def exists(world, mark=None):
    (world.folder / "names").write_text("other\nmine\n")
    world.labels = {kind_cluster.MARK_LABEL: mark} if mark else {}


def test_a_cluster_is_created_if_there_is_none_of_the_name(world):
    assert "clusters:" in kind_cluster.start("mine", "a", "the configuration")
    assert calls(world) == ["create cluster --name mine --config -"]
    assert (world.folder / "config").read_text() == "the configuration"


def test_an_interrupted_creation_continues_with_the_cluster_of_the_same_mark(world):
    exists(world, "a")
    assert "clusters:" in kind_cluster.start("mine", "a", "")
    assert calls(world) == []


@pytest.mark.parametrize("mark", [None, "b"])
def test_the_cluster_of_a_stranger_is_neither_taken_over_nor_deleted(world, mark):
    exists(world, mark)
    with pytest.raises(UserError, match="this stack has not created it"):
        kind_cluster.start("mine", "a", "")
    assert "stays" in kind_cluster.delete("mine", "a")
    assert calls(world) == []
    assert world.labels == ({kind_cluster.MARK_LABEL: mark} if mark else {})


def test_the_own_cluster_is_deleted(world):
    exists(world, "a")
    assert "is deleted" in kind_cluster.delete("mine", "a")
    assert calls(world) == ["delete cluster --name mine"]
    assert "no kind cluster" in kind_cluster.delete("mine", "a"), "a repeated destroy ends well"


def test_a_cluster_of_an_older_release_gets_its_mark_with_an_update(world):
    exists(world)
    kind_cluster.adopt("mine", "a")
    assert world.labels == {kind_cluster.MARK_LABEL: "a"}
    with pytest.raises(UserError, match="that of another stack"):
        kind_cluster.adopt("mine", "b")


@pytest.mark.parametrize("script", ["#!/bin/sh\necho 'Cannot connect to Docker' >&2; exit 1\n", "#!/bin/sh\nsleep 60\n", None])
def test_a_kind_that_cannot_be_asked_changes_nothing(world, monkeypatch, script):
    exists(world, "a")
    monkeypatch.setattr(kind, "_SECONDS", 0.3)
    if script is None:
        monkeypatch.setenv("PATH", "/nowhere")
    else:
        (world.folder / "kind").write_text(script)
    assert isinstance(kind.kubeconfig("mine"), Unknown)
    for change in (lambda: kind_cluster.start("mine", "a", ""), lambda: kind_cluster.delete("mine", "a")):
        with pytest.raises(UserError, match="cannot be asked"):
            change()


def test_a_cluster_that_does_not_answer_is_not_deleted(world):
    exists(world, "a")
    text = (world.folder / "kubeconfig").read_text()
    (world.folder / "kubeconfig").write_text(text.replace(f":{world.server_port}", ":1"))
    with pytest.raises(UserError, match="does not answer"):
        kind_cluster.delete("mine", "a")
    assert calls(world) == []


def test_a_kind_cluster_can_be_asked_before_the_stack_is_up(world):
    settings = KindCluster.model_validate({"kind": "kind", "name": "mine"})
    assert live_cluster.client(settings) == Absent()
    exists(world, "a")
    client = live_cluster.client(settings)
    assert isinstance(client, Found)
    assert client.value.get("/api/v1/namespaces/kube-system")["metadata"]["uid"] == "u"
    client.value.close()
