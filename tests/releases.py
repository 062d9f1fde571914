"""Releases for tests, in the form of a stack file."""

from __future__ import annotations

import base64
import copy
from datetime import date
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.promotion import approval, rules
from infra.settings.releases import Release
from tests.harness import run_stack
from workloads.catalogue import WORKLOADS
from workloads.declaration import Approver
from workloads.gate import Age, Gate

DIGEST = "sha256:" + "9f" * 32
RUN = "0f3cb14f6d2d4a0c9c1f6f6a1c2b3d4e"
TRAINER = "trainer@example.com"
METRICS = {
    "wape": 0.4,
    "bias": 0.01,
    "wape_last_week": 0.85,
    "wape_mean8": 0.6,
    "weeks": 12.0,
    "wape_worst_brand": 0.5,
    "wape_worst_store": 0.6,
}
"""Metrics that pass the gate of `markdown`."""
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
"""A key whose private half is public. No approver list outside the tests contains it."""
APPROVER = Approver(name="approver@example.com", key=base64.b64encode(KEY.public_key().public_bytes_raw()).decode())
MARKDOWN = WORKLOADS["markdown"].model_copy(update={"approvers": (APPROVER,)})
STACK_FILE = """\
config:
  modelstack:cluster: {kind: existing, context: c, host: c.example}
  modelstack:images: {registry: registry.example}
  modelstack:workloads:
    markdown: {nodePort: 30001}
"""
"""A stack file without releases."""
OLDEST = 90
"""The largest age of the data that the gate of `AGED` accepts, in days."""
AGED = MARKDOWN.model_copy(update={"gate": Gate(rules=(*MARKDOWN.gate.rules, Age(at_most_days=OLDEST)))})
"""A workload whose gate limits the age of the data."""
TODAY = date(2026, 11, 24)
"""The current day in the tests."""


def image(version):
    """Returns the digest of a version's image."""
    return f"sha256:{version:064x}"


def release(version=3, **changes):
    """Returns the release of a version, with changed fields if given."""
    evidence = {"version": version, "data": DIGEST, "report": DIGEST, "metrics": METRICS}
    fields = {
        "version": version,
        "run": RUN,
        "image": image(version),
        "data": DIGEST,
        "revision": "1a2b3c4d5e6f",
        "trainer": TRAINER,
        "evidence": evidence,
    }
    return copy.deepcopy(fields | changes)


def released(stable=3, *others, **roles):
    """Returns a workload's block: the stable version, other retained versions, and roles (`canary={...}`, `shadow=5`)."""
    return {"stable": stable, **roles, "versions": [release(version) for version in sorted({stable, *others})]}


def signed(stack, unsigned, key=KEY, by=APPROVER.name, workload="markdown"):
    """Returns the release with an approval for an environment."""
    content = {name: value for name, value in unsigned.items() if name != "approval"}
    signature = approval.sign(key, stack, workload, Release.model_validate(content))
    return content | {"approval": {"by": by, "at": "2026-11-24T10:30:00Z", "signature": signature}}


def approved(stack, block):
    """Returns the block with every version approved for an environment."""
    return block | {"versions": [signed(stack, unsigned) for unsigned in block["versions"]]}


def outputs(block):
    """Returns the outputs of a stack that is up with these releases."""
    stable = next(each for each in block["versions"] if each["version"] == block["stable"])
    payload = {"version": stable["version"], "image": stable["image"], "metrics": stable["evidence"]["metrics"]}
    return {"releases": {"markdown": payload | {"proven": [stable["image"]]}}}


def stacks(**outputs_by_stack):
    """Returns a mock world in which the given stacks have these outputs, and all other stacks were never up."""

    def read(args):
        return {
            "name": args["name"],
            "outputs": outputs_by_stack.get(args["name"].rpartition("/")[2], {}),
            "secretOutputNames": [],
        }

    return {"pulumi:pulumi:readStackOutputs": read}


def run_released(stack, block=None, world=None, replaced=None, *, preview=False):
    """Runs the program with releases that the stack may serve: approved, and stable in stage. Returns what it declares."""
    block = approved(stack, block or released())
    with mock.patch.object(rules, "WORKLOADS", {"markdown": MARKDOWN}):
        return run_stack(
            stack,
            world or stacks(stage=outputs(block)),
            replaced={"releases": {"markdown": block}} | (replaced or {}),
            preview=preview,
        )
