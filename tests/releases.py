"""Releases for tests, as a stack file writes them."""

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
"""What passes the gate of `markdown`."""
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
"""A key whose secret half is known to everyone: it approves nothing outside tests."""
APPROVER = Approver(name="approver@example.com", key=base64.b64encode(KEY.public_key().public_bytes_raw()).decode())
MARKDOWN = WORKLOADS["markdown"].model_copy(update={"approvers": (APPROVER,)})
STACK_FILE = """\
config:
  modelstack:cluster: {kind: existing, context: c, host: c.example}
  modelstack:images: {registry: registry.example}
  modelstack:workloads:
    markdown: {nodePort: 30001}
"""
"""Without releases."""
OLDEST = 90
"""Days."""
AGED = MARKDOWN.model_copy(update={"gate": Gate(rules=(*MARKDOWN.gate.rules, Age(at_most_days=OLDEST)))})
"""A workload whose gate asks for the age of the data."""
TODAY = date(2026, 11, 24)
"""The day of the tests."""


def image(version):
    """The digest of a version's image."""
    return f"sha256:{version:064x}"


def release(version=3, **changes):
    """One release."""
    evidence = {"version": version, "data": DIGEST, "report": DIGEST, "metrics": METRICS}
    made = {
        "version": version,
        "run": RUN,
        "image": image(version),
        "data": DIGEST,
        "revision": "1a2b3c4d5e6f",
        "trainer": TRAINER,
        "evidence": evidence,
    }
    return copy.deepcopy(made | changes)


def released(stable=3, *others, **roles):
    """A workload's releases: the stable version, others that are kept or have a role (`canary={...}`, `shadow=5`)."""
    return {"stable": stable, **roles, "versions": [release(version) for version in sorted({stable, *others})]}


def signed(stack, made, key=KEY, by=APPROVER.name, workload="markdown"):
    """The release with an approval for a stack."""
    content = {name: value for name, value in made.items() if name != "approval"}
    signature = approval.sign(key, stack, workload, Release.model_validate(content))
    return content | {"approval": {"by": by, "at": "2026-11-24T10:30:00Z", "signature": signature}}


def approved(stack, block):
    """The releases with every version approved for a stack."""
    return block | {"versions": [signed(stack, made) for made in block["versions"]]}


def outputs(block):
    """What a stack that is up with these releases tells of them."""
    stable = next(made for made in block["versions"] if made["version"] == block["stable"])
    told = {"version": stable["version"], "image": stable["image"], "metrics": stable["evidence"]["metrics"]}
    return {"releases": {"markdown": told | {"proven": [stable["image"]]}}}


def stacks(**known):
    """A world in which stacks tell of these outputs, and others have never been up."""

    def read(args):
        return {"name": args["name"], "outputs": known.get(args["name"].rpartition("/")[2], {}), "secretOutputNames": []}

    return {"pulumi:pulumi:readStackOutputs": read}


def run_released(stack, block=None, world=None, replaced=None, *, preview=False):
    """What a stack declares that may serve these releases: approved for it, and stable in the stack before it."""
    block = approved(stack, block or released())
    with mock.patch.object(rules, "WORKLOADS", {"markdown": MARKDOWN}):
        return run_stack(
            stack,
            world or stacks(stage=outputs(block)),
            replaced={"releases": {"markdown": block}} | (replaced or {}),
            preview=preview,
        )
