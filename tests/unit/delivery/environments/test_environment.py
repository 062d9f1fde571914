"""An environment as the commands use it: what is looked up, when, and in which environment."""

from __future__ import annotations

import pytest

from clients.kubernetes import KubernetesClient
from clients.model_registry import ModelRegistry
from common import paths
from common.errors import UserError
from delivery.environments import environment
from delivery.environments.environment import Environment
from delivery.stacks import backend, stack_outputs
from tests.tiers import tier_of

EXISTING = """\
config:
  modelstack:cluster: {kind: existing, context: c, host: c.example, kubeconfig: my-kubeconfig}
  modelstack:images: {registry: registry.example}
  modelstack:workloads:
    markdown: {nodePort: 30001}
"""
EMBEDDED = """\
config:
  modelstack:cluster: {kind: embedded}
  modelstack:images: {registry: "localhost:5000", base: "localhost:5000/base:bookworm"}
"""


def outputs_of(stack):
    tracking = {"url": f"http://{stack}.example", "username": "admin", "password": "p"}
    return {"kubeconfig": f"kubeconfig of {stack}", "registry": "r", "servingImage": "i", "tracking": tracking}


@pytest.fixture
def read(tmp_path, monkeypatch):
    """The stacks whose outputs were read, in order. dev is embedded, the others are elsewhere."""
    names = []
    for stack, text in (("dev", EMBEDDED), ("stage", EXISTING), ("prod", EXISTING)):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(text)
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(stack_outputs, "read", lambda stack: names.append(stack) or outputs_of(stack))
    monkeypatch.setattr(ModelRegistry, "connect", lambda url, username, password: (url, username, password))
    return names


def test_an_environment_is_opened_without_a_look_at_its_outputs(read):
    assert Environment.open("stage").settings.images.registry == "registry.example"
    assert read == [], "`modelstack status` has to work for an environment that is not up"


def test_a_missing_stack_file_is_refused_when_the_environment_is_opened(read):
    with pytest.raises(UserError, match="no such stack file"):
        Environment.open("dve")


def test_outputs_are_read_once_and_settings_each_time(read, tmp_path):
    opened = Environment.open("stage")
    assert opened.outputs is opened.outputs
    assert read == ["stage"], "each reading starts the engine"
    assert opened.settings.images.registry == "registry.example"
    (tmp_path / "Pulumi.stage.yaml").write_text(EXISTING.replace("registry.example", "other.example"))
    assert opened.settings.images.registry == "other.example", "a release changes the file while the command runs"


def test_incomplete_outputs_mean_that_the_environment_is_not_up(read, monkeypatch):
    monkeypatch.setattr(stack_outputs, "read", lambda _stack: {"registry": "r"})
    with pytest.raises(UserError, match=r"(?s)Stack stage is not up.*kubeconfig, servingImage, tracking.*up --stack stage"):
        _ = Environment.open("stage").outputs


@pytest.mark.parametrize("stack", ["dev", "stage", "prod"])
def test_releases_come_from_the_model_registry_of_the_first_environment(read, stack):
    assert Environment.open(stack).model_registry == (f"http://{stack}.example", "admin", "p")
    assert Environment.open(stack).origin_registry == ("http://dev.example", "admin", "p")
    assert environment.origin_registry(tier_of(stack)) == ("http://dev.example", "admin", "p")


def test_the_origin_is_asked_although_the_environment_itself_is_not_up(read):
    environment.origin_registry(tier_of("prod"))
    assert read == ["dev"]


def test_an_existing_cluster_is_reached_by_the_user_s_own_kubeconfig(read, monkeypatch):
    monkeypatch.setattr(KubernetesClient, "from_file", lambda path, context: (path, context))
    assert Environment.open("stage").cluster == ("my-kubeconfig", "c")
    assert read == [], "the outputs have the administrator's kubeconfig, which not every user may use"


def test_an_embedded_cluster_is_reached_by_the_kubeconfig_in_the_outputs(read, monkeypatch):
    monkeypatch.setattr(KubernetesClient, "from_kubeconfig", lambda kubeconfig: kubeconfig)
    assert Environment.open("dev").cluster == "kubeconfig of dev"


@pytest.mark.parametrize(("known", "exported", "up"), [([], {"a": 1}, False), (["dev"], {}, False), (["dev"], {"a": 1}, True)])
def test_a_stack_is_up_if_an_update_has_exported_outputs(monkeypatch, known, exported, up):
    monkeypatch.setattr(backend, "stacks", lambda: known)
    monkeypatch.setattr(stack_outputs, "read", lambda _stack: exported)
    assert environment.is_up("dev") is up
