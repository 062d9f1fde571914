"""The one error that a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend. Printed as it is, without a traceback.

    Args:
        what: what went wrong, in one sentence.
        where: the file, key, port or command it went wrong at.
        found: the value found there.
        example: a value that would be right.
        fix: what to do now.
    """

    def __init__(self, what: str, *, where: str = "", found: object = None, example: str = "", fix: str = "") -> None:
        self.what, self.where, self.found, self.example, self.fix = what, where, found, example, fix
        super().__init__(str(self))

    def __str__(self) -> str:
        rows = [self.what]
        if self.where:
            rows.append(f"  where: {self.where}")
        if self.found is not None:
            rows.append(f"  found: {self.found}")
        if self.example:
            rows.append(f"  right: {self.example}")
        if self.fix:
            rows.append(f"  do:    {self.fix}")
        return "\n".join(rows)
