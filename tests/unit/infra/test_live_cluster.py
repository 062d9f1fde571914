"""What a cluster says about itself before the first resource, and what it cannot be asked."""

from __future__ import annotations

import httpx
import pytest

from clients.kubernetes import KubernetesClient
from common import paths
from common.answers import Absent, Found, Unknown
from infra import live_cluster
from infra.foundation.settings.embedded import EmbeddedCluster
from infra.settings import loading

IMAGES = "modelstack:images: {registry: registry.example}\n  modelstack:workloads:\n    markdown: {nodePort: 30001}\n"
EXISTING = "{kind: existing, context: c, host: c.example, namespacePrefix: stage-}"
SERVER = "https://c.example"
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


def read(monkeypatch, **objects):
    """Reads a cluster that has these objects. A response stands for itself, and an exception breaks the connection."""

    def respond(request):
        name = request.url.path.rpartition("/")[2]
        found = objects.get(name.replace("-", "_"))
        if name != "kube-system":
            assert request.url.path.startswith("/api/v1/namespaces/stage-tracking/")
        if isinstance(found, Exception):
            raise found
        if isinstance(found, httpx.Response):
            return found
        return httpx.Response(200, json=found) if found else status(404, "NotFound")

    http = httpx.Client(base_url=SERVER, transport=httpx.MockTransport(respond))
    monkeypatch.setattr(live_cluster, "client", lambda _cluster: Found(KubernetesClient(SERVER, http)))
    found = live_cluster.read(settings())
    assert http.is_closed
    return found


def status(code, reason, message=""):
    """The response of an API server that refuses."""
    return httpx.Response(code, json={"kind": "Status", "reason": reason, "message": message})


def test_the_owner_is_found_with_what_people_need_to_know(monkeypatch):
    found = read(
        monkeypatch, kube_system={"metadata": {"uid": "1"}}, modelstack_owner=OWNER, postgres={"metadata": {"uid": "2"}}
    )
    assert (found.uid, found.owner, found.database) == (Found("1"), Found("mine"), Found("2"))
    assert found.owned_by == "stack stage of project modelstack in s3://team"


@pytest.mark.parametrize("edited", [{"data": {"id": ""}}, {"data": None}, {"metadata": {}}])
def test_a_config_map_that_lost_its_id_does_not_mean_that_there_is_no_owner(monkeypatch, edited):
    found = read(
        monkeypatch, kube_system={"metadata": {"uid": "1"}}, modelstack_owner=edited, postgres={"metadata": {"uid": "2"}}
    )
    assert isinstance(found.owner, Unknown), "any stack with an old state would adopt the environment"
    assert found.owner.where.endswith("/configmaps/modelstack-owner")
    assert "no id" in found.owner.reason
    assert "delete it" in found.owner.fix


def test_an_empty_cluster_has_neither_owner_nor_database(monkeypatch):
    found = read(monkeypatch, kube_system={"metadata": {"uid": "1"}})
    assert (found.owner, found.database, found.owned_by) == (Absent(), Absent(), "")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (status(403, "Forbidden", "secrets is forbidden"), "403 secrets is forbidden"),
        (httpx.Response(404, text="no such site"), "404 no such site"),
        (httpx.ConnectError("refused"), "refused"),
    ],
)
def test_an_answer_that_is_no_answer_is_unknown_with_the_address_and_the_reason(monkeypatch, error, reason):
    found = read(monkeypatch, modelstack_owner=error, postgres=error)
    for answer in (found.owner, found.database):
        assert isinstance(answer, Unknown)
        assert answer.where.startswith("https://c.example/api/v1/")
        assert answer.reason == reason
        assert answer.fix
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


def test_what_is_unknown_about_a_kubeconfig_says_all_that_its_error_says(tmp_path):
    (tmp_path / "config").write_text(KUBECONFIG.replace("name: c, context", "name: other, context"))
    found = live_cluster.client(settings(EXISTING.replace("c,", f"c, kubeconfig: {tmp_path}/config,", 1)).cluster)
    assert isinstance(found, Unknown)
    assert str(found.error("No answer.")).splitlines() == [
        "No answer.",
        f"  where: {tmp_path}/config, contexts",
        "  found: The kubeconfig has no context of this name: c",
        "  right: other",
        "  do:    fix this, then run the command again",
    ]


def test_a_kubeconfig_that_cannot_be_used_is_unknown_with_the_cause(tmp_path):
    (tmp_path / "config").write_text(
        KUBECONFIG.replace("{token: t}", "{exec: {command: sh, args: [-c, 'echo the login has expired >&2; exit 3']}}")
    )
    found = live_cluster.client(settings(EXISTING.replace("c,", f"c, kubeconfig: {tmp_path}/config,", 1)).cluster)
    assert isinstance(found, Unknown)
    assert found.reason == "The exec plugin of the kubeconfig fails: status 3: the login has expired"


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
    docker = "check that Docker answers: run `docker ps`"
    assert of_kind() == Unknown(where="kind cluster mine", reason="Cannot connect to the Docker daemon", fix=docker)
    kind.setenv("PATH", str(tmp_path / "empty"))
    install = "install kind, then run the command again"
    assert of_kind() == Unknown(where="kind cluster mine", reason="the command `kind` is not installed", fix=install)
