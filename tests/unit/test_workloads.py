"""Declarations: what is refused, and what a gate finds."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from pydantic import ValidationError

from workloads.catalogue import WORKLOADS, UnknownWorkloadError, get
from workloads.declaration import Gate, Rule, Workload
from workloads.markdown.workload import MARKDOWN

GATE = Gate(rules=(Rule(metric="wape", at_most=0.42), Rule(metric="wape", at_most=0.5, of="wape_last_week")))


def test_a_gate_passes_what_is_within_every_bound():
    findings = GATE.check({"wape": 0.4, "wape_last_week": 0.8})
    assert [(f.rule, f.value, f.bound, f.passed) for f in findings] == [
        ("wape <= 0.42", 0.4, 0.42, True),
        ("wape <= 0.5 x wape_last_week", 0.4, 0.4, True),
    ], "a bound is reached inclusively, and a relative bound is the product"


@pytest.mark.parametrize(
    ("metrics", "passed"),
    [
        ({"wape": 0.43, "wape_last_week": 0.8}, [False, False]),
        ({"wape": 0.41, "wape_last_week": 0.8}, [True, False]),
        ({"wape": 0.4}, [True, False]),
        ({}, [False, False]),
        ({"wape": math.nan, "wape_last_week": 0.8}, [False, False]),
        ({"wape": 0.4, "wape_last_week": math.inf}, [True, False]),
    ],
)
def test_a_gate_fails_what_is_above_a_bound_missing_or_not_a_number(metrics: dict[str, float], passed: list[bool]):
    assert [f.passed for f in GATE.check(metrics)] == passed, "no evidence is no pass"


def test_a_declaration_cannot_be_changed_and_takes_no_unknown_key():
    with pytest.raises(ValidationError, match="frozen"):
        MARKDOWN.owner = "someone else"  # pyright: ignore[reportAttributeAccessIssue]  # the point of the test
    with pytest.raises(ValidationError, match="Extra inputs"):
        Rule.model_validate({"metric": "wape", "atmost": 0.4, "at_most": 0.4})


@pytest.mark.parametrize("name", ["Markdown", "1st", "under_score", "ends-", "", "x" * 41])
def test_a_workload_name_that_kubernetes_would_refuse_is_refused_here(name: str):
    with pytest.raises(ValidationError, match="name"):
        Workload.model_validate(MARKDOWN.model_dump() | {"name": name})


def test_two_steps_of_one_name_are_refused():
    data = MARKDOWN.model_dump()
    with pytest.raises(ValidationError, match="two steps have the same name: source"):
        Workload.model_validate(data | {"steps": [data["steps"][0], data["steps"][0]]})


def test_the_catalogue_answers_an_unknown_name_with_those_there_are():
    assert get("markdown") is MARKDOWN
    with pytest.raises(UnknownWorkloadError, match=r"no workload 'markdwon'; there are: .*markdown"):
        get("markdwon")
    assert all(name == workload.name for name, workload in WORKLOADS.items()), "the key is the name"


def test_declarations_import_without_the_training_environment_or_pulumi():
    heavy = ("pandas", "numpy", "pyspark", "sklearn", "mlflow", "pulumi")
    program = f"import sys, workloads.catalogue; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "the command and the program read declarations where these are not installed"
