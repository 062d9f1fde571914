"""Runs a Pulumi program against a recording engine and returns the declared resources and outputs as plain data.

Pulumi's mocks accept duplicate URNs, which the engine would refuse, and hide parents, providers and protection, which tests
need. So this module has its own monitor, which records the requests.
"""

from __future__ import annotations

import asyncio
import json
import runpy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, cast
from unittest.mock import patch

import pulumi
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.proto import resource_pb2
from ruamel.yaml import YAML

from common.answers import Absent, Found
from infra import live_cluster
from infra.live_cluster import LiveCluster
from tests.checkout import CHECKOUT, STACK_FILES

PROJECT = "modelstack"
World = Mapping[str, Any]
"""The responses of the providers, by type token. For a resource: outputs in addition to its inputs. For a function: the
response, or a callable that receives the arguments and returns the response."""


@dataclass(frozen=True)
class Secret:
    """A value that the program marked as secret."""

    value: Any


@dataclass(frozen=True)
class Unknown:
    """A value that nobody can tell in a preview."""

    mark: str = rpc.UNKNOWN
    """What the engine's protocol writes for it."""


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Resource:
    """One resource that the program declared."""

    type: str
    name: str
    urn: str
    inputs: dict[str, Any]
    parent: str
    """The name of the parent. Empty if the parent is the stack."""
    provider: str
    """The name of the provider; `default` if the program set none."""
    protect: bool
    custom: bool
    dependencies: frozenset[str]
    """The names of the resources that the engine creates before this one."""


@dataclass(frozen=True)
class Declared:
    """The resources and outputs of a program."""

    resources: tuple[Resource, ...] = ()
    outputs: dict[str, Any] = field(default_factory=dict)

    def all(self, kind: str) -> list[Resource]:
        """Returns the resources whose type ends in `kind`, for example `Deployment`."""
        return [resource for resource in self.resources if resource.type.rpartition(":")[2] == kind]

    def one(self, kind: str, name: str | None = None) -> Resource:
        """Returns the only resource of a kind, or the only one with the given name."""
        matches = [resource for resource in self.all(kind) if name in {None, resource.name}]
        assert len(matches) == 1, f"expected one {kind} {name or ''}, found {[resource.name for resource in matches]}"
        return matches[0]


class Recorder(mocks.MockMonitor):
    """Answers like an engine whose providers echo inputs, and remembers what it was asked for.

    In a preview nothing exists yet: providers leave open what only they can tell, also where `world` has it.
    """

    def __init__(self, world: World, *, preview: bool = False) -> None:
        self.world = world
        self.preview = preview
        self.requests: dict[str, Any] = {}

    def RegisterResource(self, request):  # noqa: N802 the name is gRPC's
        urn = self.make_urn(request.parent, request.type, request.name)
        assert urn not in self.requests, f"the engine refuses two resources with the URN {urn}"
        self.requests[urn] = request
        state = MessageToDict(request.object)
        answers = _computed(request.type, request.name, plain(state)) | dict(self.world.get(request.type, {}))
        if self.preview:
            answers = {name: _left_open(answer, plain(state).get(name)) for name, answer in answers.items()}
        object_ = ParseDict(state | _encoded(answers), Struct())
        id_ = f"{request.name}-id" if request.custom and not self.preview else ""
        return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=object_)

    def Invoke(self, request):  # noqa: N802 the name is gRPC's
        assert request.tok in self.world, f"the program calls {request.tok}, for which the test's world has no response"
        entry = self.world[request.tok]
        response = entry(plain(MessageToDict(request.args))) if callable(entry) else dict(entry)
        return resource_pb2.ResourceInvokeResponse(**{"return": ParseDict(_encoded(response), Struct())})


def _computed(kind: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the outputs that providers add to the inputs."""
    match kind:
        case "docker:index/image:Image":
            repository = inputs["imageName"].rpartition(":")[0]
            return {"repoDigest": f"{repository}@sha256:{sha256(repository.encode()).hexdigest()}"}
        case "random:index/randomId:RandomId":
            return {"hex": f"hex of {name}"}
        case "random:index/randomPassword:RandomPassword":
            return {"result": Secret(f"password of {name}")}
        case "command:local:Command":
            return {"stdout": Secret(f"stdout of {name}"), "stderr": ""}
        case "kubernetes:core/v1:Service":
            return {"spec": {**inputs["spec"], "clusterIP": f"10.96.0.{len(name)}"}}
        case _:
            return {}


def _left_open(answer: Any, asked: Any) -> Any:
    """A provider's answer without what was not among the inputs."""
    match answer:
        case Secret():
            return Secret(UNKNOWN)
        case dict():
            known: Any = asked if isinstance(asked, dict) else {}
            return {key: item if known.get(key) == item else _left_open(item, known.get(key)) for key, item in answer.items()}
        case _:
            return answer if answer == asked else UNKNOWN


def _encoded(value: Any) -> Any:
    match value:
        case Unknown(mark):
            return mark
        case Secret(inner):
            return {rpc._special_sig_key: rpc._special_secret_sig, "value": _encoded(inner)}
        case dict():
            return {key: _encoded(item) for key, item in value.items()}
        case list():
            return [_encoded(item) for item in value]
        case _:
            return value


def plain(value: Any) -> Any:
    """From the engine's encoding to plain values: secrets and unknown values marked, whole numbers as integers."""
    if value == UNKNOWN.mark:
        return UNKNOWN
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return Secret(plain(value["value"]))
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def revealed(value: Any) -> Any:
    """Replaces each `Secret` by its value."""
    match value:
        case Secret(inner):
            return revealed(inner)
        case dict():
            return {key: revealed(item) for key, item in value.items()}
        case list():
            return [revealed(item) for item in value]
        case _:
            return value


def run(
    program: Callable[[], object],
    *,
    stack: str = "test",
    config: Mapping[str, str] | None = None,
    world: World | None = None,
    preview: bool = False,
) -> Declared:
    """What `program` declares, in an update or in a preview. An exception it raises is raised here."""
    recorder = Recorder(world or {}, preview=preview)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        settings.set_root_resource(None)  # otherwise the exports of an earlier run would remain
        mocks.set_mocks(
            cast("mocks.Mocks", None), PROJECT, stack, preview=preview, monitor=recorder
        )  # the recorder answers itself
        pulumi.runtime.set_all_config(dict(config or {}), [])
        mocks.test(lambda: pulumi.Output.from_input(_exports_of(program)))()
        outputs = plain(MessageToDict(loop.run_until_complete(rpc.serialize_properties(_exports(), {}))))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return Declared(tuple(sorted(_resources(recorder), key=lambda resource: (resource.type, resource.name))), outputs)


LIVE_CLUSTER = LiveCluster(uid=Found("00000000-0000-4000-8000-000000000001"), owner=Absent())
"""The cluster of the tests, before an environment is in it."""


def run_stack(
    stack: str,
    world: World | None = None,
    replaced: Mapping[str, object] | None = None,
    *,
    preview: bool = False,
    live: LiveCluster = LIVE_CLUSTER,
) -> Declared:
    """What `__main__.py` declares for a stack file of the tests, with some of its concerns replaced.

    `live` is what the cluster says about itself before any resource is declared.
    """
    document = YAML(typ="safe").load(STACK_FILES / f"Pulumi.{stack}.yaml")
    concerns = document["config"] | {f"{PROJECT}:{name}": value for name, value in (replaced or {}).items()}
    config = {key: value if isinstance(value, str) else json.dumps(value) for key, value in concerns.items()}
    with patch.object(live_cluster, "read", return_value=live):
        return run(
            lambda: runpy.run_path(str(CHECKOUT / "__main__.py")), stack=stack, config=config, world=world, preview=preview
        )


def _exports_of(program: Callable[[], object]) -> dict[str, Any]:
    program()
    return _exports()


def _exports() -> dict[str, Any]:
    root: Any = settings.get_root_resource()
    return dict(root.outputs)


def _resources(recorder: Recorder) -> Iterator[Resource]:
    names = {urn: request.name for urn, request in recorder.requests.items() if request.type != "pulumi:pulumi:Stack"}
    for urn, name in names.items():
        request = recorder.requests[urn]
        yield Resource(
            type=request.type,
            name=name,
            urn=urn,
            inputs=plain(MessageToDict(request.object)),
            parent=names.get(request.parent, ""),
            provider=names.get(request.provider.rpartition("::")[0], "default") if request.custom else "",
            protect=request.protect,
            custom=request.custom,
            dependencies=frozenset(names[each] for each in request.dependencies if each in names),
        )
