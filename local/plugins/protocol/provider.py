"""The base class of resource providers: blocking methods on plain Python values, without any gRPC.

Property values are those of `local.plugins.protocol.values`: plain Python, `Secret(value)` and `UNKNOWN`. A method that does
not distinguish secrets calls `reveal(request.inputs)` to get plain values.

Each call runs in a thread of its own, so methods may block. A blocking method checks `self.cancelled` (a `threading.Event`) and
raises `Failed("cancelled ...")` when it is set. It calls `self.cancelled.wait(seconds)` instead of `time.sleep(seconds)`.

A method raises `Failed` if nothing was created or changed. It raises `InitFailed` if the resource exists and is not as desired:
the engine keeps the resource in the state with the reasons, and the next update continues from there. It may raise `UserError`,
like all code of this repository. Any other exception is a bug and is reported as one, with its traceback.

`pulumi.provider.experimental` is not used, because it loses unknowns, old inputs and init errors, and prints tracebacks.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from local.plugins.protocol.messages import Checked, Created, Difference, Failed, Kind, ReadResult

if TYPE_CHECKING:
    from local.plugins.protocol.messages import Check, Create, Delete, Diff, Read, Update
    from local.plugins.protocol.values import Object


class Provider:
    """A resource provider. The default methods are right for simple resources; a subclass overrides the others."""

    name: str
    version: str

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.engine: engine_pb2_grpc.EngineStub | None = None

    def check_config(self, inputs: Object) -> Checked:
        """Checks the provider's own configuration. If it contains unknowns, `configure` is not called."""
        return Checked(inputs)

    def diff_config(self, request: Diff) -> Difference:
        """Returns the effect of a change of the provider's configuration. By default, it replaces no resource."""
        return difference(request)

    def configure(self, inputs: Object) -> None:
        """Receives the provider's configuration. Called once, before the first operation."""

    def check(self, request: Check) -> Checked:
        return Checked(request.inputs)

    def diff(self, request: Diff) -> Difference:
        return difference(request)

    def create(self, request: Create) -> Created:
        raise Failed(f"{request.type} is not supported by this {self.name} plugin")

    def update(self, request: Update) -> Object:
        """Returns the new state."""
        raise Failed(f"{request.type} is not supported by this {self.name} plugin")

    def read(self, request: Read) -> ReadResult | None:
        """Returns the actual state, or None if the resource no longer exists. The default returns the recorded state."""
        return ReadResult(request.id, request.state, request.inputs)

    def delete(self, request: Delete) -> None:
        """Deletes the resource and returns when it is gone. The default deletes nothing."""

    def invoke(self, token: str, inputs: Object, *, preview: bool) -> Object:
        """Calls the provider function `token` and returns its result."""
        del inputs, preview
        raise Failed(f"{token} is not supported by this {self.name} plugin")

    def construct(self, type_token: str) -> NoReturn:
        """Refuses a component that the plugin, and not the program, would create: stand-ins create none.

        A subclass may name in its error what to use instead.
        """
        raise Failed(f"only the official {self.name} plugin supports {type_token}")

    def log(self, text: str, urn: str = "", severity: str = "INFO", *, status: bool = False) -> None:
        """Shows a message with the resource.

        Args:
            text: the message.
            urn: the resource.
            severity: DEBUG, INFO, WARNING or ERROR.
            status: show the message only while the operation runs.
        """
        if self.engine is not None:
            request = engine_pb2.LogRequest(
                severity=engine_pb2.LogSeverity.Value(severity), message=text, urn=urn, ephemeral=status
            )
            try:
                self.engine.Log(request, timeout=2)  # pyright: ignore[reportUnknownMemberType], of the generated stubs
            except grpc.RpcError:
                return  # the engine is stopping, so the message does not matter


def difference(request: Diff, replace: tuple[str, ...] = ()) -> Difference:
    """Compares the inputs by top-level property. A change of a property in `replace` forces a replacement; `"*"` means all."""
    paths: dict[str, Kind] = {}
    for key in sorted(set(request.old_inputs) | set(request.inputs)):
        if key in request.ignore or request.old_inputs.get(key) == request.inputs.get(key):
            continue
        kind = Kind.ADD if key not in request.old_inputs else Kind.DELETE if key not in request.inputs else Kind.UPDATE
        replaces = key in replace or "*" in replace
        paths[key] = Kind(kind.value + 1) if replaces else kind
    return Difference(paths)
