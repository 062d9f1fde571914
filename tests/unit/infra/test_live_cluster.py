"""What a cluster says about itself before the first resource, and what it cannot be asked."""

from __future__ import annotations

import pytest

from clients.kubernetes import ApiError, KubernetesClient
from common import paths
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from infra import live_cluster
from infra.settings import loading
from infra.settings.model import EmbeddedCluster

IMAGES = "modelstack:images: {registry: registry.example}\n  modelstack:workloads:\n    markdown: {nodePort: 30001}\n"
EXISTING = "{kind: existing, context: c, host: c.example, namespacePrefix: stage-}"
OWNER = {"data": {"id": "mine", "backend": "s3://team", "project": "modelstack", "stack": "stage"}}
KIND = """\
#!/bin/sh
case "$1 $2" in
"get clusters") [ -z "$KIND_FAILS" ] || { echo "$KIND_FAILS" >&2; exit 1; }; echo another; echo "$KIND_HAS" ;;
"get kubeconfig") cat "$KIND_KUBECONFIG" ;;
esac
"""
KUBECONFIG = """\
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
current-context: c
"""


def settings(cluster=EXISTING):
    return loading.parse_text(f"config:\n  modelstack:cluster: {cluster}\n  {IMAGES}", "Pulumi.stage.yaml", "there")


class Api:
    server = "https://c.example"

    def __init__(self, objects):
        self.objects, self.closed = objects, False

    def find(self, path):
        found = self.objects.get(path.rpartition("/")[2])
        if isinstance(found, Exception):
            raise found
        if found is not None and path.endswith(("postgres", "modelstack-owner")):
            assert path.startswith("/api/v1/namespaces/stage-tracking/")
        return found

    def close(self):
        self.closed = True


def read(monkeypatch, **objects):
    api = Api({name.replace("_", "-"): found for name, found in objects.items()})
    monkeypatch.setattr(live_cluster, "client", lambda _cluster: Found(api))
    found = live_cluster.read(settings())
    assert api.closed
    return found


def test_the_owner_is_found_with_what_people_need_to_know(monkeypatch):
    found = read(
        monkeypatch, kube_system={"metadata": {"uid": "1"}}, modelstack_owner=OWNER, postgres={"metadata": {"uid": "2"}}
    )
    assert (found.uid, found.owner, found.database) == (Found("1"), Found("mine"), Found("2"))
    assert found.owned_by == "stack stage of project modelstack in s3://team"


def test_an_empty_cluster_has_neither_owner_nor_database(monkeypatch):
    found = read(monkeypatch, kube_system={"metadata": {"uid": "1"}})
    assert (found.owner, found.database, found.owned_by) == (Absent(), Absent(), "")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ApiError(403, "secrets is forbidden", "Forbidden"), "secrets is forbidden"),
        (UserError("The cluster does not answer.", found="refused", fix="start it"), "The cluster does not answer. refused"),
    ],
)
def test_an_answer_that_is_no_answer_is_unknown_with_the_address_and_the_reason(monkeypatch, error, reason):
    found = read(monkeypatch, modelstack_owner=error, postgres=error)
    for answer in (found.owner, found.database):
        assert isinstance(answer, Unknown)
        assert answer.where.startswith("https://c.example/api/v1/")
        assert answer.reason == reason
    assert found.uid == Absent()


def test_without_a_client_nothing_is_known(monkeypatch):
    unknown = Unknown(where="w", reason="r")
    monkeypatch.setattr(live_cluster, "client", lambda _cluster: unknown)
    found = live_cluster.read(settings())
    assert (found.uid, found.owner, found.database) == (unknown, unknown, unknown)


def test_an_embedded_cluster_that_was_never_started_is_absent(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / "kubeconfig")
    assert live_cluster.client(EmbeddedCluster(kind="embedded")) == Absent()


def test_a_missing_kubeconfig_is_unknown(monkeypatch, tmp_path):
    found = live_cluster.client(settings(EXISTING.replace("c,", f"c, kubeconfig: {tmp_path}/none,", 1)).cluster)
    assert isinstance(found, Unknown)
    assert found.where == f"{tmp_path}/none"


@pytest.fixture
def kind(monkeypatch, tmp_path):
    """The command `kind`, which has the cluster `another` and what KIND_HAS names."""
    command = tmp_path / "kind"
    command.write_text(KIND)
    command.chmod(0o755)
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("KIND_KUBECONFIG", str(tmp_path / "kubeconfig"))
    return monkeypatch


def of_kind():
    return live_cluster.client(settings("{kind: kind, name: mine}").cluster)


def test_a_cluster_of_kind_is_asked_with_its_own_kubeconfig(kind):
    kind.setenv("KIND_HAS", "mine")
    found = of_kind()
    assert isinstance(found, Found)
    assert isinstance(found.value, KubernetesClient)
    assert found.value.server == "http://127.0.0.1:1"


def test_a_cluster_that_kind_does_not_have_is_absent(kind):
    kind.setenv("KIND_HAS", "mine-2")
    assert of_kind() == Absent(), "only the whole name counts"


def test_kind_that_fails_or_is_missing_is_unknown(kind, tmp_path):
    kind.setenv("KIND_FAILS", "Cannot connect to the Docker daemon")
    assert of_kind() == Unknown(where="kind cluster mine", reason="Cannot connect to the Docker daemon")
    kind.setenv("PATH", str(tmp_path / "empty"))
    assert of_kind() == Unknown(where="kind cluster mine", reason="the command `kind` is not installed")
