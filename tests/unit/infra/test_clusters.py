"""What each kind of cluster answers about itself."""

from __future__ import annotations

import json

import pytest

from common import paths
from common.answers import Absent, Found, Unknown
from delivery.environments import embedded_node
from delivery.machine import preflight
from infra import live_cluster
from infra.settings import loading

EMBEDDED = {"kind": "embedded", "apiPort": 7443, "registryPort": 5001, "nodePorts": "31000-31003"}
KIND = {"kind": "kind", "name": "trial", "nodePorts": "31000-31003"}
EXISTING = {"kind": "existing", "context": "there", "host": "there.example", "kubeconfig": "some/kubeconfig"}


def settings(cluster):
    return loading.parse(
        {
            "cluster": cluster,
            "images": {"registry": "localhost:5001", "base": "localhost:5001/base:bookworm"},
            "tracking": {"nodePort": 31000},
            "workloads": {"markdown": {"nodePort": 31001}},
        },
        "Pulumi.test.yaml",
    )


def kubeconfig(server="http://there.example", context="there"):
    return json.dumps(
        {
            "current-context": context,
            "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
    )


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """A checkout without an environment."""
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / ".modelstack" / "kubeconfig")
    (tmp_path / ".modelstack").mkdir()
    (tmp_path / "some").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("cluster", "starts_a_node", "in_node", "owns_registry"),
    [
        (EMBEDDED, True, True, True),
        (KIND, False, False, False),
        (EXISTING, False, False, False),
        (EXISTING | {"kubeconfig": ".modelstack/kubeconfig"}, False, True, False),
    ],
    ids=["embedded", "kind", "existing", "existing, in the node of this checkout"],
)
def test_a_cluster_knows_what_of_it_is_on_this_machine(cluster, starts_a_node, in_node, owns_registry):
    asked = settings(cluster).cluster
    assert (asked.node is not None) is starts_a_node, "commands start a node, and delete its data, only if it is the stack's"
    assert asked.in_node_of_checkout is in_node, "`down` refuses to delete a node that another environment is in"
    assert asked.owns_container_registry is owns_registry, "`up` removes releases only if their images are lost for certain"


def test_the_node_has_the_ports_of_the_stack_file():
    config = embedded_node.config_of(settings(EMBEDDED))
    assert config is not None
    assert (config.api_port, config.registry_port, config.node_ports) == (7443, 5001, (31000, 31003))


@pytest.mark.parametrize("cluster", [KIND, EXISTING], ids=["kind", "existing"])
def test_without_a_node_no_port_of_this_machine_has_to_be_free(cluster):
    assert embedded_node.config_of(settings(cluster)) is None
    assert preflight.ports_of(settings(cluster)) == {}


def test_the_ports_of_the_node_are_named_as_in_the_stack_file():
    assert preflight.ports_of(settings(EMBEDDED)) == {
        7443: "modelstack:cluster: apiPort",
        5001: "modelstack:cluster: registryPort",
        31000: "modelstack:tracking: nodePort",
        31001: "modelstack:workloads: markdown: nodePort",
        31002: "modelstack:cluster: nodePorts",
        31003: "modelstack:cluster: nodePorts",
    }


def test_the_embedded_cluster_is_absent_until_the_stack_has_created_it():
    assert live_cluster.client(settings(EMBEDDED).cluster) == Absent()


def test_the_embedded_cluster_is_asked_by_the_kubeconfig_of_the_checkout():
    paths.KUBECONFIG.write_text(kubeconfig("http://here.example"))
    found = live_cluster.client(settings(EMBEDDED).cluster)
    assert isinstance(found, Found)
    assert found.value.server == "http://here.example"


def test_a_kind_cluster_cannot_be_asked_before_the_stack_is_up():
    asked = live_cluster.client(settings(KIND).cluster)
    assert isinstance(asked, Unknown), "it may exist: `kind` was not asked, so nothing may be concluded"
    assert "trial" in asked.where


def test_an_existing_cluster_is_asked_by_its_kubeconfig_and_context(checkout):
    (checkout / "some" / "kubeconfig").write_text(kubeconfig())
    found = live_cluster.client(settings(EXISTING).cluster)
    assert isinstance(found, Found)
    assert found.value.server == "http://there.example"


def test_an_existing_cluster_without_a_kubeconfig_is_unknown(checkout):
    asked = live_cluster.client(settings(EXISTING).cluster)
    assert isinstance(asked, Unknown), "the cluster may well exist: only the file that says where is missing"
    assert str(checkout / "some" / "kubeconfig") in asked.where


@pytest.mark.parametrize("cluster", [EMBEDDED, KIND], ids=["embedded", "kind"])
def test_a_stack_that_is_up_says_how_its_own_cluster_is_reached(cluster):
    assert settings(cluster).cluster.connect(kubeconfig).server == "http://there.example"


def test_the_outputs_of_the_stack_are_not_read_to_reach_an_existing_cluster(checkout):
    def outputs():
        raise AssertionError("the stack need not be up")

    (checkout / "some" / "kubeconfig").write_text(kubeconfig())
    assert settings(EXISTING).cluster.connect(outputs).server == "http://there.example"
