"""Translates each gRPC request of the engine to a call of the provider, and the result to a gRPC response."""
# ruff: noqa: N802, the names are the protocol's

from __future__ import annotations

import sys
import threading
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import grpc
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from common.errors import UserError
from local.plugins.protocol import messages
from local.plugins.protocol.values import from_struct, to_struct

if TYPE_CHECKING:
    from collections.abc import Generator

    from local.plugins.protocol.provider import Provider
    from local.plugins.protocol.values import Object


_KINDS = {kind: provider_pb2.PropertyDiff.Kind.Value(kind.name) for kind in messages.Kind}


class _Status(grpc.Status):
    """A gRPC status whose metadata can contain the state of an init error."""

    def __init__(self, code: grpc.StatusCode, text: str, metadata: tuple[tuple[str, bytes], ...] = ()) -> None:
        self.code, self.details, self.trailing_metadata = code, text, metadata


def _init_failed(error: messages.InitFailed) -> _Status:
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.id,
        properties=to_struct(error.state),
        reasons=error.reasons,
        inputs=None if error.inputs is None else to_struct(error.inputs),
    )
    packed = any_pb2.Any()
    packed.Pack(detail)
    code, number = grpc.StatusCode.UNKNOWN, 2
    status = status_pb2.Status(code=number, message=str(error), details=[packed])
    return _Status(code, str(error), (("grpc-status-details-bin", status.SerializeToString()),))


def _abort(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    if isinstance(error, messages.InitFailed):
        context.abort_with_status(_init_failed(error))
    if isinstance(error, messages.Failed | UserError):
        # With this code, the engine knows that the operation left nothing unfinished.
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
    traceback.print_exception(error, file=sys.stderr)
    context.abort(grpc.StatusCode.INTERNAL, f"a bug in this plugin: {type(error).__name__}: {error}")
    raise AssertionError("abort() raises") from error


def _failures(failures: list[tuple[str, str]]) -> list[provider_pb2.CheckFailure]:
    return [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failures]


def _difference(difference: messages.Difference) -> provider_pb2.DiffResponse:
    replaces = sorted(path for path, kind in difference.paths.items() if kind.name.endswith("REPLACE"))
    detailed = {
        path: provider_pb2.PropertyDiff(kind=_KINDS[kind], inputDiff=path not in difference.outputs)
        for path, kind in difference.paths.items()
    }
    top_level = sorted({path.replace("[", ".").split(".")[0] for path in difference.paths})
    changes = provider_pb2.DiffResponse.DIFF_SOME if difference.paths else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=changes,
        replaces=replaces,
        diffs=top_level,
        detailedDiff=detailed,
        hasDetailedDiff=True,
        deleteBeforeReplace=difference.delete_first and bool(replaces),
    )


def _resource(urn: str) -> dict[str, str]:
    parts = urn.split("::")
    return {"urn": urn, "type": parts[2].split("$")[-1], "name": "::".join(parts[3:])}


def _diff_request(request: provider_pb2.DiffRequest) -> messages.Diff:
    return messages.Diff(
        **_resource(request.urn),
        id=request.id,
        state=from_struct(request.olds),
        old_inputs=from_struct(request.old_inputs),
        inputs=from_struct(request.news),
        ignore=list(request.ignoreChanges),
    )


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one provider: unpacks each request, calls the provider, and packs its result."""

    def __init__(self, provider: Provider) -> None:
        self.provider, self.busy, self._lock = provider, 0, threading.Lock()

    @contextmanager
    def answering(self, context: grpc.ServicerContext) -> Generator[None]:
        """Counts the call as running (`busy`) and converts exceptions into the protocol's errors."""
        with self._lock:
            self.busy += 1
        try:
            yield
        except Exception as error:  # noqa: BLE001, the last place where an exception can be reported
            _abort(context, error)
        finally:
            with self._lock:
                self.busy -= 1

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        del request
        with self.answering(context):
            return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        del request
        with self.answering(context):
            return plugin_pb2.PluginInfo(version=self.provider.version)

    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        del request
        with self.answering(context):
            return provider_pb2.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        with self.answering(context):
            checked = self.provider.check_config(from_struct(request.news))
            return provider_pb2.CheckResponse(inputs=to_struct(checked.inputs), failures=_failures(checked.failures))

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        with self.answering(context):
            return _difference(self.provider.diff_config(_diff_request(request)))

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        with self.answering(context):
            self.provider.configure(from_struct(request.args))
            return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        with self.answering(context):
            checked = self.provider.check(
                messages.Check(
                    **_resource(request.urn),
                    old_inputs=from_struct(request.olds),
                    inputs=from_struct(request.news),
                    seed=request.randomSeed,
                )
            )
            return provider_pb2.CheckResponse(inputs=to_struct(checked.inputs), failures=_failures(checked.failures))

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        with self.answering(context):
            return _difference(self.provider.diff(_diff_request(request)))

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        with self.answering(context):
            created = self.provider.create(
                messages.Create(
                    **_resource(request.urn),
                    inputs=from_struct(request.properties),
                    preview=request.preview,
                    timeout=request.timeout,
                )
            )
            return provider_pb2.CreateResponse(id=created.id, properties=to_struct(created.state))

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        with self.answering(context):
            state = self.provider.update(
                messages.Update(
                    **_resource(request.urn),
                    id=request.id,
                    state=from_struct(request.olds),
                    old_inputs=from_struct(request.old_inputs),
                    inputs=from_struct(request.news),
                    ignore=list(request.ignoreChanges),
                    preview=request.preview,
                    timeout=request.timeout,
                )
            )
            return provider_pb2.UpdateResponse(properties=to_struct(state))

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        with self.answering(context):
            result = self.provider.read(
                messages.Read(
                    **_resource(request.urn),
                    id=request.id,
                    state=from_struct(request.properties),
                    inputs=from_struct(request.inputs),
                )
            )
            if result is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(id=result.id, properties=to_struct(result.state), inputs=to_struct(result.inputs))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        with self.answering(context):
            self.provider.delete(
                messages.Delete(
                    **_resource(request.urn),
                    id=request.id,
                    state=from_struct(request.properties),
                    inputs=from_struct(request.old_inputs),
                    timeout=request.timeout,
                )
            )
            return empty_pb2.Empty()

    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        with self.answering(context):
            result: Object = self.provider.invoke(request.tok, from_struct(request.args), preview=request.preview)
            response = provider_pb2.InvokeResponse()
            getattr(response, "return").CopyFrom(to_struct(result))  # `return` is a keyword of Python
            return response

    def Construct(self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext) -> NoReturn:
        with self.answering(context):
            self.provider.construct(request.type)

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        del request, context
        self.provider.cancelled.set()
        return empty_pb2.Empty()
