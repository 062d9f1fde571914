"""The checkout as people use it: its stack files and lists of approvers are edited, and its tests hold all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from delivery.machine import tour_files
from delivery.stacks import stack_file
from infra.settings import loading
from tests import checkout
from tests.releases import APPROVER, approved, released

if TYPE_CHECKING:
    from pathlib import Path

TEAM_FILE = """\
config:
  pulumi:disable-default-providers: [kubernetes]
  modelstack:cluster: {{kind: existing, context: team-{stack}, host: {stack}.team.example, namespacePrefix: ml-}}
  modelstack:images: {{registry: registry.team.example/ml}}
  modelstack:database: {{cpu: 50m}}
  modelstack:tracking: {{nodePort: 30010}}
  modelstack:workloads:
    markdown: {{nodePort: 30011}}
"""
"""A stack file of stage or prod that differs from the shipped one in everything that can differ."""


def use(folder: Path) -> None:
    """Edits a checkout as a team does that tries the tour, and runs stage and prod in clusters of its own."""
    dev = folder / "Pulumi.dev.yaml"
    text = stack_file.with_releases(dev.read_text(), "markdown", released(2, 1))
    document = YAML(typ="safe").load(text)["config"]["modelstack:workloads"]
    assert "tuna" not in document
    text = text.replace("  modelstack:workloads:\n", "  modelstack:workloads:\n    tuna:\n      nodePort: 30002\n")
    dev.write_text("encryptionsalt: v1:abc=\n" + stack_file.with_releases(text, "tuna", released(1)))
    for stack, generated in tour_files.texts(loading.load(dev)).items():
        file = folder / f"Pulumi.{stack}.yaml"
        file.write_text(stack_file.with_releases(generated, "markdown", approved(stack, released(2, 1))))
    for stack in ("stage", "prod"):
        (folder / f"Pulumi.{stack}.yaml").write_text(TEAM_FILE.format(stack=stack))
    listed = f"[{APPROVER.model_dump_json(exclude_none=True)}]\n"
    for workload in ("markdown", "tuna"):
        for lists in (folder / "workloads", folder / ".modelstack" / "tour"):
            (lists / workload).mkdir(parents=True, exist_ok=True)
            (lists / workload / "approvers.json").write_text(listed)


def test_the_stack_files_of_a_used_checkout_are_good(tmp_path):
    checkout.clone(tmp_path)
    use(tmp_path)
    found = {file.name: loading.load(file) for file in tmp_path.glob("Pulumi.*.yaml")}
    assert len(found) == 5
    assert set(found["Pulumi.dev.yaml"].releases) == {"markdown", "tuna"}
    assert found["Pulumi.tour-prod.yaml"].workloads["markdown"].node_port == 30021
    assert found["Pulumi.prod.yaml"].cluster.context == "team-prod"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tests_hold_in_a_checkout_that_is_used(tmp_path):
    checkout.clone(tmp_path)
    use(tmp_path)
    command = [sys.executable, "-m", "pytest", "-n", "2", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PULUMI_"))}
    # The folder itself is what is imported, though the interpreter's environment has the checkout installed.
    done = subprocess.run(
        [*command, "--dist", "loadfile", "tests/unit", "tests/components", "tests/stacks"],
        cwd=tmp_path,
        env=environ | {"PYTHONPATH": str(tmp_path), "MODELSTACK_EXAMPLES": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_a_clone_is_what_the_working_copy_is_and_keeps_what_git_ignores(tmp_path):
    folder = tmp_path / "clone"
    checkout.clone(folder)
    (folder / ".modelstack" / "layers").write_text("kept")
    (folder / "Pulumi.dev.yaml").write_text("config: {}\n")
    (folder / "Pulumi.team.yaml").write_text("config: {}\n")
    (folder / "Pulumi.tour-stage.yaml").write_text("config: {}\n")
    (folder / "Makefile").unlink()
    checkout.clone(folder)
    assert (folder / ".modelstack" / "layers").read_text() == "kept"
    assert not (folder / "Pulumi.team.yaml").exists()
    assert not (folder / "Pulumi.tour-stage.yaml").exists(), "an older `modelstack tour` may have written it"
    for name in ("Makefile", "tests/checkout.py", "infra/platform.py"):
        assert (folder / name).read_bytes() == (checkout.CHECKOUT / name).read_bytes()
    for file in checkout.STACK_FILES.glob("Pulumi.*.yaml"):
        assert (folder / file.name).read_bytes() == file.read_bytes()
    assert (folder / checkout.TIERS).read_bytes() == (checkout.STACK_FILES / "tiers.toml").read_bytes()
    assert (folder / checkout.MARK).exists()
