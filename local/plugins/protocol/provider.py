"""The base class of resource providers: blocking methods on plain Python, nothing of gRPC in it.

Values are those of `local.plugins.protocol.values`: plain Python, `Secret(value)`, `UNKNOWN`; `reveal(request.inputs)` gives
plain values where secrets need not be told apart.

Each call runs in a thread of its own, so methods may block. While they do, they look at `self.cancelled` (a `threading.Event`;
`self.cancelled.wait(seconds)` takes the place of `time.sleep`) and raise `Failed("cancelled ...")` when it is set.

Raise `Failed` when nothing was made or changed, `InitFailed` when the thing exists and is not what it should be (it is kept
in the state with the reasons, and the next update goes on from there), `UserError` as anywhere. Anything else is a bug: it is
reported as one, with its traceback.

(`pulumi.provider.experimental` is not used: it loses unknowns, old inputs and init errors, and prints tracebacks.)
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from local.plugins.protocol.messages import Checked, Created, Difference, Failed, Found, Kind

if TYPE_CHECKING:
    from local.plugins.protocol.messages import Check, Create, Delete, Diff, Read, Update
    from local.plugins.protocol.values import Object


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
