"""The program itself refuses what may not be served, and lets through what may."""

from __future__ import annotations

from unittest import mock

import pulumi
import pytest

from infra.promotion import rules
from tests.harness import run_stack
from tests.releases import AGED, image, outputs, release, released, run_released, signed, stacks


def refusal(stack, block, world=None):
    with pytest.raises(pulumi.RunError) as refused:
        run_stack(stack, world or stacks(stage=outputs(block)), replaced={"releases": {"markdown": block}})
    return str(refused.value)


def test_prod_refuses_a_release_that_the_workloads_own_list_of_approvers_does_not_cover():
    said = refusal("prod", {"stable": 3, "versions": [signed("prod", release(3), by="stranger@example.com")]})
    assert "stranger@example.com is not among the approvers of markdown" in said
    assert "where: Pulumi.prod.yaml" in said


def test_prod_asks_stage_itself_what_is_stable_there():
    said = refusal("prod", released(3), stacks(stage=outputs(released(2))))
    assert f"found: version 2, image {image(2)}" in said


def test_stage_refuses_evidence_that_does_not_pass():
    bad = release(3)
    bad["evidence"]["metrics"] = {**bad["evidence"]["metrics"], "wape": 0.5}
    assert "wape <= 0.42: found 0.5, bound 0.42" in refusal("stage", {"stable": 3, "versions": [bad]})


def test_the_age_of_the_data_is_counted_up_to_the_day_it_is_and_of_what_comes_new():
    old = release(3)
    old["evidence"]["until"] = "1992-10-07"
    block = {"stable": 3, "versions": [old]}
    with mock.patch.object(rules, "WORKLOADS", {"markdown": AGED}):
        said = refusal("stage", block, stacks())
        served = run_stack("stage", stacks(stage=outputs(block)), replaced={"releases": {"markdown": block}})
    assert int(said.partition("age of the data <= 90 days: found ")[2].partition(",")[0]) > 12_000, said
    assert served.all("Endpoint"), "the stack says itself that it has been served"


def test_development_asks_nobody():
    declared = run_stack("dev", world={}, replaced={"releases": {"markdown": released(3)}})
    assert declared.all("Endpoint"), "what is made there cannot depend on where it goes"


def test_an_environment_without_releases_asks_nobody():
    assert not run_stack("prod", world={}, replaced={"releases": {}}).all("Endpoint")


def test_a_canary_and_a_shadow_are_variants_beside_the_stable_one():
    block = released(3, 4, 5, canary={"version": 4, "percent": 10}, shadow=5)
    declared = run_released("prod", block, stacks(stage={"releases": {"markdown": proven(3, 4, 5)}}, prod=here(3, 4, 5)))
    served = {
        variant.name: declared.one("Deployment", f"{variant.name}-deployment").inputs["spec"]["template"]["spec"]["containers"][
            0
        ]["image"]
        for variant in declared.all("Variant")
    }
    assert {name: reference.rpartition("@")[2] for name, reference in served.items()} == {
        "markdown-stable": image(3),
        "markdown-canary": image(4),
        "markdown-shadow": image(5),
    }
    assert "10% canary" in declared.one("ConfigMap", "markdown-router-config").inputs["data"]["nginx.conf"]


def here(*versions):
    """What a stack tells that has served these versions."""
    return {"releases": {"markdown": proven(*versions)}}


def proven(*versions):
    return outputs(released(versions[0]))["releases"]["markdown"] | {"proven": [image(version) for version in versions]}


def test_a_stack_tells_what_it_serves_and_what_it_may_go_back_to():
    first = run_released("prod", released(3)).outputs["releases"]["markdown"]
    assert (first["version"], first["image"], first["proven"]) == (3, image(3), [image(3)])
    then = run_released("prod", released(4, 3), stacks(stage=outputs(released(4)), prod={"releases": {"markdown": first}}))
    assert then.outputs["releases"]["markdown"]["proven"] == [image(3), image(4)]
    back = run_released("prod", released(3, 4), stacks(stage=outputs(released(4)), prod=then.outputs))
    assert back.outputs["releases"]["markdown"]["version"] == 3, "stage is further by now, and that is no reason to stay"
    pruned = run_released("prod", released(4), stacks(stage=outputs(released(4)), prod=then.outputs))
    assert pruned.outputs["releases"]["markdown"]["proven"] == [image(4)], "what is no longer kept is to be proven anew"
