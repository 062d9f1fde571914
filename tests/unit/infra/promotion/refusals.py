"""What an environment refuses, for the tests of its rules."""

from __future__ import annotations

from infra.promotion import rules
from infra.promotion.deployed import DeployedReleases, parse
from infra.settings import loading
from tests.releases import (
    AGED,
    DIGEST,
    MARKDOWN,
    METRICS,
    TODAY,
    outputs,
    release,
)
from tests.tiers import tier_of

WORKLOADS = {"markdown": MARKDOWN}
AGED_WORKLOADS = {"markdown": AGED}


def parsed(block):
    """The settings of an environment with these releases."""
    raw = {
        "cluster": {"kind": "existing", "context": "c", "host": "c.example"},
        "images": {"registry": "registry.example"},
        "workloads": {"markdown": {"nodePort": 30001}},
    }
    return loading.parse(raw | {"releases": {"markdown": block}}, "Pulumi.test.yaml")


def known(here=None, source=None):
    return DeployedReleases(here=parse(outputs(here) if here else {}), source=parse(outputs(source) if source else {}))


def refused(stack, block, what=None, workloads=WORKLOADS, today=TODAY):
    """What is refused, in the words that a reader sees."""
    problems = rules.refusals(tier_of(stack), parsed(block), what or known(source=block), workloads, today=today)
    return "\n".join(f"{p.key} {p.what}: {p.found} / {p.fix}" for p in problems)


BAD = {"wape": 0.5, **{name: value for name, value in METRICS.items() if name != "wape"}}


def evidence(metrics, version=3, until=None):
    made = {"version": version, "data": DIGEST, "report": DIGEST, "metrics": metrics}
    return made | ({"until": f"{until}"} if until else {})


def dated(until, *versions):
    """Releases, the first of them stable, on data of a day."""
    made = [release(version, evidence=evidence(METRICS, version, until)) for version in sorted(versions)]
    return {"stable": versions[0], "versions": made}
