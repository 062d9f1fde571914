"""What the engine asks of a provider, what the provider answers, and the errors it may raise."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.plugins.protocol.values import Object


class Failed(Exception):  # noqa: N818, it reads as what happened
    """The operation failed and changed nothing. The text is all the user sees."""


class InitFailed(Exception):  # noqa: N818, it reads as what happened
    """The resource exists but is not what it should be: kept in the state, with `reasons` as its errors."""

    def __init__(self, id: str, state: Object, reasons: list[str], inputs: Object | None = None) -> None:  # noqa: A002, the protocol's word
        super().__init__("; ".join(reasons))
        self.id, self.state, self.reasons, self.inputs = id, state, reasons, inputs


class Kind(Enum):
    """What happens to a property."""

    ADD = 0
    ADD_REPLACE = 1
    DELETE = 2
    DELETE_REPLACE = 3
    UPDATE = 4
    UPDATE_REPLACE = 5


@dataclass(frozen=True, kw_only=True)
class _Of:
    urn: str
    type: str
    """Type token, for example `kubernetes:apps/v1:Deployment`."""
    name: str
    """Logical name, the last part of the URN."""


@dataclass(frozen=True, kw_only=True)
class Check(_Of):
    """Inputs to be checked and completed (defaults, names)."""

    old_inputs: Object
    """Empty when the resource is new."""
    inputs: Object
    seed: bytes
    """Makes generated names the same in preview and update; empty sometimes."""


@dataclass(frozen=True)
class Checked:
    inputs: Object
    failures: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Property and reason, for inputs that cannot work."""


@dataclass(frozen=True, kw_only=True)
class Diff(_Of):
    id: str
    state: Object
    old_inputs: Object
    inputs: Object
    ignore: list[str]


@dataclass(frozen=True)
class Difference:
    """By property path (`spec.ports[0].port`). No paths: no change."""

    paths: dict[str, Kind] = field(default_factory=dict[str, Kind])
    delete_first: bool = False
    """A replacement is to delete the old one first (its name is fixed)."""
    outputs: frozenset[str] = frozenset()
    """Paths that differ in the state rather than in the inputs."""


@dataclass(frozen=True, kw_only=True)
class Create(_Of):
    inputs: Object
    preview: bool
    timeout: float
    """Seconds; 0: the provider's own."""


@dataclass(frozen=True)
class Created:
    id: str
    """Empty in previews."""
    state: Object


@dataclass(frozen=True, kw_only=True)
class Update(_Of):
    id: str
    state: Object
    old_inputs: Object
    inputs: Object
    ignore: list[str]
    """Property paths whose changes are to be ignored; the engine has put the old values into `inputs`."""
    preview: bool
    timeout: float


@dataclass(frozen=True, kw_only=True)
class Read(_Of):
    id: str
    state: Object
    """Empty on import."""
    inputs: Object


@dataclass(frozen=True)
class Found:
    id: str
    state: Object
    inputs: Object


@dataclass(frozen=True, kw_only=True)
class Delete(_Of):
    id: str
    state: Object
    inputs: Object
    timeout: float
