"""The three answers of something outside this process: it exists, it does not exist, or it could not be asked.

`None` must not stand for the last two at once: a command may create what is absent, but it must change nothing because of what
is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from common.errors import UserError

T = TypeVar("T", covariant=True)  # noqa: PLC0105 the name is read more often than the variance


@dataclass(frozen=True)
class Found(Generic[T]):
    """It exists; `value` is what it returned."""

    value: T


@dataclass(frozen=True)
class Absent:
    """It answered that the thing does not exist."""


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """It could not be asked, or its response cannot be understood.

    Args:
        where: the address or the file that was asked.
        reason: what went wrong, for example `401 Unauthorized`.
        fix: what the user should do about it; empty if there is no better advice than to try again.
        example: an example of a correct value; empty if there is none.
    """

    where: str
    reason: str
    fix: str = ""
    example: str = ""

    @classmethod
    def from_error(cls, error: UserError, where: str = "") -> Unknown:
        """Returns the answer of something that failed with `error`, with all that the error says.

        Args:
            error: what went wrong.
            where: what was asked; by default what the error names.
        """
        found = "" if error.found is None else str(error.found)
        reason = f"{error.what.removesuffix('.')}: {found}" if found else error.what
        return cls(where=where or error.where, reason=reason, fix=error.fix, example=error.example)

    def error(self, what: str) -> UserError:
        """Returns the error of a command that cannot continue without an answer. `what` is the problem, in one sentence."""
        fix = self.fix or "fix this, then run the command again"
        return UserError(what, where=self.where, found=self.reason, example=self.example, fix=fix)


Answer = Found[T] | Absent | Unknown
