"""`modelstack diff`: the settings and releases that differ between two environments."""

from __future__ import annotations

import json

import pytest

from common import paths
from common.errors import UserError
from delivery.environments import differences
from delivery.stacks import stack_file
from infra.settings import loading
from tests.releases import STACK_FILE, image, released


def environment(**changes):
    raw = {
        "cluster": {"kind": "existing", "context": "c", "host": "c.example"},
        "images": {"registry": "registry.example"},
        "workloads": {"markdown": {"nodePort": 30001}},
    }
    return loading.parse(raw | changes, "Pulumi.test.yaml")


def test_differences_are_the_keys_with_different_values():
    one = environment(releases={"markdown": released(3)})
    other = environment(releases={"markdown": released(4, 3)}, tracking={"memory": "2Gi"})
    found = differences.compare(one, other)
    assert found["tracking.memory"] == ("768Mi", "2Gi")
    assert found["releases.markdown.stable"] == (3, 4)
    assert found["releases.markdown.versions.4.image"] == (None, image(4))
    assert not [key for key in found if key.startswith("releases.markdown.versions.3")], (
        "a release that both environments have is not a difference"
    )
    assert differences.compare(one, one) == {}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Stack files of stage and prod: other releases, and a table in only one of them."""
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    stage = STACK_FILE + "  modelstack:tracking: {memory: 2Gi}\n"
    for name, text, block in (("stage", stage, released(4, 3)), ("prod", STACK_FILE, released(3))):
        (tmp_path / f"Pulumi.{name}.yaml").write_text(stack_file.with_releases(text, "markdown", block))


def test_the_table_has_one_line_for_each_key_and_a_dash_for_a_missing_value(files, capsys):
    differences.differences("stage", "prod", as_json=False)
    title, *lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert title == ["key", "stage", "prod"]
    assert ["tracking.memory", "2Gi", "768Mi"] in lines
    assert ["releases.markdown.stable", "4", "3"] in lines
    assert ["releases.markdown.versions.4.version", "4", "-"] in lines


def test_the_sides_follow_the_order_of_the_arguments(files, capsys):
    differences.differences("prod", "stage", as_json=False)
    assert "768Mi" in capsys.readouterr().out.partition("2Gi")[0]


def test_json_names_the_environments(files, capsys):
    differences.differences("stage", "prod", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["releases.markdown.stable"] == {"stage": 4, "prod": 3}
    assert found["releases.markdown.versions.4.image"] == {"stage": image(4), "prod": None}


@pytest.mark.parametrize(("as_json", "printed"), [(True, {}), (False, "stage and stage have the same settings and releases.")])
def test_equal_environments_are_called_equal(files, capsys, as_json, printed):
    differences.differences("stage", "stage", as_json=as_json)
    out = capsys.readouterr().out
    assert (json.loads(out) if as_json else out.strip()) == printed


def test_both_environments_need_a_stack_file(files):
    with pytest.raises(UserError, match=r"(?s)no such stack file.*Pulumi.dve.yaml"):
        differences.differences("stage", "dve", as_json=False)
