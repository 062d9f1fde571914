"""The stacks of the tour have all rules of stage and prod, and are in no other cluster than the checkout's embedded one."""

from __future__ import annotations

from unittest import mock

import pulumi
import pytest

from common import paths
from infra.promotion import rules
from infra.settings import tour
from infra.tiers import loading
from tests.harness import run_stack
from tests.releases import APPROVER, MARKDOWN, approved, image, outputs, release, released, signed, stacks


@pytest.fixture(autouse=True)
def no_local_approvers(tmp_path, monkeypatch):
    """This machine lists nobody, whatever the user of the checkout has listed."""
    monkeypatch.setattr(paths, "TOUR", tmp_path)


def run(stack, block=None, world=None, **replaced):
    """What the program declares for a stack of the tour with these releases of markdown."""
    releases = {"releases": {"markdown": block}} if block else {}
    with mock.patch.object(rules, "WORKLOADS", {"markdown": MARKDOWN}):
        return run_stack(stack, world or {}, replaced={**releases, **replaced})


def refusal(*args, **options):
    with pytest.raises(pulumi.RunError) as refused:
        run(*args, **options)
    return str(refused.value)


STABLE = stacks(**{tour.STAGE: outputs(released(3))})


def test_the_stacks_of_the_tour_are_of_tiers_stage_and_prod():
    stage, prod = loading.resolve(tour.STAGE), loading.resolve(tour.PROD)
    assert (stage.tier, prod.tier) == (loading.resolve("stage").tier, loading.resolve("prod").tier)
    assert (prod.source, stage.source) == (stage, loading.resolve(tour.DEV))


def test_the_tour_declares_what_stage_and_prod_declare():
    for stack, shipped in ((tour.STAGE, "stage"), (tour.PROD, "prod")):
        found, expected = run(stack), run_stack(shipped, world={}, replaced={"releases": {}})
        assert {(each.type, each.name) for each in found.resources} == {(each.type, each.name) for each in expected.resources}


def test_every_object_of_the_tour_is_in_a_namespace_with_the_prefix():
    for stack, prefix in ((tour.STAGE, "stage-"), (tour.PROD, "prod-")):
        named = [each.inputs["metadata"]["name"] for each in run(stack).all("Namespace") if each.custom]
        assert named
        assert [name for name in named if not name.startswith(prefix)] == []


def test_tour_stage_refuses_evidence_that_does_not_pass():
    bad = release(3)
    bad["evidence"]["metrics"] = {**bad["evidence"]["metrics"], "wape": 0.5}
    assert "wape <= 0.42" in refusal(tour.STAGE, {"stable": 3, "versions": [bad]}, stacks())


def test_tour_prod_refuses_a_release_without_an_approval():
    said = refusal(tour.PROD, released(3), STABLE)
    assert "is not approved for tour-prod" in said
    assert "modelstack approve markdown --version 3 --stack tour-prod" in said


@pytest.mark.parametrize("stack", ["prod", "stage", tour.STAGE])
def test_tour_prod_refuses_an_approval_for_another_stack(stack):
    assert "is not approved for tour-prod" in refusal(tour.PROD, approved(stack, released(3)), STABLE)


def test_prod_refuses_an_approval_for_the_tour():
    block = approved(tour.PROD, released(3))
    assert "is not approved for prod" in refusal("prod", block, stacks(stage=outputs(block)))


def test_tour_prod_asks_tour_stage_what_is_stable_there():
    said = refusal(
        tour.PROD, approved(tour.PROD, released(4)), stacks(**{tour.STAGE: outputs(released(3)), "stage": outputs(released(4))})
    )
    assert f"found: version 3, image {image(3)}" in said
    assert "modelstack promote markdown --to tour-stage --version 4" in said


def test_tour_prod_serves_what_is_approved_and_stable_in_tour_stage():
    assert run(tour.PROD, approved(tour.PROD, released(3)), STABLE).all("Endpoint")


def listed_here(folder):
    """Lists the tests' approver as one of the tour."""
    (folder / "markdown").mkdir()
    (folder / "markdown" / "approvers.json").write_text(f"[{APPROVER.model_dump_json()}]")


@pytest.mark.parametrize(("stack", "source", "accepted"), [(tour.PROD, tour.STAGE, True), ("prod", "stage", False)])
def test_an_approver_of_this_machine_counts_for_the_tour_and_never_for_prod(tmp_path, stack, source, accepted):
    listed_here(tmp_path)
    block = {"stable": 3, "versions": [signed(stack, release(3))]}
    options, world = {"releases": {"markdown": block}}, stacks(**{source: outputs(block)})
    with mock.patch.object(rules, "WORKLOADS", {"markdown": MARKDOWN.model_copy(update={"approvers": ()})}):
        if accepted:
            assert run_stack(stack, world, replaced=options).all("Endpoint")
        else:
            with pytest.raises(pulumi.RunError, match="not among the approvers of markdown"):
                run_stack(stack, world, replaced=options)


@pytest.mark.parametrize(
    "changes",
    [
        {"context": "modelstack-prod"},
        {"kubeconfig": "~/.kube/config"},
        {"kubeconfig": None},
        {"host": "prod.modelstack.example"},
    ],
    ids=str,
)
def test_a_stack_of_the_tour_in_another_cluster_is_refused(tmp_path, changes):
    listed_here(tmp_path)
    cluster = {key: value for key, value in {**tour.cluster(tour.PROD), **changes}.items() if value is not None}
    said = refusal(tour.PROD, approved(tour.PROD, released(3)), STABLE, cluster=cluster)
    (key,) = changes
    assert f"modelstack:cluster.{key} differs from this checkout's embedded cluster" in said
    assert "modelstack tour --force" in said


@pytest.mark.parametrize(("prefix", "tier"), [("", "dev"), ("stage-", "stage")])
def test_a_stack_of_the_tour_in_the_namespaces_of_another_is_refused(prefix, tier):
    said = refusal(tour.PROD, cluster={**tour.cluster(tour.PROD), "namespacePrefix": prefix})
    assert f"The target of stack tour-prod belongs to tier {tier}" in said


def test_a_stack_of_the_tour_with_a_cluster_of_its_own_is_refused():
    assert "The target of stack tour-stage belongs to tier dev" in refusal(tour.STAGE, cluster={"kind": "kind"})
