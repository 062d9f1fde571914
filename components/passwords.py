"""Where the passwords of servers come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import pulumi_random as random

if TYPE_CHECKING:
    from pulumi import Output, ResourceOptions

_LENGTH: Final = 32


class Passwords(Protocol):
    """Gives each server its passwords."""

    def password(self, name: str, opts: ResourceOptions) -> Output[str]:
        """Returns a password that stays the same for as long as its resource exists.

        Args:
            name: the name of the resource.
            opts: the parent of the resource, and whether the engine refuses to delete it.

        Returns:
            A secret of letters and digits, which needs no quoting in a URL, an INI file or SQL.
        """
        ...


@dataclass(frozen=True)
class GeneratedPasswords:
    """Generates each password once. The state of the stack stores it, encrypted."""

    def password(self, name: str, opts: ResourceOptions) -> Output[str]:
        """Declares the password. See `Passwords.password`."""
        return random.RandomPassword(name, length=_LENGTH, special=False, opts=opts).result
