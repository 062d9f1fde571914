"""From the bytes of a request to columns, refusing in one clear message what cannot be one.

Three ways to write the same row, the first two of Seldon's protocol with the columns' names, the third for people:

    {"data": {"names": ["store", "price"], "ndarray": [[2, 2.49]]}}
    {"data": {"names": ["store", "price"], "tensor": {"shape": [1, 2], "values": [2, 2.49]}}}
    {"jsonData": [{"store": 2, "price": 2.49}]}
"""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

import numpy as np
import orjson

from workloads.serving.errors import RequestError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from workloads.serving.contract import Columns

MAX_ROWS = 5000
"""In one request: about 0.1 s of work for a worker."""

DTYPES: dict[type, type[np.generic]] = {float: np.float64, int: np.int64, bool: np.bool_, str: np.object_}
_KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
_NUMBERS = {float, int}
_INT64 = 2**63


def _parsed(body: bytes) -> object:
    """What the JSON says.

    Python's own reader, four times slower, is for what the fast one refuses: it tells better why, and lets NaN pass, which is
    refused with its place later.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body.decode())


class Reader:
    """Reads requests of one model.

    Args:
        columns: what a request has to hold, as in `ServingCode.REQUEST_COLUMNS`.
        example: one good row, shown in messages.
    """

    def __init__(self, columns: Mapping[str, type], example: Mapping[str, Any]) -> None:
        self._types = dict(columns)
        self._names = list(columns)
        self._by_type = {kind: [name for name in columns if columns[name] is kind] for kind in set(columns.values())}
        self._usual_places = {name: place for place, name in enumerate(self._names)}
        self._example = {name: example[name] for name in columns}
        self._row = list(self._example.values())

    @property
    def example(self) -> dict[str, Any]:
        """A whole request that is right."""
        return {"data": {"names": self._names, "ndarray": [self._row]}}

    @property
    def example_columns(self) -> Columns:
        """What `example` is read as."""
        return self._columns([self._row], self._places(self._names))

    def read(self, body: bytes) -> Columns:
        """The request's columns.

        Raises:
            RequestError: it is not a request for this model.
        """
        names, rows = self._table(self._json(body))
        if not rows:
            raise RequestError("the request has no rows", example=self.example)
        if len(rows) > MAX_ROWS:
            raise RequestError(
                f"more than {MAX_ROWS} rows in one request: send them in parts",
                status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                found=f"{len(rows)} rows",
            )
        places = self._places(names)
        _check_widths(rows, len(names))
        return self._columns(rows, places)

    def _json(self, body: bytes) -> dict[str, Any]:
        if not body.strip():
            raise RequestError("the request's body is empty", example=self.example)
        try:
            message: object = _parsed(body)
        except json.JSONDecodeError as error:
            raise RequestError(
                f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
                found=shown(error.doc[max(error.pos - 20, 0) : error.pos + 20]),
                example=self.example,
            ) from None
        except UnicodeDecodeError as error:
            raise RequestError(f"the body is not JSON: byte {error.start} is not UTF-8", example=self.example) from None
        except (ValueError, RecursionError) as error:  # digits without end, brackets without end
            raise RequestError(f"the body is not JSON that can be read: {shown(str(error))}", example=self.example) from None
        if not _is_object(message):
            raise RequestError("the body is not a JSON object", found=_described(message), example=self.example)
        return message

    def _table(self, message: dict[str, Any]) -> tuple[list[str], Sequence[Sequence[Any]]]:
        data: object = message.get("data")
        if _is_object(data):
            names = self._listed(data, "names", "data.names")
            if set(map(type, names)) - {str}:
                raise RequestError("data.names holds something else than names", found=_described(names), example=self.example)
            if "tensor" in data:
                return names, self._tensor(data["tensor"])
            rows = self._listed(data, "ndarray", "data.ndarray")
            for index, row in enumerate(rows):
                if not _is_list(row):
                    raise RequestError("a row is not a list", row=index, found=_described(row), example=self.example)
            return names, rows
        if "jsonData" in message:
            return self._records(message["jsonData"])
        found = ", ".join(sorted(message)) or "an empty object"
        raise RequestError(
            'the body has neither "data" with "names" and "ndarray" nor "jsonData"', found=found, example=self.example
        )

    def _listed(self, data: dict[str, Any], key: str, where: str) -> list[Any]:
        value: object = data.get(key)
        if not _is_list(value):
            found = "nothing" if key not in data else _described(value)
            raise RequestError(f"{where} is not a list", found=found, example=self.example)
        return value

    def _tensor(self, tensor: object) -> list[list[Any]]:
        shape, values = (tensor.get("shape"), tensor.get("values")) if _is_object(tensor) else (None, None)
        match shape:
            case [int(height), int(width)] if _is_list(values) and height * width == len(values) and width > 0:
                return [values[start : start + width] for start in range(0, len(values), width)]
            case _:
                what = "data.tensor is not a shape of two numbers, rows and columns, and as many values"
                raise RequestError(
                    what, found=_described(tensor), example={"shape": [1, len(self._names)], "values": self._row}
                )

    def _records(self, records: object) -> tuple[list[str], list[list[Any]]]:
        listed: object = [records] if _is_object(records) else records
        if not _is_list(listed):
            raise RequestError(
                "jsonData is neither a row nor a list of rows", found=_described(records), example=[self._example]
            )
        for index, record in enumerate(listed):
            if not _is_object(record):
                raise RequestError("a row is not an object", row=index, found=_described(record), example=self._example)
            if record.keys() != self._types.keys():
                self._refuse_names(list(record), row=index)
        return self._names, [[record[name] for name in self._names] for record in listed]

    def _places(self, names: list[str]) -> Mapping[str, int]:
        if names == self._names:  # as the example has them: most callers
            return self._usual_places
        places = {name: place for place, name in enumerate(names)}
        if len(names) != len(self._names) or places.keys() != self._types.keys():
            self._refuse_names(names)
        return places

    def _refuse_names(self, names: list[str], row: int | None = None) -> NoReturn:
        missing = [name for name in self._names if name not in names]
        unknown = [name for name in names if name not in self._types]
        twice = sorted({name for name in names if names.count(name) > 1})
        faults = [
            f"{fault} {shown(', '.join(listed), 200)}"
            for fault, listed in (("missing", missing), ("unknown", unknown), ("twice", twice))
            if listed
        ]
        found = shown(", ".join(names)) or "none"
        raise RequestError(f"the columns are not the model's: {'; '.join(faults)}", row=row, found=found, example=self.example)

    def _columns(self, rows: Sequence[Sequence[Any]], places: Mapping[str, int]) -> Columns:
        """Columns of one type go through numpy together: for a single row that is most of the time there is to save."""
        columns: dict[str, npt.NDArray[np.generic]] = {}
        for kind, names in self._by_type.items():
            choose = itemgetter(*map(places.__getitem__, names))
            cells = [choose(row) for row in rows] if len(names) > 1 else [(choose(row),) for row in rows]
            if not all(_fits(kind, line) for line in cells):
                cells = [
                    tuple(self._converted(cell, kind, row, name) for name, cell in zip(names, line, strict=True))
                    for row, line in enumerate(cells)
                ]
            columns.update(zip(names, np.array(cells, dtype=DTYPES[kind]).T, strict=True))
        return columns

    def _converted(self, value: object, kind: type, row: int, column: str) -> object:
        """`value` as `kind` where JSON leaves a choice: 2 is a number like 2.0, and 2.0 a whole number like 2."""
        if _fits(kind, [value]):
            return value
        if kind is int and isinstance(value, float) and value.is_integer() and _fits(int, [int(value)]):
            return int(value)
        raise RequestError(
            f"is not {_KINDS[kind]}", row=row, column=column, found=_described(value), example=self._example[column]
        )


def _fits(kind: type, values: Sequence[Any]) -> bool:
    """Whether all of `values` go into an array of `kind` as they are. Every row comes here: no loop in Python."""
    types = set(map(type, values))
    if kind is float:
        try:
            return types <= _NUMBERS and all(map(math.isfinite, values))
        except OverflowError:  # a whole number beyond any double
            return False
    return types == {kind} and (kind is not int or (min(values) >= -_INT64 and max(values) < _INT64))


def _check_widths(rows: Sequence[Sequence[Any]], width: int) -> None:
    for index, row in enumerate(rows):
        if len(row) != width:
            raise RequestError(
                f"a row has not as many values as there are names, {width}", row=index, found=f"{len(row)} values"
            )


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """JSON's objects have texts for keys, which `isinstance` does not tell a type checker."""
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _described(value: object) -> str:
    try:
        return shown(json.dumps(value))
    except (ValueError, RecursionError):  # a whole number of too many digits to print
        return "a value that cannot be shown"
