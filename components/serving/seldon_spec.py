"""The spec of a SeldonDeployment (machinelearning.seldon.io/v1), as plain data with the field names of the API."""

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
    """The fields of a container that this package reads. A container has all fields of `core/v1`."""

    name: str


class Pod(TypedDict):
    """The fields of a pod that this package reads. A pod has all fields of `core/v1`."""

    containers: list[Container]


class Autoscaler(TypedDict):
    minReplicas: int
    maxReplicas: int
    metricsv2: list[dict[str, Any]]
    """Metrics of `autoscaling/v2`. The field `metrics` is for v2beta1, which Kubernetes no longer supports."""


class DisruptionBudget(TypedDict):
    maxUnavailable: int


class ComponentSpec(TypedDict):
    """One Deployment of a predictor."""

    spec: Pod
    replicas: NotRequired[int]
    hpaSpec: NotRequired[Autoscaler]
    pdbSpec: NotRequired[DisruptionBudget]


class Graph(TypedDict):
    """A step of inference and the steps after it."""

    name: str
    """The name of the step and of its container."""
    type: NotRequired[Literal["MODEL", "ROUTER", "COMBINER", "TRANSFORMER", "OUTPUT_TRANSFORMER"]]
    implementation: NotRequired[str]
    """A prepackaged server, used instead of a container."""
    modelUri: NotRequired[str]
    children: list[Graph]


class Predictor(TypedDict):
    """A set of pods that answers a share of the requests, or copies of them."""

    name: str
    graph: Graph
    componentSpecs: list[ComponentSpec]
    traffic: NotRequired[int]
    """The share of the requests in percent. For a shadow: the share of the requests that are copied to it."""
    shadow: NotRequired[bool]
    labels: NotRequired[dict[str, str]]
    annotations: NotRequired[dict[str, str]]


class Spec(TypedDict):
    predictors: list[Predictor]
    protocol: NotRequired[Literal["seldon", "tensorflow", "v2"]]
    transport: NotRequired[Literal["rest", "grpc"]]
    annotations: NotRequired[dict[str, str]]


def spec(name: str, args: EndpointArgs) -> Spec:
    """Returns the spec of the SeldonDeployment of workload `name`, with a predictor for each served release."""
    variants = [
        VariantArgs(namespace=args.namespace, workload=name, role=role, served=served, capacity=args.capacity)
        for role, served in args.served.items()
    ]
    canary_percent = args.canary.percent if args.canary else 0
    traffic = {STABLE: HUNDRED - canary_percent, CANARY: canary_percent, SHADOW: HUNDRED}
    return {
        "protocol": "seldon",
        "transport": "rest",
        # The operator mounts a file with these annotations over the image's file, which sets the same timeout.
        "annotations": {REST_TIMEOUT: str(FINISH_SECONDS * 1000)},
        "predictors": [_predictor(variant, traffic[variant.role]) for variant in variants],
    }


def _predictor(variant: VariantArgs, traffic: int) -> Predictor:
    predictor: Predictor = {
        "name": variant.role,
        "traffic": traffic,
        # Istio's route selects pods by the label `version`. If the label contained the number of the release, the route would
        # move to the next release before a pod of that release was ready. The pods send no requests, so they need no Istio
        # sidecar, which the Pod Security standard would reject.
        "labels": {**variant.labels, "version": variant.role, _SIDECAR: "false"},
        # A single model needs no orchestrator. The orchestrator would add a network hop, and the Pod Security standard would
        # reject its container.
        "annotations": {NO_ENGINE: "true", RUN_ANNOTATION: variant.served.run},
        "graph": {"name": CONTAINER, "type": "MODEL", "children": []},
        "componentSpecs": [_component(variant)],
    }
    if variant.role == SHADOW:
        predictor["shadow"] = True
    return predictor


def _component(variant: VariantArgs) -> ComponentSpec:
    # The operator replaces the security context of our pod with its own (SeldonIO/seldon-core#4711).
    replica = cast("Pod", camel(pod(variant, CONTAINER_SECURITY_ALONE)))  # `camel` returns Any
    component: ComponentSpec = {"spec": replica}
    if variant.capacity.scaled:  # then the autoscaler sets the number of replicas
        component["hpaSpec"] = _autoscaler(variant.capacity)
    else:
        component["replicas"] = variant.capacity.min_replicas
    if variant.role == STABLE:
        # One budget is enough, because the operator's budget selects the pods of all predictors. Kubernetes cannot evict a pod
        # with two budgets.
        budget: DisruptionBudget = {"maxUnavailable": 1}
        component["pdbSpec"] = budget
    return component


def _autoscaler(capacity: Capacity) -> Autoscaler:
    return {
        "minReplicas": capacity.min_replicas,
        "maxReplicas": capacity.max_replicas,
        "metricsv2": camel(cpu_metrics(capacity)),
    }


def camel(value: object) -> Any:  # noqa: ANN401 JSON of the same shape as the argument
    """Converts the field names of Kubernetes inputs from the SDK's snake case to the API's camel case.

    The SDK converts only the inputs of resources for which it has types, and it has none for a SeldonDeployment.
    """
    match value:
        case dict():
            fields = cast("dict[str, object]", value)  # the SDK's inputs are TypedDicts
            return {_camel_key(key): camel(item) for key, item in fields.items()}
        case list():
            return [camel(item) for item in cast("list[object]", value)]  # the type of the items is unknown
        case _:
            return value


def _camel_key(key: str) -> str:
    """Converts `run_as_user` to `runAsUser` and `exec_` to `exec`. No label or annotation has a letter after an underscore."""
    return re.sub("_([a-z])", lambda match: match[1].upper(), key).removesuffix("_")
