"""Who may change an environment: a table of all cases, and what a refusal says."""

from __future__ import annotations

import pytest

from common.answers import Absent, Found, Unknown
from common.errors import UserError
from common.naming import OWNER_ID
from infra import ownership
from infra.live_cluster import LiveCluster
from infra.ownership import NotOwnerError, Ownership, StackOwnership

MINE, OTHER = Found("mine"), Found("other")
UID = Found("uid")
NOBODY, DOWN = Absent(), Unknown(where="https://c.example", reason="connection refused", fix="start it")
EMPTY = StackOwnership()
BEFORE = StackOwnership(password=True)
"""A state of a release that wrote no owner, or of a first update that was interrupted."""
OWNER = StackOwnership(id="mine", password=True)
BEGUN = StackOwnership(id="mine")
REFUSED, UNKNOWN = NotOwnerError, UserError

CASES = [
    # owner in the cluster, database in the cluster, own state, result
    (MINE, UID, OWNER, Ownership.OWNED),
    (MINE, NOBODY, BEGUN, Ownership.OWNED),
    (MINE, DOWN, OWNER, Ownership.OWNED),
    (OTHER, UID, OWNER, REFUSED),
    (OTHER, UID, BEFORE, REFUSED),
    (OTHER, UID, EMPTY, REFUSED),
    (OTHER, NOBODY, EMPTY, REFUSED),
    (OTHER, NOBODY, OWNER, REFUSED),
    (NOBODY, UID, OWNER, Ownership.LOST),
    (NOBODY, UID, BEFORE, Ownership.ADOPTED),
    (NOBODY, UID, EMPTY, REFUSED),
    (NOBODY, NOBODY, OWNER, Ownership.NEW),
    (NOBODY, NOBODY, BEGUN, Ownership.NEW),
    (NOBODY, NOBODY, BEFORE, Ownership.NEW),
    (NOBODY, NOBODY, EMPTY, Ownership.NEW),
    *((NOBODY, DOWN, own, UNKNOWN) for own in (OWNER, BEFORE, EMPTY)),
    *((DOWN, database, own, UNKNOWN) for own in (OWNER, BEFORE, EMPTY) for database in (UID, NOBODY, DOWN)),
]


def decide(owner, database, own, owned_by=""):
    live = LiveCluster(uid=UID, owner=owner, owned_by=owned_by, database=database)
    return ownership.decide("prod", "s3://team", live, own)


@pytest.mark.parametrize(("owner", "database", "own", "expected"), CASES)
def test_every_pair_of_answers_has_one_decision(owner, database, own, expected):
    if isinstance(expected, Ownership):
        assert decide(owner, database, own) is expected
        return
    with pytest.raises(UserError) as refused:
        decide(owner, database, own)
    assert type(refused.value) is expected, "what is unknown is no proof of another owner, which `--adopt` could overrule"


def test_a_refusal_says_who_owns_the_environment_which_backend_was_asked_and_what_to_do():
    with pytest.raises(NotOwnerError) as refused:
        decide(OTHER, UID, OWNER, "stack prod of project modelstack in s3://elsewhere")
    said = str(refused.value)
    assert "where: backend s3://team" in said
    assert "the owner is stack prod of project modelstack in s3://elsewhere; the state of stack prod has the id mine" in said
    assert "modelstack up --adopt --stack prod" in said


def test_a_refusal_without_any_id_says_so():
    with pytest.raises(NotOwnerError, match="has no id of an owner"):
        decide(NOBODY, UID, EMPTY)


def test_what_cannot_be_asked_is_refused_with_the_reason():
    with pytest.raises(UserError) as refused:
        decide(DOWN, DOWN, OWNER)
    assert (refused.value.where, refused.value.found, refused.value.fix) == (
        "https://c.example",
        "connection refused",
        "start it",
    )


@pytest.mark.parametrize("decided", Ownership)
def test_a_note_is_there_for_what_happens_once_and_names_the_stack(decided):
    said = ownership.note(decided, "prod")
    assert bool(said) == (decided in {Ownership.ADOPTED, Ownership.LOST})
    assert not said or "prod" in said


def test_the_state_is_read_by_the_names_of_resources():
    urn = "urn:pulumi:dev::modelstack::modelstack:{}::{}"
    resources = {
        urn.format("owner:Owner$random:index/randomUuid:RandomUuid", OWNER_ID): {"result": "mine"},
        urn.format("postgres:Postgres$random:index/randomPassword:RandomPassword", "postgres-password"): {},
    }
    assert StackOwnership.from_resources(resources) == OWNER
    assert StackOwnership.from_resources(dict([resources.popitem()])) == BEFORE
    assert StackOwnership.from_resources({urn.format("pulumi:pulumi:Stack", "modelstack-dev"): {}}) == EMPTY


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", "unknown"),
        ("s3://states/prod?region=eu&awssdk=v2", "s3://states/prod"),
        ("azblob://container?storage_account=a&sas=secret", "azblob://container"),
        ("https://user:secret@pulumi.example/org", "https://pulumi.example/org"),
        ("postgres://user:se%40cret@db.example:5432/states", "postgres://db.example:5432/states"),
        ("file:///srv/states", "file:///srv/states on here"),
        ("file://~", "file://~ on here"),
    ],
)
def test_a_backend_is_shown_without_credentials(url, shown):
    assert ownership.described(url, "here") == shown


def test_the_backend_is_that_of_the_variable_or_of_the_login(monkeypatch, tmp_path):
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    assert ownership.backend_url() == "unknown"
    (tmp_path / "credentials.json").write_text('{"current": "s3://login"}')
    assert ownership.backend_url() == "s3://login"
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://variable")
    assert ownership.backend_url() == "s3://variable"
