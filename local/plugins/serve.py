"""Serves a resource provider to the engine: a class with blocking methods on plain Python, nothing of gRPC in it.

A plugin is a subclass of `Provider` and `serve(MyProvider())` in its `__main__.py`:

    class Random(Provider):
        name, version = "random", "4.21.4"

        def create(self, request: Create) -> Created:
            return Created(id="...", state={**request.inputs, "result": Secret("...")})

    serve(Random())

Values are those of `local.plugins.values`: plain Python, `Secret(value)`, `UNKNOWN`; `reveal(request.inputs)` gives the plain
values where secrets need not be told apart.

Each call runs in a thread of its own, so methods may block. While they do, they look at `self.cancelled` (a `threading.Event`;
`self.cancelled.wait(seconds)` takes the place of `time.sleep`) and raise `Failed("cancelled ...")` when it is set.

Raise `Failed` when nothing was made or changed, `InitFailed` when the thing exists and is not what it should be (it is kept
in the state with the reasons, and the next update goes on from there), `UserError` as anywhere. Anything else is a bug: it is
reported as one, with its traceback.

(`pulumi.provider.experimental` is not used: it loses unknowns, old inputs and init errors, and prints tracebacks.)
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent import futures
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NoReturn

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2_grpc

if TYPE_CHECKING:
    from local.plugins.values import Object

_THREADS = 256
"""Calls at a time: each awaited resource holds one."""
_GRACE = 4.0
"""Seconds that calls under way get after a signal; the engine kills after five."""


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


class Provider:
    """A resource provider. Override what applies; the rest does what is right for simple resources."""

    name: str
    version: str

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.engine: engine_pb2_grpc.EngineStub | None = None

    def check_config(self, inputs: Object) -> Checked:
        """The provider's own configuration. It may hold unknowns; then `configure` is not called."""
        return Checked(inputs)

    def diff_config(self, request: Diff) -> Difference:
        """What a change of the provider's configuration means. The default: its resources need no replacement."""
        return difference(request)

    def configure(self, inputs: Object) -> None:
        """Called once before the first operation."""

    def check(self, request: Check) -> Checked:
        return Checked(request.inputs)

    def diff(self, request: Diff) -> Difference:
        return difference(request)

    def create(self, request: Create) -> Created:
        raise Failed(f"{request.type} is not supported by this {self.name} plugin")

    def update(self, request: Update) -> Object:
        """Returns the new state."""
        raise Failed(f"{request.type} is not supported by this {self.name} plugin")

    def read(self, request: Read) -> Found | None:
        """What is really there; None: it is gone. The default knows nothing better than the state."""
        return Found(request.id, request.state, request.inputs)

    def delete(self, request: Delete) -> None:
        """Returns when it is gone. The default: there is nothing to delete."""

    def invoke(self, token: str, inputs: Object, *, preview: bool) -> Object:
        """A function call."""
        del inputs, preview
        raise Failed(f"{token} is not supported by this {self.name} plugin")

    def construct(self, type_token: str) -> NoReturn:
        """A component that the plugin makes, rather than the program. Stand-ins make none; the error may say what to use."""
        raise Failed(f"{type_token} is made by the official {self.name} plugin only")

    def log(self, text: str, urn: str = "", severity: str = "INFO", *, status: bool = False) -> None:
        """Shows `text` with the resource: DEBUG, INFO, WARNING or ERROR. `status`: only while it is worked on."""
        if self.engine is not None:
            request = engine_pb2.LogRequest(
                severity=engine_pb2.LogSeverity.Value(severity), message=text, urn=urn, ephemeral=status
            )
            try:
                self.engine.Log(request, timeout=2)  # pyright: ignore[reportUnknownMemberType], of the generated stubs
            except grpc.RpcError:
                return  # the engine is going away; what is said does not matter any more


def difference(request: Diff, replace: tuple[str, ...] = ()) -> Difference:
    """Top-level properties that differ; those in `replace` force a replacement. `"*"` in it: every one does."""
    paths: dict[str, Kind] = {}
    for key in sorted(set(request.old_inputs) | set(request.inputs)):
        if key in request.ignore or request.old_inputs.get(key) == request.inputs.get(key):
            continue
        kind = Kind.ADD if key not in request.old_inputs else Kind.DELETE if key not in request.inputs else Kind.UPDATE
        replaces = key in replace or "*" in replace
        paths[key] = Kind(kind.value + 1) if replaces else kind
    return Difference(paths)


def serve(provider: Provider) -> None:
    """Serves until the engine is done: it stops us by a signal, or is gone (then nobody is there to serve)."""
    from local.plugins.protocol import Servicer  # noqa: PLC0415, it imports the types above

    address = next((a for a in sys.argv[1:] if not a.startswith("-")), "")
    if address:
        provider.engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="call"), options=options)
    servicer = Servicer(provider)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    print(port, flush=True)
    parent = os.getppid()
    while not stop.wait(1):
        if os.getppid() != parent:
            break
    provider.cancelled.set()
    deadline = time.monotonic() + _GRACE
    while servicer.busy and time.monotonic() < deadline:
        time.sleep(0.02)
    os._exit(0)  # threads that still wait must not keep a plugin without an engine alive
