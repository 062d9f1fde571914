"""Which cluster a stack file names, as the cluster itself says it."""

from __future__ import annotations

import pytest

from common import paths
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from infra import live_cluster
from infra.settings import loading
from tests.unit.infra.tiers.test_targets import EMBEDDED, settings

USERS_OWN = """\
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
current-context: c
"""


class FakeApi:
    """An API server of the cluster with this UID."""

    server = "https://k.example"

    def __init__(self, uid):
        self.uid = uid

    def find(self, path):
        if isinstance(self.uid, Unknown):
            return self.uid
        return Found({"metadata": {"uid": self.uid}}) if path == "/api/v1/namespaces/kube-system" else Absent()

    def close(self):
        pass


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """Starts the cluster of the checkout: called with its UID, or with the answer of a client that cannot ask it."""
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / "kubeconfig")

    def start(uid):
        paths.KUBECONFIG.write_text("a kubeconfig")
        monkeypatch.setattr(live_cluster.KubernetesClient, "from_file", lambda _path: FakeApi(uid))

    monkeypatch.setattr(live_cluster, "client", lambda _cluster: Found(FakeApi("theirs")))
    return start


def test_the_uid_of_kube_system_identifies_a_cluster(embedded):
    live = live_cluster.read(settings())
    assert (live.uid, live.embedded_uid) == (Found("theirs"), Absent()), "this checkout has started no cluster"


def test_the_checkout_s_own_cluster_is_asked_as_well(embedded):
    embedded("ours")
    assert live_cluster.read(settings()).embedded_uid == Found("ours")


def test_a_cluster_of_the_checkout_that_does_not_answer_is_unknown(embedded):
    unknown = Unknown(where="https://k.example", reason="The cluster does not answer.")
    embedded(unknown)
    assert live_cluster.read(settings()).embedded_uid == unknown


@pytest.mark.parametrize("content", ["", "another", b"\xff", "{a: ["])
def test_a_broken_kubeconfig_of_the_checkout_never_stands_for_another_cluster(embedded, tmp_path, monkeypatch, content):
    (tmp_path / "another").write_text(USERS_OWN)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "another"))
    monkeypatch.chdir(tmp_path)
    paths.KUBECONFIG.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = live_cluster.read(settings()).embedded_uid
    assert isinstance(found, Unknown), "the user's own kubeconfig leads to a cluster of another tier"
    assert found.where == str(paths.KUBECONFIG)
    with pytest.raises(UserError) as failed:
        loading.parse(EMBEDDED, "f").cluster.client()
    assert failed.value.where.startswith(str(paths.KUBECONFIG))


def test_the_embedded_cluster_is_asked_once(embedded):
    embedded("ours")
    assert live_cluster.read(loading.parse(EMBEDDED, "f")).embedded_uid == Absent(), "it is named by a word, not by its UID"
