"""The images hold every file of ours that their programs import, and open the ports that others know."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from common import serving
from common.build_context import Context
from common.paths import CHECKOUT

IMAGES = CHECKOUT / "components/images"
PROGRAMS = {
    "serving": ("workloads/serving/*.py",),
    "training": ("workloads/*.py", "workloads/training/*.py", "workloads/*/steps/*.py"),
}
"""By image: the modules that run in it."""


def module_files(name: str) -> list[Path]:
    """The file of a module of ours and the `__init__.py` of each package around it; of what is not ours, nothing."""
    parts = name.split(".")
    packages = [Path(*parts[:depth], "__init__.py") for depth in range(1, len(parts))]
    own = [file for file in (Path(*parts).with_suffix(".py"), Path(*parts, "__init__.py")) if (CHECKOUT / file).is_file()]
    return [*packages, *own] if own else []


def imported(file: Path) -> set[Path]:
    """The files of ours that a file imports when it is loaded or run; for types alone counts, too: it costs nothing."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse((CHECKOUT / file).read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found.update(each for name in names for each in module_files(name))
    return found


def reached(patterns: tuple[str, ...]) -> set[Path]:
    pending = [file.relative_to(CHECKOUT) for pattern in patterns for file in CHECKOUT.glob(pattern)]
    found: set[Path] = set()
    while pending:
        file = pending.pop()
        if file not in found:
            found.add(file)
            pending.extend(imported(file))
    return found


def copied(dockerfile: Path) -> set[Path]:
    """The files of the build context that the image's `COPY` instructions name, as far as the ignore file lets them in."""
    sources = [words.split()[:-1] for words in re.findall(r"^COPY (?!--from)(.*)$", dockerfile.read_text(), re.MULTILINE)]
    named = [Path(source) for line in sources for source in line]
    entries = [Path(entry) for entry in Context(CHECKOUT, dockerfile).entries()]
    return {entry for entry in entries if any(entry == source or source in entry.parents for source in named)}


@pytest.mark.parametrize("image", PROGRAMS)
def test_an_image_holds_what_its_programs_import(image):
    missing = reached(PROGRAMS[image]) - copied(IMAGES / image / "Dockerfile")
    assert not missing, f"copy these in {image}/Dockerfile and let them in with {image}/Dockerfile.dockerignore"


def test_the_serving_image_holds_nothing_of_common_but_what_it_imports():
    here = {file for file in copied(IMAGES / "serving/Dockerfile") if file.parts[0] == "common" and file.suffix == ".py"}
    assert here == {file for file in reached(PROGRAMS["serving"]) if file.parts[0] == "common"}, (
        "each file in the image makes a new image when it changes, and a new image rolls out every model"
    )


def test_the_serving_image_exposes_the_ports_that_others_know():
    (ports,) = re.findall(r"^EXPOSE (.*)$", (IMAGES / "serving/Dockerfile").read_text(), re.MULTILINE)
    assert [int(port) for port in ports.split()] == [serving.PORT, serving.METRICS_PORT, serving.RECORDED_PORT]
