"""The checkout as people use it: its stack files and lists of approvers are edited, and its tests hold all the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from delivery.stacks import stack_file
from infra.settings import loading
from tests import checkout
from tests.releases import APPROVER, released

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [checkout.CHECKOUT / "README.md", *sorted((checkout.CHECKOUT / "docs").rglob("*.md"))]


def beside_dev(stack, *ports):
    """The stack file that the README gives for an environment in dev's cluster."""
    pages = "\n".join(page.read_text() for page in PAGES)
    blocks = re.findall(r"(?m)^(?:(?: {4}.*)?\n)+", pages) + re.findall(r"(?ms)^```yaml\n(.*?)^```", pages)
    (text,) = [textwrap.dedent(block).strip() for block in blocks if "namespacePrefix: stage-" in block]
    for old, new in zip(("stage-", "30010", "30011"), (f"{stack}-", *map(str, ports)), strict=True):
        text = text.replace(old, new)
    return f"{text}\n"


def use(folder: Path) -> None:
    """Edits a checkout as somebody does who follows the README to its end."""
    dev = folder / "Pulumi.dev.yaml"
    text = stack_file.with_releases(dev.read_text(), "markdown", released(2, 1))
    document = YAML(typ="safe").load(text)["config"]["modelstack:workloads"]
    assert "tuna" not in document
    text = text.replace("  modelstack:workloads:\n", "  modelstack:workloads:\n    tuna:\n      nodePort: 30002\n")
    dev.write_text("encryptionsalt: v1:abc=\n" + stack_file.with_releases(text, "tuna", released(1)))
    for stack, ports in {"stage": (30010, 30011), "prod": (30020, 30021)}.items():
        (folder / f"Pulumi.{stack}.yaml").write_text(beside_dev(stack, *ports))
    for workload in ("markdown", "tuna"):
        (folder / "workloads" / workload / "approvers.json").write_text(f"[{APPROVER.model_dump_json(exclude_none=True)}]\n")


def test_the_edits_of_the_readme_are_good_stack_files(tmp_path):
    checkout.clone(tmp_path)
    use(tmp_path)
    found = {stack: loading.load(tmp_path / f"Pulumi.{stack}.yaml") for stack in ("dev", "stage", "prod")}
    assert set(found["dev"].releases) == {"markdown", "tuna"}
    assert found["prod"].workloads["markdown"].node_port == 30021
    assert found["prod"].cluster.namespace_prefix == "prod-"


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
    (folder / "Makefile").unlink()
    checkout.clone(folder)
    assert (folder / ".modelstack" / "layers").read_text() == "kept"
    assert not (folder / "Pulumi.team.yaml").exists()
    for name in ("Makefile", "tests/checkout.py", "infra/platform.py"):
        assert (folder / name).read_bytes() == (checkout.CHECKOUT / name).read_bytes()
    for file in checkout.STACK_FILES.glob("Pulumi.*.yaml"):
        assert (folder / file.name).read_bytes() == file.read_bytes()
    assert (folder / checkout.TIERS).read_bytes() == (checkout.STACK_FILES / "tiers.toml").read_bytes()
    assert (folder / checkout.MARK).exists()
