"""What is refused: a model that cannot be served, a request that cannot be answered."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

LONGEST_SHOWN = 80
"""Of a value that is shown back to the caller, in characters."""


class ModelError(Exception):
    """The model folder cannot be served. The message says what is wrong with which file; the service does not start."""


class RequestError(Exception):
    """The caller can mend it. Becomes one JSON answer.

    Args:
        what: what is wrong, in one sentence without a full stop.
        status: of the HTTP answer.
        row: the row at fault, counted from 0.
        column: the column at fault.
        found: the value found there, in JSON's terms.
        example: what would have been right.
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
        """All of it for a person, in one line."""
        place = ", ".join(
            [*([] if self.row is None else [f"row {self.row}"]), *([] if self.column is None else [f"column {self.column!r}"])]
        )
        return (f"{place}: " if place else "") + self.what + (f"; found {self.found}" if self.found is not None else "")

    def parts(self) -> dict[str, Any]:
        """All of it for a program; what does not apply is left out."""
        parts = {"what": self.what, "row": self.row, "column": self.column, "found": self.found, "example": self.example}
        return {name: part for name, part in parts.items() if part is not None}


def shown(text: str, length: int = LONGEST_SHOWN) -> str:
    """`text`, cut to what a message can hold."""
    return text if len(text) <= length else text[:length] + "..."
