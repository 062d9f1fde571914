"""Valid requests, and the messages about invalid ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from workloads.serving.errors import LONGEST_SHOWN, RequestError
from workloads.serving.request import MAX_ROWS, Reader

READER = Reader(
    {"price": float, "stock": int, "deal": bool, "brand": str}, {"price": 2.5, "stock": 3, "deal": False, "brand": "own"}
)
NAMES = ["price", "stock", "deal", "brand"]
ROW = [2.5, 3, False, "own"]


def read(message):
    return READER.read(message if isinstance(message, bytes) else json.dumps(message).encode())


def table(*rows, names=NAMES):
    return {"data": {"names": names, "ndarray": list(rows)}}


def refused(message):
    with pytest.raises(RequestError) as caught:
        read(message)
    assert len(caught.value.sentence) < 600, "people read the message"
    return caught.value


def same(one, other):
    assert {name: array.tolist() for name, array in one.items()} == {name: array.tolist() for name, array in other.items()}


def test_every_way_to_write_a_request_gives_the_same_columns():
    expected = read(table(ROW))
    numbers = Reader({"a": float, "b": int}, {"a": 1.0, "b": 2})
    same(read({"jsonData": [dict(zip(NAMES, ROW, strict=True))]}), expected)
    same(read({"jsonData": dict(zip(NAMES, ROW, strict=True))}), expected)
    same(read(table(ROW[::-1], names=NAMES[::-1])), expected)
    tensor = {"data": {"names": ["a", "b"], "tensor": {"shape": [2, 2], "values": [1.5, 2, 3.5, 4]}}}
    ndarray = {"data": {"names": ["a", "b"], "ndarray": [[1.5, 2], [3.5, 4]]}}
    same(numbers.read(json.dumps(tensor).encode()), numbers.read(json.dumps(ndarray).encode()))


def test_columns_have_the_declared_types_even_if_json_is_ambiguous():
    columns = read(table([2, 3.0, True, "own"]))
    assert {name: array.dtype for name, array in columns.items()} == {
        "price": np.float64,
        "stock": np.int64,
        "deal": np.bool_,
        "brand": np.object_,
    }


def test_the_example_in_messages_is_a_valid_request():
    same(read(READER.example), READER.example_columns)


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (b"", "the request's body is empty"),
        (b"  \n", "the request's body is empty"),
        (b"price=2", "the body is not JSON"),
        (b'{"data": ', "the body is not JSON"),
        (b"\xff\xfe{}", "is not UTF-8"),
        (b"[" * 100_000, "the body cannot be parsed as JSON"),
        (b'{"data": ' + b"1" * 5000 + b"}", "the body cannot be parsed as JSON"),
        ([1, 2], "the body is not a JSON object"),
        ({}, 'neither "data"'),
        ({"instances": [ROW]}, 'neither "data"'),
        ({"data": {"ndarray": [ROW]}}, "data.names is not a list"),
        ({"data": {"names": NAMES}}, "data.ndarray is not a list"),
        ({"data": {"names": NAMES, "ndarray": ROW}}, "a row is not a list"),
        ({"data": {"names": [1, 2], "ndarray": [ROW]}}, "data.names contains a value that is not a text"),
        ({"data": {"names": NAMES, "tensor": {"shape": [2, 4], "values": ROW}}}, "data.tensor must have a shape"),
        ({"data": {"names": NAMES, "tensor": {"shape": [0, 0], "values": []}}}, "data.tensor must have a shape"),
        ({"jsonData": 3}, "jsonData is neither a row nor a list of rows"),
        ({"jsonData": [3]}, "a row is not an object"),
        (table(), "the request has no rows"),
        ({"jsonData": []}, "the request has no rows"),
        (table(ROW[:3], names=NAMES[:3]), "missing brand"),
        (table([*ROW, 1], names=[*NAMES, "colour"]), "unknown colour"),
        (table([*ROW[:3], 2.5], names=[*NAMES[:3], "price"]), "missing brand; duplicate price"),
        ({"jsonData": [{"price": 1}]}, "missing stock, deal, brand"),
        (table(ROW, ROW[:3]), "a row must have one value per name, 4 values"),
    ],
)
def test_an_invalid_request_is_refused_in_one_sentence(message, what):
    error = refused(message)
    assert what in error.sentence
    assert error.status == 400


@pytest.mark.parametrize(
    ("column", "value", "what", "found"),
    [
        ("price", "cheap", "is not a number", '"cheap"'),
        ("price", "2.5", "is not a number", '"2.5"'),
        ("price", None, "is not a number", "null"),
        ("price", True, "is not a number", "true"),
        ("price", [2.5], "is not a number", "[2.5]"),
        ("price", float("nan"), "is not a number", "NaN"),
        ("price", float("-inf"), "is not a number", "-Infinity"),
        ("price", 10**400, "is not a number", "1000"),
        ("stock", 2.5, "is not a whole number", "2.5"),
        ("stock", float("nan"), "is not a whole number", "NaN"),
        ("stock", 2**63, "is not a whole number", str(2**63)),
        ("stock", 1e300, "is not a whole number", "1e+300"),
        ("deal", 1, "is not true or false", "1"),
        ("brand", 7, "is not a text", "7"),
        ("brand", None, "is not a text", "null"),
    ],
)
def test_an_invalid_value_is_shown_with_its_row_and_column_and_a_valid_example(column, value, what, found):
    bad = [value if name == column else good for name, good in zip(NAMES, ROW, strict=True)]
    error = refused(table(ROW, bad))
    assert (error.row, error.column) == (1, column)
    assert what in error.what
    assert error.found.startswith(found), "the caller sees the value that was read"
    assert error.example == dict(zip(NAMES, ROW, strict=True))[column]


def test_only_the_beginning_of_a_long_value_is_shown():
    error = refused(table(["x" * 1000, *ROW[1:]]))
    assert error.found == '"' + "x" * (LONGEST_SHOWN - 1) + "...", "the caller knows the rest"


def test_a_number_too_large_for_a_double_is_refused():
    error = refused(b'{"data": {"names": ["price", "stock", "deal", "brand"], "ndarray": [[1e999, 3, false, "own"]]}}')
    assert (error.row, error.column, error.found) == (0, "price", "Infinity")


def test_the_largest_request_passes_and_one_more_row_is_refused():
    assert len(read(table(*[ROW] * MAX_ROWS))["price"]) == MAX_ROWS
    error = refused(table(*[ROW] * (MAX_ROWS + 1)))
    assert error.status == 413
    assert f"more than {MAX_ROWS} rows" in error.sentence


def test_a_message_stays_short_when_there_are_many_unknown_columns():
    names = [f"column-{index:04}-{'x' * 200}" for index in range(1000)]
    refused(table([1] * 1000, names=names))
