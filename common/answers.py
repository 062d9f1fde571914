"""The three answers of something outside this process: it exists, it does not exist, or it could not be asked.

`None` must not stand for the last two at once: a command may create what is absent, but it must change nothing because of what
is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Self, TypeVar

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
    """

    where: str
    reason: str
    fix: str = ""

    @classmethod
    def from_error(cls, error: UserError, where: str = "") -> Self:
        """Returns the answer of something that could not be asked because of an error. `where` replaces that of the error."""
        reason = error.what if error.found is None else f"{error.what.removesuffix('.')}: {error.found}"
        return cls(where=where or error.where, reason=reason, fix=error.fix)

    def error(self, what: str) -> UserError:
        """Returns the error of a command that cannot continue without an answer. `what` is the problem, in one sentence."""
        return UserError(what, where=self.where, found=self.reason, fix=self.fix or "fix this, then run the command again")


Answer = Found[T] | Absent | Unknown
