"""The Go code that the node runs: `go vet`, and its own tests, with the Go that builds it.

With caches they take seconds. For the first time on a machine where the node's executable has been built, `go vet` looks
through all of Kubernetes, which took 140 seconds of processor time, and the tests are compiled, another 40.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from local.toolchain import HERE, build

if TYPE_CHECKING:
    from pathlib import Path

MODULE = HERE / "kubernetes"
FILES = sorted(MODULE.rglob("*.go"))
PACKAGES = sorted({f"./{file.parent.relative_to(MODULE)}" for file in FILES})
WITH_TESTS = sorted({f"./{file.parent.relative_to(MODULE)}" for file in FILES if file.name.endswith("_test.go")})

pytestmark = pytest.mark.timeout(1800)


def go(command: str, *arguments: str, module: Path = MODULE) -> str:
    """What a command of Go says; it has to end well. With the flags of the build, so that what is compiled is used again."""
    executable = build.GoBuild(module.name, module, ".", ldflags="")._go()
    done = subprocess.run(
        [executable, command, "-mod=readonly", "-trimpath", *arguments],
        cwd=module,
        env=build._environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"go {command} {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_there_are_packages():
    assert PACKAGES == ["./.", "./metrics", "./policy", "./provisioner"]
    assert WITH_TESTS, "else nothing is tested here"


def test_vet_finds_nothing():
    go("vet", *PACKAGES)


def passed_and_written(package: str, module: Path) -> tuple[set[str], set[str]]:
    """The tests of a package that have passed, and those that its files contain."""
    files = (module / package).glob("*_test.go")
    written = {name for file in files for name in re.findall(r"(?m)^func (Test\w+)\(", file.read_text())}
    said = go("test", "-v", "-vet=off", package, module=module)
    return set(re.findall(r"(?m)^--- PASS: (\w+) ", said)), written


def test_the_client_of_container_registries_passes_vet_and_its_tests():
    go("vet", ".", module=HERE / "registry")
    passed, written = passed_and_written(".", HERE / "registry")
    assert passed == written != set()


@pytest.mark.parametrize("package", WITH_TESTS)
def test_every_go_test_of_a_package_passes(package):
    passed, written = passed_and_written(package, MODULE)
    assert passed == written
