"""The spec of a SeldonDeployment (machinelearning.seldon.io/v1), as plain data in the API's spelling."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, NotRequired, TypedDict, cast

from common.labels import RUN_ANNOTATION
from common.roles import CANARY, SHADOW, STABLE
from components.pods import CONTAINER_SECURITY_ALONE
from components.serving.router_config import HUNDRED
from components.serving.variant import CONTAINER, FINISH_SECONDS, VariantArgs, cpu_metrics, pod

if TYPE_CHECKING:
    from components.serving.endpoint import EndpointArgs
    from components.serving.variant import Capacity

NO_ENGINE: Final = "seldon.io/no-engine"
REST_TIMEOUT: Final = "seldon.io/rest-timeout"
_SIDECAR: Final = "sidecar.istio.io/inject"


class Container(TypedDict):
    """What is read of a container here. It has all fields of `core/v1`."""

    name: str


class Pod(TypedDict):
    """What is read of a pod here. It has all fields of `core/v1`."""

    containers: list[Container]


class Autoscaler(TypedDict):
    minReplicas: int
    maxReplicas: int
    metricsv2: list[dict[str, Any]]
    """Of `autoscaling/v2`. The older `metrics` are of v2beta1, which Kubernetes no longer has."""


class DisruptionBudget(TypedDict):
    maxUnavailable: int


class ComponentSpec(TypedDict):
    """One Deployment of a predictor."""

    spec: Pod
    replicas: NotRequired[int]
    hpaSpec: NotRequired[Autoscaler]
    pdbSpec: NotRequired[DisruptionBudget]


class Graph(TypedDict):
    """A step of inference and those after it."""

    name: str
    """Of its container."""
    type: NotRequired[Literal["MODEL", "ROUTER", "COMBINER", "TRANSFORMER", "OUTPUT_TRANSFORMER"]]
    implementation: NotRequired[str]
    """A prepackaged server instead of a container of one's own."""
    modelUri: NotRequired[str]
    children: list[Graph]


class Predictor(TypedDict):
    """What answers a share of the requests, or a copy of them."""

    name: str
    graph: Graph
    componentSpecs: list[ComponentSpec]
    traffic: NotRequired[int]
    """In percent. Of a shadow: how many of the requests are copied to it."""
    shadow: NotRequired[bool]
    labels: NotRequired[dict[str, str]]
    annotations: NotRequired[dict[str, str]]


class Spec(TypedDict):
    predictors: list[Predictor]
    protocol: NotRequired[Literal["seldon", "tensorflow", "v2"]]
    transport: NotRequired[Literal["rest", "grpc"]]
    annotations: NotRequired[dict[str, str]]


def spec(name: str, args: EndpointArgs) -> Spec:
    """The SeldonDeployment of workload `name`: a predictor for each release that is served."""
    variants = [
        VariantArgs(namespace=args.namespace, workload=name, role=role, served=served, capacity=args.capacity)
        for role, served in args.served.items()
    ]
    canary_percent = args.canary.percent if args.canary else 0
    traffic = {STABLE: HUNDRED - canary_percent, CANARY: canary_percent, SHADOW: HUNDRED}
    return {
        "protocol": "seldon",
        "transport": "rest",
        # The operator mounts the pod's annotations over the file of the image that says the same.
        "annotations": {REST_TIMEOUT: str(FINISH_SECONDS * 1000)},
        "predictors": [_predictor(variant, traffic[variant.role]) for variant in variants],
    }


def _predictor(variant: VariantArgs, traffic: int) -> Predictor:
    predictor: Predictor = {
        "name": variant.role,
        "traffic": traffic,
        # `version` is what Istio's route goes by. With the release's number in it, the route would move to the next release
        # before a pod of that was ready. The pods ask nobody, so they need no sidecar (which the pod standard refuses).
        "labels": {**variant.labels, "version": variant.role, _SIDECAR: "false"},
        # One model needs no orchestrator before it: a hop, and a container that the pod standard refuses.
        "annotations": {NO_ENGINE: "true", RUN_ANNOTATION: variant.served.run},
        "graph": {"name": CONTAINER, "type": "MODEL", "children": []},
        "componentSpecs": [_component(variant)],
    }
    if variant.role == SHADOW:
        predictor["shadow"] = True
    return predictor


def _component(variant: VariantArgs) -> ComponentSpec:
    # The operator puts a pod security context of its own in the place of ours (SeldonIO/seldon-core#4711).
    replica = cast("Pod", camel(pod(variant, CONTAINER_SECURITY_ALONE)))  # in the API's spelling, as `Pod` is
    component: ComponentSpec = {"spec": replica}
    if variant.capacity.scaled:  # `replicas` is then the autoscaler's
        component["hpaSpec"] = _autoscaler(variant.capacity)
    else:
        component["replicas"] = variant.capacity.min_replicas
    if variant.role == STABLE:
        # The operator's budget selects the pods of all predictors, and a pod with two budgets cannot be evicted at all.
        budget: DisruptionBudget = {"maxUnavailable": 1}
        component["pdbSpec"] = budget
    return component


def _autoscaler(capacity: Capacity) -> Autoscaler:
    return {
        "minReplicas": capacity.min_replicas,
        "maxReplicas": capacity.max_replicas,
        "metricsv2": camel(cpu_metrics(capacity)),
    }


def camel(value: object) -> Any:  # noqa: ANN401 - JSON, of whatever shape went in
    """Kubernetes inputs as the SDK spells them in the API's spelling. The SDK itself does so for what it has types of only."""
    match value:
        case dict():
            fields = cast("dict[str, object]", value)  # the SDK's inputs are TypedDicts
            return {_camel_key(key): camel(item) for key, item in fields.items()}
        case list():
            return [camel(item) for item in cast("list[object]", value)]  # whatever is in it
        case _:
            return value


def _camel_key(key: str) -> str:
    """`run_as_user` -> `runAsUser`, `exec_` -> `exec`. Labels and annotations have no underscore followed by a letter."""
    return re.sub("_([a-z])", lambda found: found[1].upper(), key).removesuffix("_")
