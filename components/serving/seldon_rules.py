"""The rules of Seldon's admission webhook, checked before the engine sends anything: a preview does not call the webhook."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.serving.router_config import HUNDRED
from components.serving.seldon_spec import NO_ENGINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from components.serving.seldon_spec import Graph, Predictor, Spec

LONGEST_NAME: Final = 63
"""The limit for the name of a Service and the value of a label. The operator replaces a longer name with a hash, which users
and other objects do not know."""
_BUILT_IN: Final = frozenset({"UNKNOWN_IMPLEMENTATION", "SIMPLE_MODEL", "SIMPLE_ROUTER", "RANDOM_ABTEST", "AVERAGE_COMBINER"})
"""The implementations that load no model. Any other implementation is a prepackaged server."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One rule that a spec breaks."""

    found: str
    right: str
    """An example of a valid value."""
    fix: str

    def __str__(self) -> str:
        return f"  found: {self.found}\n  right: {self.right}\n  do:    {self.fix}"


def check(name: str, spec: Spec) -> None:
    """Refuses a spec that the webhook would refuse.

    Raises:
        ValueError: the spec of the SeldonDeployment `name` breaks a rule. The message lists each violation with an example of
            a valid value.
    """
    if broken := violations(name, spec):
        raise ValueError("\n".join([f"Seldon would refuse the SeldonDeployment {name}", *map(str, broken)]))


def violations(name: str, spec: Spec) -> list[Violation]:
    """Returns the rules that the spec of the SeldonDeployment `name` breaks."""
    predictors = spec["predictors"]
    of_spec = [violation for rule in _RULES for violation in rule(predictors)]
    of_predictors = [violation for predictor in predictors for rule in _PREDICTOR_RULES for violation in rule(predictor)]
    of_names = [violation for predictor in predictors for violation in _names_fit(name, predictor)]
    return [*of_spec, *of_predictors, *of_names]


def _predictor_exists(predictors: list[Predictor]) -> Iterator[Violation]:
    if not predictors:
        yield Violation(found="no predictor", right="a predictor named stable", fix="add a stable release to the endpoint")


def _names_differ(predictors: list[Predictor]) -> Iterator[Violation]:
    for name, count in Counter(predictor["name"] for predictor in predictors).items():
        if count > 1:
            yield Violation(found=f"{count} predictors named {name}", right="stable and canary", fix="name them differently")


def _shares_sum_to_hundred(predictors: list[Predictor]) -> Iterator[Violation]:
    shares = {predictor["name"]: predictor.get("traffic", 0) for predictor in predictors if not predictor.get("shadow")}
    listed = " + ".join(f"{name} {share}" for name, share in shares.items())
    if len(shares) > 1 and sum(shares.values()) != HUNDRED:
        fix = "change the canary's percent: stable gets the rest"
        yield Violation(found=f"traffic {listed} = {sum(shares.values())}", right="stable 90 + canary 10 = 100", fix=fix)
    if len(shares) == 1 and not {*shares.values()} <= {0, HUNDRED}:
        fix = "set the traffic of a single predictor to 100"
        yield Violation(found=f"traffic {listed}, and no predictor for the rest", right="stable 100", fix=fix)


def _one_shadow_beside_another_predictor(predictors: list[Predictor]) -> Iterator[Violation]:
    shadows = [predictor["name"] for predictor in predictors if predictor.get("shadow")]
    if len(shadows) > 1:
        yield Violation(found=f"shadows {' and '.join(shadows)}", right="one shadow", fix="remove all shadows but one")
    if shadows and len(shadows) == len(predictors):
        fix = "add a stable release to the endpoint; the shadow gets copies of its requests"
        yield Violation(found=f"the shadow {shadows[0]} and no predictor that answers", right="stable and a shadow", fix=fix)


def _share_is_a_percentage(predictor: Predictor) -> Iterator[Violation]:
    share = predictor.get("traffic", 0)
    if not 0 <= share <= HUNDRED:
        fix = "change the canary's percent"
        yield Violation(found=f"traffic {share} of predictor {predictor['name']}", right="0 to 100, for example 10", fix=fix)


def _several_steps_have_an_engine(predictor: Predictor) -> Iterator[Violation]:
    steps = [step["name"] for step in _steps(predictor["graph"])]
    if NO_ENGINE in predictor.get("annotations", {}) and len(steps) > 1:  # the webhook ignores the annotation's value, too
        found = f"predictor {predictor['name']} without an engine for the steps {', '.join(steps)}"
        yield Violation(found=found, right="one step", fix=f"remove the annotation {NO_ENGINE}")


def _steps_can_run(predictor: Predictor) -> Iterator[Violation]:
    containers = {
        container["name"] for component in predictor["componentSpecs"] for container in component["spec"]["containers"]
    }
    for step in _steps(predictor["graph"]):
        where = f"step {step['name']} of predictor {predictor['name']}"
        server = step.get("implementation", "UNKNOWN_IMPLEMENTATION")
        if server == "UNKNOWN_IMPLEMENTATION" and step["name"] not in containers:
            fix = "give the step the name of its container, or an implementation"
            yield Violation(found=f"{where} has no container of that name", right="model, with a container model", fix=fix)
        if server not in _BUILT_IN and not step.get("modelUri"):
            fix = "give the step a modelUri, or a container instead of the prepackaged server"
            yield Violation(found=f"{where} is a {server} without a modelUri", right="gs://models/markdown/3", fix=fix)


def _names_fit(name: str, predictor: Predictor) -> Iterator[Violation]:
    for object_name in operator_names(name, predictor):
        if len(object_name) > LONGEST_NAME:
            found = f"{object_name}, a name that the operator would use, has {len(object_name)} characters"
            yield Violation(found=found, right=f"at most {LONGEST_NAME}", fix="give the workload a shorter name")


def operator_names(name: str, predictor: Predictor) -> list[str]:
    """Returns the names of the Services and Deployments that the operator creates for a predictor of deployment `name`."""
    base = f"{name}-{predictor['name']}"
    pods = [[container["name"] for container in component["spec"]["containers"]] for component in predictor["componentSpecs"]]
    services = [f"{base}-{container}" for containers in pods for container in containers]
    return [base, *services, *(f"{base}-{index}-{'-'.join(containers)}" for index, containers in enumerate(pods))]


def _steps(graph: Graph) -> Iterator[Graph]:
    yield graph
    for child in graph["children"]:
        yield from _steps(child)


_RULES: Final[tuple[Callable[[list[Predictor]], Iterator[Violation]], ...]] = (
    _predictor_exists,
    _names_differ,
    _shares_sum_to_hundred,
    _one_shadow_beside_another_predictor,
)
_PREDICTOR_RULES: Final[tuple[Callable[[Predictor], Iterator[Violation]], ...]] = (
    _share_is_a_percentage,
    _several_steps_have_an_engine,
    _steps_can_run,
)
