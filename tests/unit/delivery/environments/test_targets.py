"""`modelstack target`, and the commands that write to a cluster or a container registry: each asks first which one it is."""

from __future__ import annotations

import json

import pytest

from common import paths
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from delivery.environments import targets
from delivery.environments.environment import Environment
from infra import live_cluster
from infra.live_cluster import LiveCluster
from infra.tiers import loading
from tests.checkout import STACK_FILES

PROD, NEW = "00000000-0000-4000-8000-000000000003", "00000000-0000-4000-8000-000000000009"
STACK = """\
config:
  modelstack:cluster: {kind: existing, context: CONTEXT, host: c.example}
  modelstack:images: {registry: REGISTRY}
"""


class Checkout:
    """A checkout with stack files and tiers, and one cluster, which every context leads to."""

    def __init__(self, folder):
        self.folder, self.tiers = folder, folder / "tiers.toml"
        self.uid = Found(NEW)

    def write(self, stack, context, registry="registry.modelstack.example"):
        (self.folder / f"Pulumi.{stack}.yaml").write_text(STACK.replace("CONTEXT", context).replace("REGISTRY", registry))

    def read(self, _settings):
        return LiveCluster(uid=self.uid, owner=Absent())

    def targets(self, tier):
        return [
            (each.cluster, each.context, each.namespace_prefix, each.images)
            for each in loading.load().targets
            if each.tier == tier and each.cluster not in {"embedded", "kind:modelstack"}
        ]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    made = Checkout(tmp_path)
    made.tiers.write_text((STACK_FILES / "tiers.toml").read_text())
    monkeypatch.setattr(loading, "FILE", made.tiers)
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(paths, "STATE", tmp_path / ".modelstack")
    monkeypatch.setattr(live_cluster, "read", made.read)
    return made


def register(stack, *, replace=False, dry_run=False):
    targets.register(stack, replace=replace, dry_run=dry_run)


def test_a_target_that_is_seen_for_the_first_time_is_registered_and_then_accepted(checkout, capsys):
    checkout.write("prod", "frankfurt")
    with pytest.raises(UserError, match="modelstack target register --stack prod"):
        Environment.open("prod").check_target()
    before = checkout.targets("prod")
    register("prod")
    assert checkout.targets("prod") == [*before, (NEW, "frankfurt", "", "registry.modelstack.example")]
    printed = capsys.readouterr().out
    assert "+++ b/infra/tiers/tiers.toml" in printed
    assert f'+cluster = "{NEW}"' in printed
    assert printed.splitlines()[-1].startswith("Next: commit infra/tiers/tiers.toml")
    Environment.open("prod").check_target()


def test_a_second_registration_changes_nothing(checkout, capsys):
    checkout.write("prod", "frankfurt")
    register("prod")
    before = checkout.tiers.read_text()
    capsys.readouterr()
    register("prod")
    assert checkout.tiers.read_text() == before
    assert "nothing changes" in capsys.readouterr().out


def test_a_dry_run_shows_the_change_and_writes_nothing(checkout, capsys):
    checkout.write("prod", "frankfurt")
    before = checkout.tiers.read_text()
    register("prod", dry_run=True)
    assert checkout.tiers.read_text() == before
    printed = capsys.readouterr().out
    assert f'+cluster = "{NEW}"' in printed
    assert "Nothing was written." in printed


def test_a_target_that_moved_is_registered_only_with_replace(checkout, capsys):
    checkout.write("prod", "modelstack-prod")
    with pytest.raises(UserError, match=r"(?s)target of stack prod moved.*--replace"):
        register("prod")
    assert {cluster for cluster, *_ in checkout.targets("prod")} == {PROD}
    register("prod", replace=True)
    assert checkout.targets("prod") == [(NEW, "modelstack-prod", "", "registry.modelstack.example")]
    assert f'-cluster = "{PROD}"' in capsys.readouterr().out


@pytest.mark.parametrize("replace", [False, True])
def test_a_target_of_another_tier_cannot_be_registered(checkout, replace):
    checkout.write("dev", "anything")
    checkout.uid = Found(PROD)
    before = checkout.tiers.read_text()
    with pytest.raises(UserError, match="The target of stack dev belongs to tier prod"):
        register("dev", replace=replace)
    checkout.write("dev", "modelstack-prod")
    checkout.uid = Found(NEW)
    with pytest.raises(UserError, match="is that of a moved target of tier prod"):
        register("dev", replace=replace)
    assert checkout.tiers.read_text() == before


def test_another_container_registry_is_added_or_takes_the_place_of_the_old_ones(checkout):
    checkout.write("prod", "modelstack-prod", "new.example/prod")
    checkout.uid = Found(PROD)
    register("prod", dry_run=False)
    assert [images for *_, images in checkout.targets("prod")] == [
        "registry.modelstack.example",
        "registry.example",
        "new.example/prod",
    ]
    checkout.write("prod", "modelstack-prod", "newer.example")
    register("prod", replace=True)
    assert [images for *_, images in checkout.targets("prod")] == ["newer.example"]


def test_a_cluster_that_cannot_be_asked_is_not_registered(checkout):
    checkout.write("prod", "frankfurt")
    checkout.uid = Unknown(where="https://k.example", reason="401 Unauthorized")
    before = checkout.tiers.read_text()
    with pytest.raises(UserError, match=r"(?s)nothing is registered.*https://k\.example.*401 Unauthorized"):
        register("prod")
    assert checkout.tiers.read_text() == before


def test_the_list_shows_targets_and_the_stacks_that_may_deploy_to_them(checkout, capsys):
    targets.show(as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert any("prod" in line and PROD in line and "modelstack-prod" in line and "tour-prod" in line for line in lines)
    targets.show(as_json=True)
    assert {"tier", "cluster", "context", "namespace_prefix", "images"} == set(json.loads(capsys.readouterr().out)[0])
