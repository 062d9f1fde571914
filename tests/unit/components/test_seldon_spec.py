"""The spec of the SeldonDeployment of an endpoint, and the rules of Seldon's webhook."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.serving import seldon_rules
from components.serving.endpoint import CanaryVariant, EndpointArgs
from components.serving.seldon_spec import camel, spec
from components.serving.variant import Capacity, ServedRelease

IMAGE = "localhost:5000/markdown-serving@sha256:"
STABLE = ServedRelease(image=IMAGE + "9f" * 32, version=3, run="0f" * 16)
NEXT = ServedRelease(image=IMAGE + "8e" * 32, version=4, run="1e" * 16)
CAPACITY = Capacity(cpu="100m", memory="384Mi", cpu_limit="1", workers=2, min_replicas=1, max_replicas=2, target_cpu_percent=70)
LONGEST = "a" * 40
"""A name of the maximum length for workloads (workloads/declaration.py)."""

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
served = st.builds(
    ServedRelease,
    image=digests.map(lambda digest: IMAGE + digest),
    version=st.integers(1, 10**6),
    run=digests.map(lambda run: run[:32]),
)
replicas = st.tuples(st.integers(1, 20), st.integers(0, 20))
capacities = st.builds(
    lambda cpu_limit, workers, replicas, target: replace(
        CAPACITY,
        cpu_limit=cpu_limit,
        workers=workers,
        min_replicas=replicas[0],
        max_replicas=sum(replicas),
        target_cpu_percent=target,
    ),
    st.sampled_from([None, "1", "1500m"]),
    st.integers(1, 16),
    replicas,
    st.integers(10, 100),
)
endpoints = st.builds(
    EndpointArgs,
    namespace=st.just("serving"),
    router_image=st.just("unused"),
    capacity=capacities,
    stable=served,
    canary=st.none() | st.builds(CanaryVariant, served=served, percent=st.integers(0, 100)),
    shadow=st.none() | served,
)
workloads = st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)


def args(**changes):
    return EndpointArgs(namespace="serving", router_image="unused", capacity=CAPACITY, stable=STABLE, **changes)


def predictors(**changes):
    return {predictor["name"]: predictor for predictor in spec("markdown", args(**changes))["predictors"]}


@given(workloads, endpoints)
def test_the_webhook_accepts_the_spec_of_every_endpoint(name, endpoint):
    assert seldon_rules.violations(name, spec(name, endpoint)) == []


@given(workloads, endpoints)
def test_every_spec_is_json_with_the_field_names_of_the_api(name, endpoint):
    def keys(value):
        match value:
            case dict():
                return [*value, *(key for item in value.values() for key in keys(item))]
            case list():
                return [key for item in value for key in keys(item)]
            case _:
                return []

    text = json.dumps(spec(name, endpoint))
    assert not [key for key in keys(json.loads(text)) if "_" in key], "the API silently drops unknown fields"


@given(endpoints)
def test_the_number_of_replicas_is_either_fixed_or_set_by_the_autoscaler(endpoint):
    for predictor in spec("markdown", endpoint)["predictors"]:
        (component,) = predictor["componentSpecs"]
        assert ("replicas" in component) != ("hpaSpec" in component), "each would undo the other's changes"
        assert ("hpaSpec" in component) == endpoint.capacity.scaled
        assert "replicas" not in predictor


@given(endpoints)
def test_one_disruption_budget_covers_all_pods(endpoint):
    budgets = [
        predictor["name"]
        for predictor in spec("markdown", endpoint)["predictors"]
        for component in predictor["componentSpecs"]
        if "pdbSpec" in component
    ]
    assert budgets == ["stable"], "the operator's budget covers all predictors, and pods with two cannot be evicted"


def test_traffic_is_split_between_stable_and_canary_and_copied_to_the_shadow():
    all_roles = predictors(canary=CanaryVariant(served=NEXT, percent=10), shadow=NEXT)
    assert {name: (one["traffic"], one.get("shadow", False)) for name, one in all_roles.items()} == {
        "stable": (90, False),
        "canary": (10, False),
        "shadow": (100, True),
    }
    assert {name: one["traffic"] for name, one in predictors().items()} == {"stable": 100}


@pytest.mark.parametrize(("percent", "shares"), [(0, (100, 0)), (100, (0, 100))])
def test_both_predictors_exist_if_one_of_them_gets_all_requests(percent, shares):
    both = predictors(canary=CanaryVariant(served=NEXT, percent=percent))
    assert (both["stable"]["traffic"], both["canary"]["traffic"]) == shares


def test_the_container_meets_the_pod_security_standard_although_the_operator_drops_the_pod_s_security_context():
    (container,) = predictors()["stable"]["componentSpecs"][0]["spec"]["containers"]
    security = container["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == 10001, "the operator's context has another user, who owns no file of the image"
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["readOnlyRootFilesystem"] is True


def test_the_container_is_the_same_as_that_of_the_deployment_engine():
    (container,) = predictors()["stable"]["componentSpecs"][0]["spec"]["containers"]
    assert container["image"] == STABLE.image
    assert [(port["name"], port["containerPort"]) for port in container["ports"]] == [
        ("http", 9000),
        ("metrics", 6000),
        ("recorded", 6001),
    ], "the operator uses ports with these names, and adds its own ports if they are missing"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/status"
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]
    assert container["resources"]["requests"]["ephemeral-storage"] == "64Mi"
    assert {"name": "GUNICORN_WORKERS", "value": "2"} in container["env"]


def test_the_graph_is_one_model_without_an_orchestrator():
    predictor = predictors()["stable"]
    assert predictor["graph"] == {"name": "model", "type": "MODEL", "children": []}
    assert predictor["annotations"]["seldon.io/no-engine"] == "true"


def test_the_timeout_of_a_hanging_worker_equals_the_time_in_which_a_pod_finishes_its_requests():
    assert spec("markdown", args())["annotations"] == {"seldon.io/rest-timeout": "30000"}, "the default is 5,000 s"


def test_labels_and_annotations_identify_the_release():
    predictor = predictors(canary=CanaryVariant(served=NEXT, percent=10))["canary"]
    assert predictor["labels"]["modelstack.dev/workload"] == "markdown"
    assert predictor["labels"]["modelstack.dev/role"] == "canary"
    assert predictor["labels"]["modelstack.dev/version"] == "4"
    assert predictor["annotations"]["modelstack.dev/run"] == NEXT.run


def test_a_new_version_does_not_change_the_route_to_its_variant():
    before, after = predictors(), {one["name"]: one for one in spec("markdown", replace(args(), stable=NEXT))["predictors"]}
    assert before["stable"]["labels"]["version"] == after["stable"]["labels"]["version"] == "stable", (
        "Istio's route selects pods by this label: it would lead nowhere until the first pod of the next version is ready"
    )


def test_the_autoscaler_uses_the_cpu_metric():
    scaler = predictors()["stable"]["componentSpecs"][0]["hpaSpec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (1, 2)
    assert scaler["metricsv2"] == [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
    ]


def test_the_operator_s_names_for_the_longest_workload_fit():
    longest = spec(LONGEST, args(canary=CanaryVariant(served=NEXT, percent=10), shadow=NEXT))
    names = [name for predictor in longest["predictors"] for name in seldon_rules.operator_names(LONGEST, predictor)]
    assert f"{LONGEST}-canary-0-model" in names, "the name that the operator gives a Deployment"
    assert f"{LONGEST}-canary-model" in names, "the name that the operator gives the Service of a container"
    assert max(map(len, names)) <= 63


@pytest.mark.parametrize(
    ("snake_case", "camel_case"),
    [
        ({"run_as_user": 1}, {"runAsUser": 1}),
        ({"exec_": {"command": ["a_b"]}}, {"exec": {"command": ["a_b"]}}),
        ([{"pre_stop": None}], [{"preStop": None}]),
        ({"modelstack.dev/run": "a", "ephemeral-storage": "1Mi"}, {"modelstack.dev/run": "a", "ephemeral-storage": "1Mi"}),
    ],
)
def test_only_field_names_are_converted(snake_case, camel_case):
    assert camel(snake_case) == camel_case


def predictor(name="stable", **changes):
    """A minimal predictor."""
    model = {"name": "model", "type": "MODEL", "children": []}
    return {"name": name, "graph": model, "componentSpecs": [{"spec": {"containers": [{"name": "model"}]}}]} | changes


def step(name, *children, **changes):
    return {"name": name, "type": "MODEL", "children": [*children]} | changes


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ([], "no predictor"),
        ([predictor(traffic=50), predictor(traffic=50)], "2 predictors named stable"),
        ([predictor(traffic=80), predictor("canary", traffic=10)], "traffic stable 80 + canary 10 = 90"),
        ([predictor(), predictor("canary")], "traffic stable 0 + canary 0 = 0"),
        ([predictor(traffic=80)], "traffic stable 80, and no predictor for the rest"),
        ([predictor(traffic=80), predictor("shadow", shadow=True)], "traffic stable 80, and no predictor for the rest"),
        ([predictor(traffic=-1), predictor("canary", traffic=101)], "traffic 101 of predictor canary"),
        ([predictor(), predictor("shadow", shadow=True, traffic=101)], "traffic 101 of predictor shadow"),
        ([predictor("shadow", shadow=True)], "the shadow shadow and no predictor that answers"),
        ([predictor(), *(predictor(name, shadow=True) for name in ("a", "b"))], "shadows a and b"),
        (
            [predictor(graph=step("model", implementation="SKLEARN_SERVER"))],
            "step model of predictor stable is a SKLEARN_SERVER without a modelUri",
        ),
        ([predictor(graph=step("other"))], "step other of predictor stable has no container of that name"),
        ([predictor(graph=step("model", step("other")))], "step other of predictor stable has no container"),
        (
            [predictor(graph=step("model", step("model")), annotations={"seldon.io/no-engine": "true"})],
            "predictor stable without an engine for the steps model, model",
        ),
    ],
)
def test_each_rule_of_the_webhook_is_checked(written, expected):
    (first, *_) = seldon_rules.violations("markdown", {"predictors": written})
    found = [violation.found for violation in seldon_rules.violations("markdown", {"predictors": written})]
    assert any(expected in one for one in found), found
    assert first.right, "a violation has an example of a valid value"
    assert first.fix, "a violation has a fix"


@pytest.mark.parametrize(
    "written",
    [
        [predictor()],
        [predictor(traffic=100)],
        [predictor(traffic=0), predictor("canary", traffic=100)],
        [predictor(), predictor("shadow", shadow=True)],
        [predictor(traffic=90), predictor("canary", traffic=10), predictor("shadow", shadow=True, traffic=50)],
        [predictor(graph=step("sklearn", implementation="SKLEARN_SERVER", modelUri="gs://models/3"))],
        [predictor(graph=step("split", step("model"), implementation="RANDOM_ABTEST"))],
    ],
)
def test_a_spec_that_the_webhook_accepts_has_no_violation(written):
    assert seldon_rules.violations("markdown", {"predictors": written}) == []


def test_a_name_that_the_operator_would_replace_with_a_hash_is_a_violation():
    written = {"predictors": [predictor("a-predictor-with-a-long-name")]}
    assert seldon_rules.violations("b" * 26, written) == []
    (violation,) = seldon_rules.violations("b" * 27, written)
    assert violation.found.startswith("bbb")
    assert "has 64 characters" in violation.found


def test_an_error_contains_the_value_found_a_valid_example_and_the_fix():
    refusal = (
        "Seldon would refuse the SeldonDeployment markdown\n"
        "  found: traffic stable 80 + canary 10 = 90\n"
        "  right: stable 90 + canary 10 = 100\n"
        "  do:    change the canary's percent: stable gets the rest"
    )
    with pytest.raises(ValueError, match=re.escape(refusal)):
        seldon_rules.check("markdown", {"predictors": [predictor(traffic=80), predictor("canary", traffic=10)]})
