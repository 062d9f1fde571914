"""What Seldon's webhook refuses, found before anything is sent: a preview has no webhook to ask."""

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
"""Of a Service, and of a label's value. The operator gives what would be longer a hash for a name, which nobody finds."""
_BUILT_IN: Final = frozenset({"UNKNOWN_IMPLEMENTATION", "SIMPLE_MODEL", "SIMPLE_ROUTER", "RANDOM_ABTEST", "AVERAGE_COMBINER"})
"""Implementations that load no model. Any other name is that of a prepackaged server."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One rule that a spec breaks."""

    found: str
    right: str
    """For example."""
    fix: str

    def __str__(self) -> str:
        return f"  found: {self.found}\n  right: {self.right}\n  do:    {self.fix}"


def check(name: str, spec: Spec) -> None:
    """Refuses what the webhook would.

    Raises:
        ValueError: names what is wrong with the SeldonDeployment `name`, and how it would be right.
    """
    if found := violations(name, spec):
        raise ValueError("\n".join([f"Seldon would refuse the SeldonDeployment {name}", *map(str, found)]))


def violations(name: str, spec: Spec) -> list[Violation]:
    """Every rule that the spec of the SeldonDeployment `name` breaks."""
    predictors = spec["predictors"]
    whole = [violation for rule in _RULES for violation in rule(predictors)]
    each = [violation for predictor in predictors for rule in _PREDICTOR_RULES for violation in rule(predictor)]
    return [*whole, *each, *(violation for predictor in predictors for violation in _names_fit(name, predictor))]


def _there_is_one(predictors: list[Predictor]) -> Iterator[Violation]:
    if not predictors:
        yield Violation(found="no predictor", right="a predictor named stable", fix="give the endpoint a stable release")


def _names_differ(predictors: list[Predictor]) -> Iterator[Violation]:
    for name, times in Counter(predictor["name"] for predictor in predictors).items():
        if times > 1:
            yield Violation(found=f"{times} predictors named {name}", right="stable and canary", fix="name them differently")


def _shares_are_whole(predictors: list[Predictor]) -> Iterator[Violation]:
    shares = {predictor["name"]: predictor.get("traffic", 0) for predictor in predictors if not predictor.get("shadow")}
    listed = " + ".join(f"{name} {share}" for name, share in shares.items())
    if len(shares) > 1 and sum(shares.values()) != HUNDRED:
        fix = "change the canary's percent: stable gets the rest"
        yield Violation(found=f"traffic {listed} = {sum(shares.values())}", right="stable 90 + canary 10 = 100", fix=fix)
    if len(shares) == 1 and not {*shares.values()} <= {0, HUNDRED}:
        fix = "leave the traffic of what answers alone at 100"
        yield Violation(found=f"traffic {listed}, and nothing for the rest", right="stable 100", fix=fix)


def _one_shadow_of_something(predictors: list[Predictor]) -> Iterator[Violation]:
    shadows = [predictor["name"] for predictor in predictors if predictor.get("shadow")]
    if len(shadows) > 1:
        yield Violation(found=f"shadows {' and '.join(shadows)}", right="one shadow", fix="take one away")
    if shadows and len(shadows) == len(predictors):
        fix = "give the endpoint a stable release, whose requests are copied"
        yield Violation(found=f"the shadow {shadows[0]} and nothing that answers", right="stable, and a shadow", fix=fix)


def _share_is_a_percentage(predictor: Predictor) -> Iterator[Violation]:
    share = predictor.get("traffic", 0)
    if not 0 <= share <= HUNDRED:
        fix = "change the canary's percent"
        yield Violation(found=f"traffic {share} of predictor {predictor['name']}", right="0 to 100, for example 10", fix=fix)


def _engine_where_needed(predictor: Predictor) -> Iterator[Violation]:
    steps = [step["name"] for step in _steps(predictor["graph"])]
    if NO_ENGINE in predictor.get("annotations", {}) and len(steps) > 1:  # whatever its value: so the webhook has it
        where = f"predictor {predictor['name']} without an engine for the steps {', '.join(steps)}"
        yield Violation(found=where, right="one step", fix=f"take the annotation {NO_ENGINE} away")


def _steps_can_run(predictor: Predictor) -> Iterator[Violation]:
    containers = {
        container["name"] for component in predictor["componentSpecs"] for container in component["spec"]["containers"]
    }
    for step in _steps(predictor["graph"]):
        where = f"step {step['name']} of predictor {predictor['name']}"
        server = step.get("implementation", "UNKNOWN_IMPLEMENTATION")
        if server == "UNKNOWN_IMPLEMENTATION" and step["name"] not in containers:
            fix = "name the step as its container, or give it an implementation"
            yield Violation(found=f"{where} has no container of that name", right="model, with a container model", fix=fix)
        if server not in _BUILT_IN and not step.get("modelUri"):
            fix = "give it a modelUri, or a container instead of the prepackaged server"
            yield Violation(found=f"{where} is a {server} without a modelUri", right="gs://models/markdown/3", fix=fix)


def _names_fit(name: str, predictor: Predictor) -> Iterator[Violation]:
    for made in made_by_operator(name, predictor):
        if len(made) > LONGEST_NAME:
            found = f"{made}, which the operator would make, has {len(made)} characters"
            yield Violation(found=found, right=f"at most {LONGEST_NAME}", fix="give the workload a shorter name")


def made_by_operator(name: str, predictor: Predictor) -> list[str]:
    """Names of the Services and Deployments that come of a predictor of the SeldonDeployment `name`."""
    base = f"{name}-{predictor['name']}"
    pods = [[container["name"] for container in component["spec"]["containers"]] for component in predictor["componentSpecs"]]
    services = [f"{base}-{container}" for containers in pods for container in containers]
    return [base, *services, *(f"{base}-{index}-{'-'.join(containers)}" for index, containers in enumerate(pods))]


def _steps(graph: Graph) -> Iterator[Graph]:
    yield graph
    for child in graph["children"]:
        yield from _steps(child)


_RULES: Final[tuple[Callable[[list[Predictor]], Iterator[Violation]], ...]] = (
    _there_is_one,
    _names_differ,
    _shares_are_whole,
    _one_shadow_of_something,
)
_PREDICTOR_RULES: Final[tuple[Callable[[Predictor], Iterator[Violation]], ...]] = (
    _share_is_a_percentage,
    _engine_where_needed,
    _steps_can_run,
)
