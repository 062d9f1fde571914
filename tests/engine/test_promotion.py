"""The whole program with whole stack files, by plain `pulumi preview`: what may not be served is refused at once."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from delivery.stacks import stack_file
from infra.settings import tour
from local.node.config import NODE_NAME
from tests.checkout import CHECKOUT, STACK_FILES, TIERS
from tests.engine.harness.control_plane import uid_of
from tests.engine.harness.plain import opened, template
from tests.harness import stack_file_text
from tests.releases import APPROVER, approved, image, outputs, release, released

__all__ = ["template"]  # a fixture

PROGRAM = ("__main__.py", "Pulumi.yaml", "pyproject.toml", "uv.lock", "clients", "common", "components", "infra", "workloads")


TARGETS = """
[[targets]]
tier = "stage"
cluster = "UID"
context = "modelstack-stage"
namespace_prefix = "stage-"
images = "registry.modelstack.example"

[[targets]]
tier = "prod"
cluster = "UID"
context = "modelstack-prod"
images = "registry.modelstack.example"
"""
"""Both environments are in the cluster of the tests."""


def stack_text(stack):
    """Returns a stack file of the tests. Stage shares the cluster with prod, so its namespaces have a prefix."""
    text = stack_file_text(stack)
    return text.replace("kind: existing\n", "kind: existing\n    namespacePrefix: stage-\n") if stack == "stage" else text


@pytest.fixture(scope="module")
def checkout(engine_home, template, api_server, tmp_path_factory):
    """A copy of the program with the approvers of the tests, its stacks and those of the tour.

    stage and tour-stage have been up with version 3.
    """
    folder = tmp_path_factory.mktemp("promotion")
    made = opened(folder, engine_home)
    made.folder.mkdir()
    (folder / "state").mkdir()
    for name in PROGRAM:
        copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        copy(CHECKOUT / name, made.folder / name)
    uid = uid_of(api_server)
    (made.folder / TIERS).write_text((STACK_FILES / "tiers.toml").read_text() + TARGETS.replace("UID", uid))
    (made.folder / "workloads/markdown/approvers.json").write_text(f"[{APPROVER.model_dump_json()}]")
    del made.environment["PULUMI_STACK"]
    kubeconfig = yaml.safe_load(api_server)
    (context,) = kubeconfig["contexts"]
    kubeconfig["contexts"] = [{**context, "name": f"modelstack-{stack}"} for stack in ("stage", "prod")]
    kubeconfig["current-context"] = "modelstack-prod"
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    made.environment["KUBECONFIG"] = str(folder / "kubeconfig")
    for stack in ("dev", "stage", "prod", *tour.STACKS):
        (made.folder / f"Pulumi.{stack}.yaml").write_text(stack_text(stack))
        status, said = made.run("stack", "init", stack)
        assert status == 0, said
    for stack in ("stage", tour.STAGE):
        has_been_up(made, stack, outputs(released(3)))
    return made


def has_been_up(checkout, stack, stack_outputs):
    """Imports a state with these outputs into a stack, as if it had been updated."""
    urn = f"urn:pulumi:{stack}::modelstack::pulumi:pulumi:Stack::modelstack-{stack}"
    resource = {"urn": urn, "custom": False, "type": "pulumi:pulumi:Stack", "outputs": stack_outputs}
    file = checkout.folder.parent / "deployment.json"
    file.write_text(json.dumps({"version": 3, "deployment": {"manifest": {}, "resources": [resource]}}))
    status, printed = checkout.run("stack", "import", "--stack", stack, "--file", str(file))
    assert status == 0, printed


def write_releases(checkout, stack, block):
    """Writes releases into a stack file, in addition to its committed content."""
    text = stack_text(stack)
    file = checkout.folder / f"Pulumi.{stack}.yaml"
    salt = stack_file.salt(file.read_text())
    file.write_text(stack_file.with_salt(stack_file.with_releases(text, "markdown", block), salt))


def preview(checkout, stack, block):
    write_releases(checkout, stack, block)
    return checkout.operation("preview", None, "--stack", stack)


def refusal(checkout, stack, block):
    previewed = preview(checkout, stack, block)
    assert previewed.failed
    assert previewed.operations == {}, "no resource is registered"
    assert "Traceback" not in previewed.error
    return previewed.error


def test_prod_refuses_a_release_without_an_approval(checkout):
    message = refusal(checkout, "prod", released(3))
    assert "which is not approved for prod" in message
    assert "modelstack approve markdown --version 3 --stack prod" in message


def test_prod_refuses_a_release_that_is_not_stable_in_stage(checkout):
    message = refusal(checkout, "prod", approved("prod", released(4)))
    assert f"found: version 3, image {image(3)}" in message
    assert "modelstack promote markdown --to stage --version 4" in message


def test_stage_refuses_a_version_whose_evidence_does_not_pass(checkout):
    bad = release(4)
    bad["evidence"]["metrics"] = {**bad["evidence"]["metrics"], "wape": 0.415}
    message = refusal(checkout, "stage", {"stable": 4, "versions": [bad]})
    assert "wape <= 1.02 x wape of the stable version: found 0.415, bound 0.408" in message, (
        "the baseline comes from the outputs of stage"
    )


def test_the_program_verifies_a_signature_over_the_day_of_the_data(checkout):
    block = released(3)
    block["versions"][0]["evidence"]["until"] = "1992-10-07"
    previewed = preview(checkout, "prod", approved("prod", block))
    assert not previewed.failed, previewed.error


def test_prod_accepts_a_release_that_is_approved_and_stable_in_stage(checkout):
    previewed = preview(checkout, "prod", approved("prod", released(3)))
    assert not previewed.failed, previewed.error
    assert previewed.operations["markdown-stable-deployment"] == ["create"]


def test_a_stack_file_of_dev_that_names_the_cluster_of_prod_is_refused_by_plain_pulumi(checkout):
    text = (STACK_FILES / "Pulumi.prod.yaml").read_text()
    file = checkout.folder / "Pulumi.dev.yaml"
    kept = file.read_text()
    for operation in ("preview", "up"):
        file.write_text(stack_file.with_salt(text, stack_file.salt(kept)))
        seen = checkout.operation(operation, None, "--stack", "dev")
        assert seen.failed
        assert seen.operations == {}, "no resource is registered"
        assert "The target of stack dev belongs to tier prod, but the stack is of tier dev." in seen.error
        assert "Traceback" not in seen.error
    file.write_text(kept)


def test_a_stack_of_no_tier_is_refused_by_plain_pulumi(checkout):
    status, printed = checkout.run("stack", "init", "canada")
    assert status == 0, printed
    file = checkout.folder / "Pulumi.canada.yaml"
    file.write_text(stack_file.with_salt(stack_text("dev"), stack_file.salt(file.read_text())))
    previewed = checkout.operation("preview", None, "--stack", "canada")
    assert previewed.failed
    assert previewed.operations == {}
    assert "Stack canada belongs to no tier" in previewed.error


@pytest.fixture
def embedded(checkout, api_server):
    """Makes the cluster of the tests the embedded one of the checkout, as long as a test lasts."""
    kubeconfig = yaml.safe_load(api_server)
    kubeconfig["contexts"][0]["name"] = kubeconfig["current-context"] = NODE_NAME
    file = checkout.folder / ".modelstack" / "kubeconfig"
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(kubeconfig))
    yield
    file.unlink()


def test_the_tour_is_refused_and_accepted_as_prod_is(checkout, embedded):
    assert "which is not approved for tour-prod" in refusal(checkout, tour.PROD, approved("prod", released(3)))
    previewed = preview(checkout, tour.PROD, approved(tour.PROD, released(3)))
    assert not previewed.failed, previewed.error
    assert previewed.operations["markdown-stable-deployment"] == ["create"]


def test_a_stack_of_the_tour_at_another_address_is_refused_by_plain_pulumi(checkout, embedded):
    write_releases(checkout, tour.STAGE, released(3))
    file = checkout.folder / f"Pulumi.{tour.STAGE}.yaml"
    file.write_text(file.read_text().replace("host: localhost", "host: prod.example"))
    previewed = checkout.operation("preview", None, "--stack", tour.STAGE)
    assert previewed.failed
    assert previewed.operations == {}, "no resource is registered"
    assert "modelstack:cluster.host differs from this checkout's embedded cluster" in previewed.error
