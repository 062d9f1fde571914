"""Signatures under releases: which count, and what breaks them."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.releases import (
    APPROVER,
    MARKDOWN,
    METRICS,
    TODAY,
    approved,
    image,
    release,
    released,
    signed,
)
from tests.unit.infra.promotion.refusals import dated, evidence, known, refused

OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SIGNATURES = {
    "by somebody who is not listed": (signed("prod", release(3), by="mallory@example.com"), "is not among the approvers"),
    "by another key": (signed("prod", release(3), key=OTHER_KEY), "one of them was changed"),
    "for another stack": (signed("stage", release(3)), "one of them was changed"),
    "of another workload": (signed("prod", release(3), workload="demand"), "one of them was changed"),
    "of another release": (
        signed("prod", release(2)) | {"version": 3, "image": image(3), "evidence": evidence(METRICS)},
        "one of them was changed",
    ),
}


@pytest.mark.parametrize(("made", "reason"), SIGNATURES.values(), ids=SIGNATURES)
def test_a_signature_that_does_not_count(made, reason):
    assert reason in refused("prod", {"stable": 3, "versions": [made]})


FIELDS = {
    "run": "1" * 32,
    "data": "sha256:" + "1" * 64,
    "revision": "7654321",
    "code": "sha256:" + "1" * 64,
    "trainer": "somebody@example.com",
    "image": image(9),
    "evidence": evidence({**METRICS, "wape": 0.39}),
    "evidence, its day": evidence(METRICS, until=TODAY),
}


@pytest.mark.parametrize("field", FIELDS)
def test_whatever_is_changed_under_a_signature_breaks_it(field):
    made = signed("prod", release(3)) | {field.partition(",")[0]: FIELDS[field]}
    if field == "data":
        made["evidence"] = made["evidence"] | {"data": made["data"]}
    block = {"stable": 3, "versions": [made]}
    assert "one of them was changed" in refused("prod", block, known(source=block))


@pytest.mark.parametrize("until", [None, TODAY - timedelta(days=1)])
def test_the_day_of_the_data_is_signed(until):
    signed_for = approved("prod", dated(TODAY, 3))
    assert refused("prod", signed_for) == ""
    (made,) = signed_for["versions"]
    changed = {"stable": 3, "versions": [made | {"evidence": evidence(METRICS, until=until)}]}
    assert "one of them was changed" in refused("prod", changed)


def test_a_signature_from_before_evidence_had_a_day_and_releases_a_digest_of_the_code_is_good():
    made = signed("prod", release(3))
    assert made["approval"]["signature"] == (
        "81Bin+NxIaC+3JDe1LQyk2+4kWz8sji27Zct/57rr4wcqDzV4yBPpw+muyy0EhTjC52WdFUWMNBdSwluiaPJDw=="
    )


def test_who_trained_may_not_approve():
    mine = release(3, trainer=APPROVER.name)
    assert "a different person must approve it" in refused("prod", {"stable": 3, "versions": [signed("prod", mine)]})


def test_a_revoked_key_no_longer_counts_and_the_reason_is_told():
    revoked = MARKDOWN.model_copy(update={"approvers": (APPROVER.model_copy(update={"revoked": "laptop stolen"}),)})
    block = approved("prod", released(3))
    assert "was revoked: laptop stolen" in refused("prod", block, workloads={"markdown": revoked})


def test_a_second_key_of_the_same_person_may_replace_a_revoked_one():
    old = APPROVER.model_copy(update={"key": MARKDOWN.approvers[0].key, "revoked": "old"})
    other = OTHER_KEY.public_key().public_bytes_raw()
    new = APPROVER.model_copy(update={"key": base64.b64encode(other).decode()})
    workload = MARKDOWN.model_copy(update={"approvers": (old, new)})
    block = {"stable": 3, "versions": [signed("prod", release(3), key=OTHER_KEY)]}
    assert refused("prod", block, workloads={"markdown": workload}) == ""
