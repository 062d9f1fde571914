"""Errors: a model that cannot be served, and a request that cannot be answered."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

LONGEST_SHOWN = 80
"""Maximum number of characters of a value that an error message shows."""


class ModelError(Exception):
    """The model folder cannot be served. The message names the file and the fault. The service does not start."""


class RequestError(Exception):
    """The request is invalid, and the caller can fix it. The service answers with this error as JSON.

    Args:
        what: what is wrong, in one sentence without a full stop.
        status: HTTP status of the answer.
        row: index of the invalid row, from 0.
        column: name of the invalid column.
        found: the invalid value, as JSON.
        example: a valid value.
    """

    def __init__(  # noqa: PLR0913 - all but the first are named and optional
        self,
        what: str,
        *,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        row: int | None = None,
        column: str | None = None,
        found: str | None = None,
        example: object = None,
    ) -> None:
        super().__init__(what)
        self.what, self.status, self.row, self.column, self.found, self.example = what, status, row, column, found, example

    @property
    def sentence(self) -> str:
        """The whole error in one line, for people."""
        place = ", ".join(
            [*([] if self.row is None else [f"row {self.row}"]), *([] if self.column is None else [f"column {self.column!r}"])]
        )
        return (f"{place}: " if place else "") + self.what + (f"; found {self.found}" if self.found is not None else "")

    def parts(self) -> dict[str, Any]:
        """The whole error as fields, for programs. Fields without a value are omitted."""
        parts = {"what": self.what, "row": self.row, "column": self.column, "found": self.found, "example": self.example}
        return {name: part for name, part in parts.items() if part is not None}


def shown(text: str, length: int = LONGEST_SHOWN) -> str:
    """Returns `text`, shortened to `length` characters."""
    return text if len(text) <= length else text[:length] + "..."
