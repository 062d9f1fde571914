"""Only `infra/foundation` knows which kinds of cluster, database, artifact store, shared volumes and entrance exist."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from common.paths import CHECKOUT
from infra.foundation import create
from infra.foundation.settings.foundation import FoundationSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGES = ("clients", "common", "components", "delivery", "infra", "local", "workloads")
FOUNDATION = CHECKOUT / "infra" / "foundation"
MODULES = [
    CHECKOUT / "__main__.py",
    *(file for package in PACKAGES for file in sorted((CHECKOUT / package).rglob("*.py")) if FOUNDATION not in file.parents),
]
PARTS = ("cluster", "database", "artifacts", "shares", "entrance")
OPEN = {
    "infra.foundation.create",
    "infra.foundation.result",
    "infra.foundation.settings.cluster",
    "infra.foundation.settings.foundation",
}
"""The modules that the rest of the product may import. None of them is one of a kind."""


def kinds_of(part: str) -> dict[str, str]:
    """The kinds of a part: the value of `kind` in a stack file, and the name of the settings class."""
    schema = FoundationSettings.model_json_schema(by_alias=True)
    node = schema["properties"][part]
    references = [each["$ref"] for each in node.get("oneOf", [node])]
    names = [reference.rpartition("/")[2] for reference in references]
    return {schema["$defs"][name]["properties"]["kind"]["const"]: name for name in names}


KINDS = {value: name for part in PARTS for value, name in kinds_of(part).items()}


def violations(tree: ast.Module) -> list[str]:
    """The lines that know a kind, each with the reason."""
    own = {each.name for each in ast.walk(tree) if isinstance(each, ast.ClassDef)}  # a component may have the name of a kind
    classes = set(KINDS.values()) - own
    rules = (_imports, _names, _comparisons)
    return [f"line {node.lineno}: {what}" for node in ast.walk(tree) for rule in rules for what in rule(node, classes)]


def _imports(node: ast.AST, classes: set[str]) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (f"imports {each.name}" for each in names if _is_of_a_kind(each.name))
        case ast.ImportFrom(module=str(module), names=names) if module in OPEN:
            yield from (f"imports {module}.{each.name}" for each in names if each.name in classes)
        case ast.ImportFrom(module=str(module), names=names):
            yield from (f"imports {module}.{each.name}" for each in names if _is_of_a_kind(f"{module}.{each.name}"))
        case _:
            pass


def _names(node: ast.AST, classes: set[str]) -> Iterator[str]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in classes:
            yield f"names the settings class {name}"
        case ast.Attribute(value=ast.Name(id=base) | ast.Attribute(attr=base), attr="kind") if base in PARTS:
            yield f"reads the kind of the {base}"
        case _:
            pass


def _comparisons(node: ast.AST, classes: set[str]) -> Iterator[str]:
    match node:
        case ast.Compare(left=left, comparators=comparators):
            operands = [left, *comparators]
            compared = _constants(operand for operand in operands if not _is_kind(operand))
            if any(map(_is_kind, operands)) and compared & KINDS.keys():
                yield "compares a kind"
            if compared & classes:
                yield "compares the name of a settings class"
        case ast.Match(subject=subject, cases=cases):
            if _is_kind(subject) and _constants(case.pattern for case in cases) & KINDS.keys():
                yield "matches a kind"
        case _:
            pass


def _constants(nodes: Iterable[ast.AST]) -> set[object]:
    return {each.value for node in nodes for each in ast.walk(node) if isinstance(each, ast.Constant)}


def _is_of_a_kind(module: str) -> bool:
    return module.startswith("infra.foundation.") and module not in OPEN and module != "infra.foundation.settings"


def _is_kind(node: ast.expr) -> bool:
    """Whether an expression reads something called kind: `x.kind`, `x["kind"]`, `getattr(x, "kind")` or a variable."""
    match node:
        case ast.Attribute(attr="kind") | ast.Name(id="kind") | ast.Subscript(slice=ast.Constant(value="kind")):
            return True
        case ast.Call(args=args):
            return any(isinstance(each, ast.Constant) and each.value == "kind" for each in args)
        case _:
            return False


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(CHECKOUT)))
def test_no_module_outside_the_foundation_knows_a_kind(file):
    found = violations(ast.parse(file.read_text()))
    assert not found, "ask the kind itself: give `ClusterSettings`, or the settings of that part, a member that answers"


@pytest.mark.parametrize(
    "planted",
    [
        'if settings.cluster.kind == "embedded": pass',
        'if "embedded" != cluster.kind: pass',
        'if kind in ("kind", "existing"): pass',
        'if cluster["kind"] == "existing": pass',
        'if getattr(cluster, "kind") == "existing": pass',
        'match other.kind:\n    case "embedded" | "kind": pass',
        "match other.kind:\n    case x if x: pass\n    case 'in-cluster': pass",
        "kind = settings.database.kind",
        'start = {"embedded": 1}[settings.cluster.kind]',
        "from infra.foundation.settings.embedded import EmbeddedCluster",
        "from infra.foundation.settings import embedded",
        "from infra.foundation.settings.foundation import EntranceAtNodePorts",
        "from infra.foundation import kind",
        "import infra.foundation.settings.existing",
        "def f():\n    from infra.foundation.database import PostgresInCluster",
        "isinstance(settings.cluster, model.EmbeddedCluster)",
        "issubclass(x, (KindCluster, int))",
        "match cluster:\n    case EmbeddedCluster(): pass",
        "match settings.entrance:\n    case entrance.EntranceAtNodePorts(): pass",
        'type(settings.cluster).__name__ == "EmbeddedCluster"',
    ],
)
def test_a_planted_violation_is_found(planted):
    assert violations(ast.parse(planted)), "the test above must see this"


@pytest.mark.parametrize(
    "allowed",
    [
        'if summary.kind == "destroy": pass',
        'if objects.kind(live) == "Job": pass',
        'if plugin.kind == "language": pass',
        'if document.get("kind") == "List": pass',
        "class EmbeddedCluster(Cluster): pass\nEmbeddedCluster()",
        "from infra.foundation.create import create",
        "from infra.foundation.settings.cluster import ClusterSettings",
        "cluster = settings.cluster.node",
    ],
)
def test_other_kinds_and_the_open_modules_are_allowed(allowed):
    assert not violations(ast.parse(allowed))


def test_every_kind_is_known_to_the_test():
    """A union that the test reads wrongly would let everything pass."""
    assert {"embedded", "kind", "existing", "in-cluster", "volume", "storage-class", "node-ports"} <= KINDS.keys()


def test_every_kind_of_cluster_has_a_function_that_declares_it():
    declared = {kind.__name__ for kind in create.KINDS}
    assert declared == set(kinds_of("cluster").values()), "a stack file could choose a kind that nothing declares"
