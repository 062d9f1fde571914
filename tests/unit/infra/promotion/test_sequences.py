"""No way leads around what an environment asks of a release: any sequence of edits, updates and days."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from delivery.releases import edits
from infra.promotion.deployed import DeployedReleases, parse
from tests.releases import (
    MARKDOWN,
    METRICS,
    OLDEST,
    TODAY,
    TRAINER,
    image,
    outputs,
    release,
    signed,
)
from tests.unit.infra.promotion.refusals import AGED_WORKLOADS, BAD, evidence, parsed, refused

# Edits of three stack files and updates of their stacks, in any order, by people who want one thing: a version in prod.
STEPS = [
    *(("write", stack, version, "good") for stack in ("stage", "prod") for version in (1, 2)),
    ("write", "prod", 2, "bad"),
    ("write", "prod", 1, ""),
    *(("write", stack, 2, how) for stack in ("stage", "prod") for how in ("old", "undated")),
    *(("canary", stack, 2, how) for stack in ("stage", "prod") for how in ("good", "bad", "old")),
    ("days", "", 40, ""),
    ("days", "", 60, ""),
    *(("approve", "prod", version, who) for version in (1, 2) for who in ("approver", "trainer")),
    *((what, stack, 0, "") for what in ("up", "up", "rollback", "forget") for stack in ("stage", "prod")),
]
YEARS = 1000
"""Days."""
EVIDENCE = {
    "good": (METRICS, TODAY),
    "old": (METRICS, TODAY - timedelta(days=OLDEST + 1)),
    "undated": (METRICS, None),
    "bad": (BAD, TODAY),
    "": ({}, None),
}


class World:
    """Three stack files, and what their stacks have come to serve."""

    def __init__(self):
        self.files = dict.fromkeys(("dev", "stage", "prod"))
        self.up = {name: {} for name in self.files}
        self.ran_in_stage, self.approved = set(), set()
        self.today = TODAY
        self.runs = {}
        """The file that each stack is up with."""
        self.known = {name: set() for name in self.files}
        """Images that have been served in each stack and were kept ever since."""

    def step(self, what, stack, version, how):
        block = self.files.get(stack)
        metrics, until = EVIDENCE.get(how, EVIDENCE["good"])
        made = release(version, evidence=evidence(metrics, version, until))
        match what:
            case "days":
                self.today += timedelta(days=version)
            case "write":
                self.files[stack] = edits.with_stable(block, made)
            case "canary" if block and version != block["stable"] and block.get("shadow") != version:
                self.files[stack] = edits.with_canary(block, made, 10)
            case "approve" if block and version in edits.versions(block):
                kept = edits.versions(block)[version]
                good = how == "approver"
                word = signed(stack, kept) if good else signed(stack, kept, by=TRAINER)
                self.files[stack] = edits.approved(block, version, word["approval"])
                if good and stack == "prod":
                    self.approved.add(self.identity(kept))
            case "rollback" if block and min(edits.versions(block)) < block["stable"]:
                self.files[stack] = edits.rolled_back(block)
            case "forget":
                self.files[stack] = None
            case "up":
                self.update(stack)

    def update(self, stack):
        """What the program does: refuses, or serves and says so."""
        block = self.files[stack]
        if block is None:
            self.up[stack], self.known[stack] = {}, set()
            self.runs.pop(stack, None)
            return
        state, wanted = self.state(stack), parsed(block)
        if self.refused(stack, block):
            return
        served = wanted.releases["markdown"].served
        here = state.here.get("markdown")
        told = outputs(block)
        kept = {each.image for each in wanted.releases["markdown"].versions}
        proven = {each.image for each in served.values()} | (kept & here.proven if here else set())
        told["releases"]["markdown"]["proven"] = sorted(proven)
        self.up[stack] = told
        self.runs[stack] = block
        for each in served.values():
            if each.image not in self.known[stack]:
                assert each.evidence.until, "came without a day"
                assert (self.today - date.fromisoformat(each.evidence.until)).days <= OLDEST, "came new with too old data"
        self.known[stack] = (self.known[stack] | {each.image for each in served.values()}) & kept
        if stack == "stage":
            self.ran_in_stage.add(served["stable"].image)
        for each in served.values():
            assert all(found.passed for found in MARKDOWN.gate.check(each.evidence.metrics)), "served without evidence"
            if stack == "prod":
                assert each.image in self.ran_in_stage, "served in prod without having run in stage"
                raw = each.model_dump(mode="json", exclude_none=True)
                assert self.identity(raw) in self.approved, "served in prod without an approval of this very release"
        self.unchanged()

    def state(self, stack):
        return DeployedReleases(here=parse(self.up[stack]), source=parse(self.up["stage"] if stack == "prod" else {}))

    def refused(self, stack, block, days=0):
        return refused(stack, block, self.state(stack), AGED_WORKLOADS, self.today + timedelta(days))

    def unchanged(self):
        """Days alone refuse nothing that is up, and not the way back from it."""
        for stack, block in self.runs.items():
            assert self.refused(stack, block, YEARS) == "", "it has been served all the time"
            older = [version for version in edits.versions(block) if version < block["stable"]]
            if older and image(max(older)) in self.known[stack]:
                assert "age of the data" not in self.refused(stack, edits.rolled_back(block), YEARS), "it was served once"

    @staticmethod
    def identity(made):
        return str(sorted((name, str(value)) for name, value in made.items() if name != "approval"))


@settings_of_hypothesis(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(STEPS), min_size=5, max_size=30))
def test_no_sequence_of_edits_and_updates_puts_an_unproven_release_into_prod(steps):
    world = World()
    for step in steps:
        world.step(*step)


@settings_of_hypothesis(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([step for step in STEPS if step[1] in {"stage", ""}]), min_size=4, max_size=15))
def test_no_sequence_of_edits_updates_and_days_brings_in_old_data_as_new_or_refuses_what_is_served(steps):
    world = World()
    for step in steps:
        world.step(*step)


WAY = [
    ("write", "stage", 1, "good"),
    ("up", "stage", 0, ""),
    ("write", "prod", 1, "good"),
    ("approve", "prod", 1, "approver"),
    ("up", "prod", 0, ""),
]


def test_the_way_that_releases_take_does_lead_to_prod():
    world = World()
    for step in WAY:
        world.step(*step)
    assert world.up["prod"]["releases"]["markdown"]["version"] == 1, "else the property above would hold for want of a way"


def test_on_the_same_way_a_hundred_days_before_prod_are_too_many_and_after_it_are_none():
    late, early = World(), World()
    for step in (*WAY[:-1], ("days", "", 100, ""), WAY[-1]):
        late.step(*step)
    assert late.up["prod"] == {}, "approved in time, and brought up too late"
    for step in (*WAY, ("days", "", 100, ""), WAY[-1]):
        early.step(*step)
    assert early.up["prod"]["releases"]["markdown"]["version"] == 1
