"""Requests of the engine to a provider, the provider's responses, and the errors that a provider may raise."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.plugins.protocol.values import Object


class Failed(Exception):  # noqa: N818, the name states what happened
    """The operation failed and changed nothing. The user sees only the message."""


class InitFailed(Exception):  # noqa: N818, the name states what happened
    """The resource exists but is not in the desired state. The engine keeps it in the state with `reasons` as its errors."""

    def __init__(
        self,
        id: str,  # noqa: A002, the protocol's word
        state: Object,
        reasons: list[str],
        inputs: Object | None = None,
    ) -> None:
        super().__init__("; ".join(reasons))
        self.id, self.state, self.reasons, self.inputs = id, state, reasons, inputs


class Kind(Enum):
    """The kind of change of a property. The names with `_REPLACE` force a replacement of the resource."""

    ADD = 0
    ADD_REPLACE = 1
    DELETE = 2
    DELETE_REPLACE = 3
    UPDATE = 4
    UPDATE_REPLACE = 5


@dataclass(frozen=True, kw_only=True)
class _ResourceRequest:
    """Identifies the resource of a request."""

    urn: str
    type: str
    """Type token, for example `kubernetes:apps/v1:Deployment`."""
    name: str
    """Logical name, the last part of the URN."""


@dataclass(frozen=True, kw_only=True)
class Check(_ResourceRequest):
    """A request to check the inputs and to add defaults and names."""

    old_inputs: Object
    """Empty if the resource is new."""
    inputs: Object
    seed: bytes
    """Makes generated names the same in preview and update. May be empty."""


@dataclass(frozen=True)
class Checked:
    """The response to `Check`."""

    inputs: Object
    """The completed inputs."""
    failures: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Property and reason, for each input that cannot work."""


@dataclass(frozen=True, kw_only=True)
class Diff(_ResourceRequest):
    """A request to compare the new inputs with the last ones."""

    id: str
    state: Object
    old_inputs: Object
    inputs: Object
    ignore: list[str]


@dataclass(frozen=True)
class Difference:
    """The response to `Diff`."""

    paths: dict[str, Kind] = field(default_factory=dict[str, Kind])
    """By property path, for example `spec.ports[0].port`. Empty if there is no change."""
    delete_first: bool = False
    """A replacement deletes the old resource first, because its name is fixed."""
    outputs: frozenset[str] = frozenset()
    """The paths that differ in the state and not in the inputs."""


@dataclass(frozen=True, kw_only=True)
class Create(_ResourceRequest):
    """A request to create the resource."""

    inputs: Object
    preview: bool
    timeout: float
    """Seconds. 0 means the provider's default."""


@dataclass(frozen=True)
class Created:
    """The response to `Create`."""

    id: str
    """Empty in a preview."""
    state: Object


@dataclass(frozen=True, kw_only=True)
class Update(_ResourceRequest):
    """A request to update the resource in place."""

    id: str
    state: Object
    old_inputs: Object
    inputs: Object
    ignore: list[str]
    """Property paths whose changes are ignored. The engine has already put the old values into `inputs`."""
    preview: bool
    timeout: float
    """Seconds. 0 means the provider's default."""


@dataclass(frozen=True, kw_only=True)
class Read(_ResourceRequest):
    """A request to read the actual state of the resource, for a refresh or an import."""

    id: str
    state: Object
    """Empty for an import."""
    inputs: Object


@dataclass(frozen=True)
class ReadResult:
    """The response to `Read`."""

    id: str
    state: Object
    inputs: Object


@dataclass(frozen=True, kw_only=True)
class Delete(_ResourceRequest):
    """A request to delete the resource."""

    id: str
    state: Object
    inputs: Object
    timeout: float
    """Seconds. 0 means the provider's default."""
