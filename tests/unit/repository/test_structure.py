"""Rooms stay small enough to be held in the head, and no two modules need each other."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import pytest

from common.paths import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

FILES_PER_FOLDER = 15
LINES_PER_MODULE = 350
LINES_PER_CONSTRUCTOR = 70
FOLDERS = ("clients", "common", "components", "delivery", "infra", "local", "tests", "workloads")
MODULES = [CHECKOUT / "__main__.py", *(file for folder in FOLDERS for file in sorted((CHECKOUT / folder).rglob("*.py")))]


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def shown(file: Path) -> str:
    return str(file.relative_to(CHECKOUT))


def test_a_folder_is_a_room_that_fits_in_the_head():
    found = {shown(folder): count for folder, count in Counter(file.parent for file in MODULES).items()}
    large = {folder: count for folder, count in found.items() if count > FILES_PER_FOLDER}
    assert not large, f"a folder has at most {FILES_PER_FOLDER} modules: give these rooms of their own, by topic"


def test_a_module_is_read_in_one_go():
    lines = {shown(file): len(file.read_text().splitlines()) for file in MODULES}
    long = {file: count for file, count in lines.items() if count > LINES_PER_MODULE}
    assert not long, f"a module has at most {LINES_PER_MODULE} lines: split these by topic, not by length"


def test_a_constructor_is_short():
    constructors = {
        f"{shown(file)}: {each.name}": method.end_lineno - method.lineno + 1
        for file in MODULES
        for each in ast.walk(tree_of(file))
        if isinstance(each, ast.ClassDef)
        for method in each.body
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
    }
    long = {name: count for name, count in constructors.items() if count > LINES_PER_CONSTRUCTOR}
    assert not long, f"a constructor has at most {LINES_PER_CONSTRUCTOR} lines: make builders pure functions that return dicts"


def imports_of(file: Path, modules: dict[str, Path]) -> set[str]:
    """Modules of ours that a file imports, wherever in it: inside a function and for types alone counts as well."""
    found: set[str] = set()
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from local.node import record` needs the module `record`; what else `local.node` holds is another matter.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if name in modules else str(node.module) for name in names)
    return found & modules.keys()


def test_no_modules_import_each_other():
    modules = {shown(file).removesuffix(".py").replace("/", ".").removesuffix(".__init__"): file for file in MODULES}
    graph = {
        name: imports_of(file, modules) - ({name} if file.name == "__init__.py" else set()) for name, file in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " <- ".join(error.args[1])
        pytest.fail(f"{circle}: move what both need into a module below them. An import inside a function only hides a circle.")


@pytest.mark.parametrize("word", ["Evidence", "Canary", "Stable", "Outcome", "Problem", "ApiError", "Registered"])
def test_a_word_of_the_project_means_one_thing(word):
    sources = [file for file in MODULES if CHECKOUT / "tests" not in file.parents]  # a fake may be called what it stands for
    classes = [(file, each) for file in sources for each in ast.walk(tree_of(file)) if isinstance(each, ast.ClassDef)]
    found = [shown(file) for file, each in classes if each.name == word]
    assert len(found) <= 1, f"{word} is defined in {found}: give the narrower one a name of its own"
