"""`modelstack doctor`: which tools and plugins are real, and whether the machine is suitable."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata

import pytest

from common import paths
from common.errors import UserError
from delivery.environments import embedded_node
from delivery.machine import doctor, preflight, toolbox
from local.plugins import install
from tests.unit.delivery.machine.machines import EMBEDDED
from tests.unit.delivery.machine.test_preflight import GOOD


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """A suitable machine without an engine, plugins and node. The dictionary's values can be replaced."""
    world = {"machine": GOOD, "running": False, "missing": {}}
    (tmp_path / "Pulumi.dev.yaml").write_text(EMBEDDED)
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(paths, "BIN", tmp_path / "bin")
    monkeypatch.setattr(paths, "PULUMI_HOME", tmp_path / "pulumi")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(preflight, "inspect_machine", lambda: world["machine"])
    monkeypatch.setattr(embedded_node, "is_ready", lambda _config: world["running"])
    monkeypatch.setattr(toolbox, "missing_builds", lambda: world["missing"])
    return world


def printed(capsys):
    doctor.main("dev")
    return {line.rstrip() for line in capsys.readouterr().out.splitlines()}


def row(lines, title):
    (line,) = [line for line in lines if line.startswith(title)]
    return " ".join(line.removeprefix(title).split())


def plugin(name, content):
    version = metadata.version(f"pulumi-{name}")
    file = paths.PULUMI_HOME / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    return version


def test_real_plugins_are_told_from_stand_ins_and_from_missing_ones(checked, capsys):
    stand_in = plugin("random", f"#!/bin/sh\n{install.MARK}\n")
    real = plugin("kubernetes", "\x7fELF")
    lines = printed(capsys)
    assert row(lines, "resource plugin random") == f"stand-in {stand_in}"
    assert row(lines, "resource plugin kubernetes") == f"official {real}", "a bug report has to say which one is used"
    assert row(lines, "resource plugin docker").startswith("missing ")


def test_a_language_host_beside_a_downloaded_engine_is_the_real_one(checked, capsys, tmp_path):
    release = tmp_path / "release"
    release.mkdir()
    for name in ("pulumi", "pulumi-language-python"):
        (release / name).write_text("\x7fELF")
    paths.BIN.mkdir()
    (paths.BIN / "pulumi").symlink_to(release / "pulumi")
    lines = printed(capsys)
    assert row(lines, "language plugin python").startswith("official ")
    assert row(lines, "engine") == str(release / "pulumi"), "the file behind the link says where the engine comes from"


def test_without_an_engine_the_table_says_how_to_get_one(checked, capsys):
    assert row(printed(capsys), "engine") == "not installed yet: `modelstack tools` finds, downloads or builds it"


def test_the_cache_shows_the_builds_that_an_update_need_not_repeat(checked, capsys, tmp_path):
    for name in ("hyperkube-1", "pulumi-2"):
        (tmp_path / "cache" / "modelstack" / name).mkdir(parents=True)
    assert row(printed(capsys), "cache").endswith("hyperkube-1, pulumi-2")


def test_a_suitable_machine_is_called_so(checked, capsys):
    lines = printed(capsys)
    assert {"node: not running", "This machine meets the requirements."} <= lines


@pytest.mark.parametrize("unmet", ["memory", "build tools"])
def test_an_unmet_requirement_follows_the_table_and_sets_the_exit_code(checked, capsys, unmet):
    if unmet == "memory":
        checked["machine"] = replace(GOOD, available_memory=preflight.GIB)
    else:
        checked["machine"] = replace(GOOD, which=lambda name: None if name == "go" else name)
        checked["missing"] = {"go": "make setup"}
    with pytest.raises(SystemExit) as ended:
        doctor.main("dev")
    assert ended.value.code == 1
    text = capsys.readouterr().out
    assert ("6 GiB of memory" if unmet == "memory" else "make setup") in text
    assert "This machine meets the requirements" not in text
    assert text.index("Pulumi SDK") < text.index("  do:"), "the table helps to mend it"


def test_the_memory_that_a_running_node_uses_is_not_missing(checked, capsys):
    checked |= {"machine": replace(GOOD, available_memory=preflight.GIB), "running": True}
    assert {"node: running", "This machine meets the requirements."} <= printed(capsys)


def test_a_missing_stack_file_is_refused_before_the_table(checked, capsys):
    with pytest.raises(UserError, match=r"no such stack file"):
        doctor.main("dve")
    assert capsys.readouterr().out == ""
