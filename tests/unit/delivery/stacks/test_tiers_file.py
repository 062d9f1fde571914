"""Edits of the file with the tiers: one target more, or another one in its place, and nothing else."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from delivery.stacks import tiers_file
from infra.tiers import loading
from infra.tiers.model import Target

FILE = """\
# Reviewed by the platform team.
[tiers.dev]   # releases are created here
[tiers.prod]
source = "dev"
approval = true

[stacks]
dev  = { tier = "dev" }
europe = { tier = "prod", source = "dev" }

# Frankfurt, rack 7
[[targets]]
tier = "prod"
cluster = "00000000-0000-4000-8000-000000000003"   # since May
context = "production"
images = "registry.example/prod"

[[targets]]
tier = "dev"
cluster = "embedded"
images = "localhost"
"""
OLD = Target(
    tier="prod",
    cluster="00000000-0000-4000-8000-000000000003",
    context="production",
    namespace_prefix="",
    images="registry.example/prod",
)
NEW = Target(
    tier="prod",
    cluster="00000000-0000-4000-8000-000000000009",
    context="new",
    namespace_prefix="eu-",
    images="registry.example",
)


def raw(target):
    fields = {"tier": target.tier, "cluster": target.cluster, "context": target.context, "images": target.images}
    return {key: value for key, value in (fields | {"namespace_prefix": target.namespace_prefix}).items() if value}


def test_a_new_target_is_added_at_the_end_and_every_other_line_stays():
    after = tiers_file.with_target(FILE, NEW)
    assert after.startswith(FILE)
    assert tomllib.loads(after)["targets"] == [*tomllib.loads(FILE)["targets"], raw(NEW)]
    assert after.removeprefix(FILE).splitlines() == [
        "",
        "[[targets]]",
        'tier = "prod"',
        'cluster = "00000000-0000-4000-8000-000000000009"',
        'context = "new"',
        'namespace_prefix = "eu-"',
        'images = "registry.example"',
    ]


def test_the_first_target_of_a_file_without_any_is_added():
    text = FILE.partition("\n# Frankfurt")[0]
    assert tomllib.loads(tiers_file.with_target(text, NEW))["targets"] == [raw(NEW)]


def test_a_target_in_the_place_of_another_keeps_position_and_comments():
    moved = Target(tier="prod", cluster=NEW.cluster, context="production", namespace_prefix="", images=OLD.images)
    after = tiers_file.with_target(FILE, moved, (OLD,))
    changed = [(a, b) for a, b in zip(FILE.splitlines(), after.splitlines(), strict=True) if a != b]
    assert [(a.partition("#")[0].strip(), b.partition("#")[0].strip()) for a, b in changed] == [
        (f'cluster = "{OLD.cluster}"', f'cluster = "{NEW.cluster}"')
    ]
    assert "# Frankfurt, rack 7" in after


def test_several_targets_are_replaced_by_one():
    second = tiers_file.with_target(FILE, Target(**(vars(OLD) | {"images": "mirror.example"})))
    mirror = Target(**(vars(OLD) | {"images": "mirror.example"}))
    after = tiers_file.with_target(second, NEW, (OLD, mirror))
    assert tomllib.loads(after)["targets"] == [raw(NEW), *tomllib.loads(FILE)["targets"][1:]]


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,10}-", fullmatch=True)


@given(
    st.uuids().map(str),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    st.just("") | NAMES,
    st.sampled_from([(), (OLD,)]),
)
def test_whatever_a_context_is_called_the_file_stays_valid_and_keeps_everything_else(uid, context, prefix, replaced):
    target = Target(tier="prod", cluster=uid, context=context, namespace_prefix=prefix, images="r.example")
    after = tiers_file.with_target(FILE, target, replaced)
    before, now = tomllib.loads(FILE), tomllib.loads(after)
    assert raw(target) in now["targets"]
    assert len(now["targets"]) == len(before["targets"]) + (0 if replaced else 1)
    assert {key: value for key, value in now.items() if key != "targets"} == {
        key: value for key, value in before.items() if key != "targets"
    }
    assert target in loading.parse_text(after).targets
    assert "# Reviewed by the platform team." in after


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "tiers.toml"
    path.write_text(FILE)
    monkeypatch.setattr(loading, "FILE", path)
    return path


def test_two_tiers_that_would_name_one_target_are_refused_and_nothing_is_written(file):
    with pytest.raises(UserError, match="tiers prod and dev name one target"):
        tiers_file.register(Target(**(vars(OLD) | {"tier": "dev", "images": "elsewhere.example"})))
    assert file.read_text() == FILE


def test_a_file_that_somebody_changed_meanwhile_is_not_overwritten(file):
    edit = tiers_file.register(NEW)
    file.write_text(f"{FILE}# mine\n")
    with pytest.raises(UserError, match="was changed while the command ran"):
        edit.write()
    assert file.read_text() == f"{FILE}# mine\n"
