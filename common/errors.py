"""The only error whose message is written for users."""

from __future__ import annotations


class UserError(Exception):
    """A problem that the user can fix. Commands print the message without a traceback.

    Args:
        what: the problem, in one sentence.
        where: the file, key, port or command that has the problem.
        found: the value that was found there.
        example: an example of a correct value.
        fix: what the user should do now.
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
