"""Finds assertions that cannot fail, and expressions without effect that were meant as assertions."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from common.paths import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = sorted((CHECKOUT / "tests").rglob("*.py"))
DISPLAYS = (ast.Tuple, ast.List, ast.Set)
ALWAYS_TRUE = (ast.GeneratorExp, ast.Lambda, ast.JoinedStr)


def empty_statements(source: str) -> Iterator[str]:
    """Yields the assertions of a source file that cannot fail, and the expressions whose result is dropped or constant."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assert(test=test) if always_true(test):
                yield f"line {node.lineno}: the assertion always holds: {ast.unparse(test)}"
            case ast.Expr(value=ast.Compare() as value):
                yield f"line {node.lineno}: the result of a comparison is dropped: {ast.unparse(value)}"
            case ast.Expr(value=ast.Tuple() as value):
                yield f"line {node.lineno}: a tuple is dropped, where an `assert` was meant: {ast.unparse(value)}"
            case ast.Expr(value=ast.UnaryOp(op=ast.Not()) as value):
                yield f"line {node.lineno}: the result of a negation is dropped: {ast.unparse(value)}"
            case ast.BoolOp(op=ast.And()) if any(constant(each, truth=False) for each in node.values):
                yield f"line {node.lineno}: the expression is never true: {ast.unparse(node)}"
            case _:
                pass


def always_true(test: ast.expr) -> bool:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return any(always_true(each) for each in test.values)
    if isinstance(test, DISPLAYS):
        return any(not isinstance(each, ast.Starred) for each in test.elts)
    return isinstance(test, ALWAYS_TRUE) or constant(test, truth=True)


def constant(node: ast.expr, *, truth: bool) -> bool:
    return isinstance(node, ast.Constant) and bool(node.value) is truth


@pytest.mark.parametrize(
    "source",
    [
        "assert (x == 1, 'the reason')",
        "assert x == 1 or 'the reason'",
        "assert 'the reason'",
        "assert (each for each in x)",
        "x == 1",
        "x == 1, 'the reason'",
        "run(x), 'the reason'",
        "not x",
        "f(x and None)",
        "assert f'{x}'",
    ],
)
def test_an_assertion_that_cannot_fail_is_found(source):
    assert len(list(empty_statements(source))) == 1


@pytest.mark.parametrize(
    "source", ["assert x == 1, 'the reason'", "assert x or y", "run(x)", "'''A docstring.'''", "x, y = 1, 2", "assert [*x]"]
)
def test_an_assertion_that_can_fail_is_not_reported(source):
    assert list(empty_statements(source)) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CHECKOUT / "tests")))
def test_every_assertion_can_fail(path):
    assert list(empty_statements(path.read_text())) == []
