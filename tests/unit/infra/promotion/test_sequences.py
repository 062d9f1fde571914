"""No sequence of edits and updates gets around a rule of promotion, and each rule is needed for that.

`make test` tries 2,000 sequences, `make e2e-full` 10,000: `MODELSTACK_EXAMPLES`.
"""

from __future__ import annotations

import inspect
import textwrap
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from infra import outputs
from infra.promotion import approval, rules
from infra.promotion.deployed import DeployedReleases
from infra.tiers import file
from infra.tiers.model import Tiers
from tests.unit.infra.promotion import test_rules
from tests.unit.infra.promotion.sequences import EXAMPLES, LEAST, MOST, WAYS, World, forget, sequences
from workloads.gate import Age, Gate, Regression

WAY = WAYS[0]
FOR_A_MUTATION = 1000
"""Examples at most: it ends with the first that gets around the missing rule."""


def checked(examples: int, *stacks: str, phases=tuple(Phase)) -> Counter[str]:
    """Tries sequences, always the same ones, and counts what they came to."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=examples, derandomize=True, database=None, phases=phases, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(sequences(*stacks))
    def check(steps):
        assert LEAST <= len(steps) <= MOST
        world = World().run(steps)
        seen.update(sequences=1, prod=world.updates > 0)

    check()
    return seen


def test_no_sequence_of_edits_and_updates_puts_an_unproven_release_into_prod():
    seen = checked(EXAMPLES, "stage", "prod")
    assert seen["sequences"] >= EXAMPLES, f"there were fewer: {seen}"
    assert seen["prod"] >= seen["sequences"] / 5, f"else the property holds because prod is hardly reached: {seen}"


def test_no_sequence_in_stage_brings_in_old_data_as_new_or_refuses_what_is_served():
    checked(EXAMPLES // 5, "stage")


def test_the_way_that_releases_take_does_lead_to_prod():
    assert World().run(WAY).up["prod"]["releases"]["markdown"]["version"] == 1


def test_a_second_version_comes_to_prod_as_the_first_did():
    world = World().run([step for way in WAYS for step in way])
    assert world.up["prod"]["releases"]["markdown"]["version"] == 2
    assert world.updates == len(WAYS) - 1, "one of them is much worse than what it would take over from"


def test_on_the_same_way_a_hundred_days_before_prod_are_too_many_and_after_it_are_none():
    late = World().run([*WAY[:-1], ("days", "", 100, ""), WAY[-1]])
    assert late.up["prod"] == {}, "approved in time, and brought up too late"
    early = World().run([*WAY, ("days", "", 100, ""), WAY[-1]])
    assert early.up["prod"]["releases"]["markdown"]["version"] == 1


def without(owner, function, old, new):
    """A mutation: a function whose source says something else."""
    return owner, function, old, new


MUTATIONS = {
    "the gate is not asked": without(rules, "_refusals", "if case.required.evidence:", "if False:"),
    "stage asks for no evidence": without(file, "_tier", "evidence=table.evidence", "evidence=table.approval"),
    "approval is not read": without(file, "_tier", "approval=table.approval", "approval=False"),
    "proven is not read": without(file, "_tier", "proven=table.proven", "proven=False"),
    "one rule of the gate is enough": without(Gate, "check", "for rule in self.rules", "for rule in self.rules[:1]"),
    "what is stable in stage is not asked for": without(rules, "_refusals", "if case.required.proven:", "if False:"),
    "any image is the one that is stable in stage": without(rules, "_proven", "case.release.image == in_source.image", "True"),
    "the version is compared and not the image": without(
        rules, "_proven", "case.release.image == in_source.image", "case.release.version == in_source.version"
    ),
    "what is stable here counts as stable in stage": without(
        rules, "_proven", "case.deployed.source.get(name)", "case.deployed.here.get(name) or case.deployed.source.get(name)"
    ),
    "approval is not asked for": without(rules, "_refusals", "if case.required.approval:", "if False:"),
    "a missing approval counts": without(approval, "objection", 'return "nobody has approved it"', 'return ""'),
    "an approver need not be listed": without(
        approval,
        "objection",
        "if not listed:",
        "if not (listed := listed or [*approvers][:0]):\n        return ''\n    if False:",
    ),
    "who trained may approve": without(approval, "objection", "if approval.by == release.trainer:", "if False:"),
    "any signature counts": without(approval, "objection", "if not signers:", "signers = signers or listed\n    if False:"),
    "a revoked key counts": without(approval, "objection", "if approver.revoked is not None", "if False"),
    "an approval counts for every stack": without(approval, "statement", '"stack": stack,', ""),
    "an approval counts for every workload": without(approval, "statement", '"workload": workload,', ""),
    "the revision is not signed": without(approval, "statement", 'exclude={"approval"}', 'exclude={"approval", "revision"}'),
    "the evidence is not signed": without(approval, "statement", 'exclude={"approval"}', 'exclude={"approval", "evidence"}'),
    "the age of the data is not asked for": without(Age, "check", "0 <= age <= self.at_most_days", "True"),
    "data may be of a day to come": without(Age, "check", "0 <= age <=", "age <="),
    "data need not have a day": without(
        Age, "check", 'False, "the evidence does not state the last day of its data"', 'True, ""'
    ),
    "nothing is compared with": without(
        rules, "_gate", "baseline = _baseline_metrics(", "baseline = None and _baseline_metrics("
    ),
    "a regression of any size passes": without(Regression, "check", "passed=value <= bound", "passed=True"),
    "a canary is compared with nothing": without(
        rules, "_baseline_metrics", "return stable.evidence.metrics if stable else None", "return None"
    ),
    "a new version is compared with what the file keeps": without(
        rules, "_baseline_metrics", "here is not None and here.version < release.version", "False"
    ),
    "only the stable version is asked about": without(
        rules, "refusals", "releases.served.items()", "list(releases.served.items())[:1]"
    ),
    "what is served is asked for its age again": without(rules, "_gate", "served=case.served", "served=False"),
    "everything counts as served": without(
        DeployedReleases, "serves", "return here is not None and image in here.proven", "return True"
    ),
    "whatever a stack is up with counts as served": without(DeployedReleases, "serves", "image in here.proven", "True"),
    "nothing counts as served": without(
        DeployedReleases, "serves", "return here is not None and image in here.proven", "return False"
    ),
    "what is written counts as served, not what was": without(
        outputs, "_release", "(retained & before.proven if before else set())", "retained"
    ),
    "what was served is forgotten": without(outputs, "_release", "(retained & before.proven if before else set())", "set()"),
    "a stack that nobody listed is one of dev": without(Tiers, "of", "raise _unlisted(stack, self.stacks)", "stack = 'dev'"),
}
"""What is changed in the code, one rule at a time."""
FOUND_BY = {
    "what is stable here counts as stable in stage": test_a_second_version_comes_to_prod_as_the_first_did,
    "a stack that nobody listed is one of dev": test_rules.test_a_stack_that_nobody_listed_is_refused,
}
"""The test that finds what no sequence can come to."""


def mutate(monkeypatch, owner, function, old, new):
    """Puts a changed function into the place of one of the product's."""
    source = textwrap.dedent(inspect.getsource(getattr(owner, function)))
    assert source.count(old) == 1, f"{function} has changed: this list has to follow"
    module = inspect.getmodule(owner)
    made = {}
    exec(
        compile(f"from __future__ import annotations\n{source.replace(old, new)}", module.__file__, "exec"),
        vars(module) | {},
        made,
    )
    monkeypatch.setattr(owner, function, made[function])


@pytest.fixture
def unsigned():
    forget()
    yield
    forget()


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_without_a_rule_a_test_fails(monkeypatch, unsigned, mutation):
    def sequences_are_tried():
        checked(FOR_A_MUTATION, "stage", "prod", phases=[Phase.generate])

    mutate(monkeypatch, *MUTATIONS[mutation])
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        FOUND_BY.get(mutation, sequences_are_tried)()
