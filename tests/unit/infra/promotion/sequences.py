"""Edits of three stack files and updates of their stacks, in any order, by people who want one thing: a version in prod.

`World` does what the program does, and asks after each update whether what is served may be. It knows that by itself, from
what was done, and not from the rules that it is there to test.
"""

from __future__ import annotations

import base64
import json
import os
from datetime import date, timedelta
from functools import cache
from itertools import chain

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from delivery.releases import edits
from infra import outputs
from infra.promotion import rules
from infra.promotion.deployed import DeployedReleases, parse
from tests.releases import AGED, APPROVER, DIGEST, KEY, METRICS, OLDEST, TODAY, TRAINER, image, release, signed
from tests.tiers import tier_of, tiers
from tests.unit.infra.promotion.refusals import parsed
from workloads.declaration import Approver

EXAMPLES = int(os.environ.get("MODELSTACK_EXAMPLES", "2000"))
"""Of sequences that are tried."""
LEAST, MOST = 5, 30
"""Steps of a sequence."""
YEARS = 1000
"""Days."""
WORST = 0.42
"""What the gate of `markdown` lets pass, of the error `wape`."""
WORSE = 1.02
"""How much worse than before it may be."""


def _key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))


def _listed(name: str, key: Ed25519PrivateKey, revoked: str | None = None) -> Approver:
    return Approver(name=name, key=base64.b64encode(key.public_key().public_bytes_raw()).decode(), revoked=revoked)


WORKLOAD = AGED.model_copy(
    update={"approvers": (APPROVER, _listed(TRAINER, _key(1)), _listed("left@example.com", _key(2), "left the company"))}
)
"""Who has trained a version is listed as well, as people are who train one day and approve another."""
SIGNERS = {
    "approver": {"key": KEY, "by": APPROVER.name},
    "trainer": {"key": _key(1), "by": TRAINER},
    "left": {"key": _key(2), "by": "left@example.com"},
    "stranger": {"key": _key(3), "by": "stranger@example.com"},
    "forger": {"key": _key(3), "by": APPROVER.name},
}
EVIDENCE = {
    "good": (METRICS, TODAY),
    "better": (METRICS | {"wape": 0.35}, TODAY),
    "old": (METRICS, TODAY - timedelta(days=OLDEST + 1)),
    "to come": (METRICS, TODAY + timedelta(days=YEARS)),
    "undated": (METRICS, None),
    "bad": (METRICS | {"wape": 0.5}, TODAY),
    "": ({}, None),
}
CHANGES = {
    "revision": lambda _: {"revision": "7654321"},
    "image": lambda _: {"image": image(9)},
    "evidence": lambda made: {"evidence": made["evidence"] | {"metrics": METRICS | {"wape": 0.39}}},
}
"""What somebody changes in a release that was approved, and keeps the approval."""
STEPS = [
    *(("write", stack, version, "good") for stack in ("stage", "prod") for version in (1, 2)),
    *(("write", stack, version, how) for stack in ("stage", "prod") for version in (1, 2) for how in ("better", "bad", "")),
    *(("write", stack, 2, how) for stack in ("stage", "prod") for how in ("old", "undated", "to come")),
    *(("canary", stack, 2, how) for stack in ("stage", "prod") for how in ("good", "bad", "old")),
    *(("shadow", stack, 2, how) for stack in ("stage", "prod") for how in ("good", "bad")),
    ("days", "", 40, ""),
    ("days", "", 60, ""),
    *(("approve", "prod", version, who) for version in (1, 2) for who in SIGNERS),
    *(("approve elsewhere", "prod", version, where) for version in (1, 2) for where in ("stage", "demand")),
    *(("change", "prod", version, what) for version in (1, 2) for what in CHANGES),
    *((what, stack, 0, "") for what in ("up", "up", "rollback", "forget") for stack in ("stage", "prod")),
]
WAYS = [
    [
        ("write", "stage", version, how),
        ("up", "stage", 0, ""),
        ("write", "prod", version, how),
        ("approve", "prod", version, "approver"),
        ("up", "prod", 0, ""),
    ]
    for version in (1, 2)
    for how in ("good", "better")
]
"""How a release comes to prod. Its steps come together only now and then, when each is chosen for itself."""
TRIALS = [
    [(what, stack, 2, how), *([("approve", "prod", 2, "approver")] if stack == "prod" else []), ("up", stack, 0, "")]
    for what in ("canary", "shadow")
    for stack in ("stage", "prod")
    for how in ("good", "bad", "old")
]
ATTEMPTS = [
    *([("approve", "prod", version, who), ("up", "prod", 0, "")] for version in (1, 2) for who in SIGNERS),
    *([("change", "prod", version, what), ("up", "prod", 0, "")] for version in (1, 2) for what in CHANGES),
    *(
        [("write", stack, version, how), ("up", stack, 0, "")]
        for stack in ("stage", "prod")
        for version in (1, 2)
        for how in EVIDENCE
    ),
    *([*way[:3], ("change", "prod", way[0][2], what), *way[3:]] for way in WAYS for what in CHANGES),
    *([*way[:3], ("approve elsewhere", "prod", way[0][2], where), way[-1]] for way in WAYS for where in ("stage", "demand")),
    *([("rollback", stack, 0, ""), ("up", stack, 0, "")] for stack in ("stage", "prod")),
    *TRIALS,
    *(way[2:] for way in WAYS),
    *(way[:2] for way in WAYS),
]


def sequences(*stacks: str) -> st.SearchStrategy[list[tuple[str, str, int, str]]]:
    """Sequences of steps in some stacks: single ones, and some that make sense together."""

    def within(steps):
        return all(stack in {*stacks, ""} for _, stack, _, _ in steps)

    single = st.sampled_from([[step] for step in STEPS if within([step])])
    several = st.sampled_from([steps for steps in ATTEMPTS if within(steps)])
    ways = [way for way in WAYS if within(way)]
    pieces = st.one_of(single, several, several, *([st.sampled_from(ways)] if ways else []))
    return st.lists(pieces, min_size=LEAST, max_size=MOST // 2).map(lambda found: [*chain.from_iterable(found)][:MOST])


@cache
def _settings(block: str):
    return parsed(json.loads(block))


@cache
def _approval(stack: str, workload: str, made: str, who: str):
    return signed(stack, json.loads(made), **SIGNERS[who], workload=workload)["approval"]


class World:
    """Three stack files, and what their stacks have come to serve."""

    def __init__(self):
        self.files = dict.fromkeys(("stage", "prod"))
        self.up = {name: {} for name in self.files}
        """The outputs of each stack."""
        self.approved = set()
        """What was rightly approved for prod."""
        self.today = TODAY
        self.runs = {}
        """The file that each stack is up with."""
        self.known = {name: set() for name in self.files}
        """Images that have been served in each stack and were kept ever since."""
        self.updates = 0
        """Of prod, that were let through and serve something."""

    def run(self, steps):
        for step in steps:
            self.step(*step)
        return self

    def step(self, what, stack, version, how):  # noqa: C901 one case for each kind of step
        block = self.files.get(stack)
        kept = edits.versions(block).get(version) if block else None
        metrics, until = EVIDENCE.get(how, EVIDENCE["good"])
        tested = {"version": version, "data": DIGEST, "report": DIGEST, "metrics": metrics}
        made = release(version, evidence=tested | ({"until": f"{until}"} if until else {}))
        match what:
            case "days":
                self.today += timedelta(days=version)
            case "write":
                self.files[stack] = edits.with_stable(block, made)
            case "canary" if block and version != block["stable"] and block.get("shadow") != version:
                self.files[stack] = edits.with_canary(block, made, 10)
            case "shadow" if block and version != block["stable"] and (block.get("canary") or {}).get("version") != version:
                self.files[stack] = edits.with_shadow(block, made)
            case "approve" if kept:
                self.approve(block, kept, "prod", "markdown", how)
                if how == "approver":
                    self.approved.add(identity(kept))
            case "approve elsewhere" if kept:
                self.approve(block, kept, *(("stage", "markdown") if how == "stage" else ("prod", how)), "approver")
            case "change" if kept:
                changed = [each | CHANGES[how](each) if each["version"] == version else each for each in block["versions"]]
                self.files[stack] = block | {"versions": changed}
            case "rollback" if block and min(edits.versions(block)) < block["stable"]:
                self.files[stack] = edits.rolled_back(block)
            case "forget":
                self.files[stack] = None
            case "up":
                self.update(stack)

    def approve(self, block, kept, stack, workload, who):
        made = json.dumps({name: value for name, value in kept.items() if name != "approval"}, sort_keys=True)
        self.files["prod"] = edits.approved(block, kept["version"], _approval(stack, workload, made, who))

    def update(self, stack):
        """What the program does: refuses, or serves and says so."""
        block = self.files[stack]
        if block is None:
            self.up[stack], self.known[stack] = {}, set()
            self.runs.pop(stack, None)
            return
        if self.refused(stack, block):
            return
        releases, here = settings_of(block).releases["markdown"], self.deployed(stack).here.get("markdown")
        self.sound(stack, block, releases)
        self.up[stack] = {"releases": {"markdown": outputs._release(releases, here)}}
        self.runs[stack] = block
        served = {each.image for each in releases.served.values()}
        self.known[stack] = (self.known[stack] | served) & {each.image for each in releases.versions}
        assert set(self.up[stack]["releases"]["markdown"]["proven"]) == self.known[stack], "what may be gone back to"
        self.updates += stack == "prod"
        self.unchanged()

    def sound(self, stack, block, releases):
        """Whether what is about to be served may be, by what has been done."""
        stable, running = releases.served["stable"], self.runs.get(stack)
        for role, each in releases.served.items():
            wape = each.evidence.metrics.get("wape")
            assert wape is not None, "served without evidence"
            assert wape <= WORST, "served with evidence that does not pass the gate"
            if role != "stable":
                assert wape <= WORSE * stable.evidence.metrics["wape"], "tried, and much worse than what is stable beside it"
            if each.image in self.known[stack]:
                continue
            assert each.evidence.until, "came without a day"
            assert 0 <= (self.today - date.fromisoformat(each.evidence.until)).days <= OLDEST, "came new with too old data"
            if stack == "prod":
                assert self.runs.get("stage"), "came to prod though nothing is up in stage"
                assert each.image == stable_of(self.runs["stage"])["image"], "came to prod, and is not stable in stage"
        if running and stable_of(running)["version"] < stable.version:
            before = stable_of(running)["evidence"]["metrics"]["wape"]
            assert stable.evidence.metrics["wape"] <= WORSE * before, "much worse than what it takes over from"
        if stack == "prod":
            for version in releases.roles.values():
                made = edits.versions(block)[version]
                assert identity(made) in self.approved, "served in prod without an approval of this very release"
                assert made.get("approval", {}).get("by") == APPROVER.name, "approved by somebody who may not"

    def unchanged(self):
        """Days alone refuse nothing that is up, and not the way back from it."""
        for stack, block in self.runs.items():
            assert without_comparison(self.refused(stack, block, YEARS)) == "", "it has been served all the time"
            older = [version for version in edits.versions(block) if version < block["stable"]]
            if older and edits.versions(block)[max(older)]["image"] in self.known[stack]:
                said = self.refused(stack, edits.rolled_back(block), YEARS)
                assert "age of the data" not in said, "it was served once"
                assert "not the one that is stable in stage" not in said, "it was served once"

    def deployed(self, stack):
        return DeployedReleases(here=parse(self.up[stack]), source=parse(self.up["stage"] if stack == "prod" else {}))

    def refused(self, stack, block, days=0):
        """What the rules say against a file; nothing if they let it through."""
        workloads, day = {"markdown": WORKLOAD}, self.today + timedelta(days)
        return "\n".join(
            f"{problem.what}: {problem.found}"
            for problem in rules.refusals(tier_of(stack), settings_of(block), self.deployed(stack), workloads, today=day)
        )


def without_comparison(said):
    """What is refused, without the comparison with an older version: that it is made again is a fault of its own.

    See `test_what_is_stable_is_not_compared_again`.
    """
    return "\n".join(line for line in said.splitlines() if "of the stable version: found" not in line)


def forget():
    """Signatures are made once for each release, and tiers are read once. Where the code has changed, both are made anew."""
    _approval.cache_clear()
    tiers.cache_clear()


def settings_of(block):
    return _settings(json.dumps(block, sort_keys=True))


def stable_of(block):
    return edits.versions(block)[block["stable"]]


def identity(made):
    """All that is signed of a release."""
    return json.dumps({name: value for name, value in made.items() if name != "approval"}, sort_keys=True)
