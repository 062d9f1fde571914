"""Declarations: values that are refused, and findings of gates."""

from __future__ import annotations

import ast
import math
import re
import subprocess
import sys
from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from tests.checkout import CHECKOUT, STACK_FILES
from tests.releases import METRICS
from workloads.catalogue import WORKLOADS, UnknownWorkloadError, get
from workloads.declaration import Approver, Workload, read_approvers
from workloads.gate import Age, Gate, Regression, Rule
from workloads.markdown import weeks
from workloads.markdown.workload import MARKDOWN

GATE = Gate(rules=(Rule(metric="wape", at_most=0.42), Rule(metric="wape", at_most=0.5, of="wape_last_week")))


def test_a_gate_passes_metrics_within_every_bound():
    findings = GATE.check({"wape": 0.4, "wape_last_week": 0.8})
    assert [(f.rule, f.value, f.bound, f.passed) for f in findings] == [
        ("wape <= 0.42", 0.4, 0.42, True),
        ("wape <= 0.5 x wape_last_week", 0.4, 0.4, True),
    ], "a metric equal to its bound passes, and a relative bound is a product"


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
def test_a_gate_fails_metrics_that_are_above_a_bound_missing_or_not_finite(metrics: dict[str, float], passed: list[bool]):
    assert [f.passed for f in GATE.check(metrics)] == passed, "a rule without its metric fails"


def test_a_bound_can_be_a_minimum():
    gate = Gate(rules=(Rule(metric="weeks", at_least=12),))
    assert [gate.check({"weeks": weeks})[0].passed for weeks in (11, 12, 13)] == [False, True, True]
    assert str(gate.check({"weeks": 11})[0]) == "weeks >= 12: found 11, bound 12", (
        "a finding shows the rule, the value and the bound"
    )


@pytest.mark.parametrize("bounds", [{}, {"at_most": 1.0, "at_least": 0.5}])
def test_a_rule_has_exactly_one_bound(bounds):
    with pytest.raises(ValidationError, match="one bound"):
        Rule(metric="wape", **bounds)


@pytest.mark.parametrize(
    ("metrics", "stable", "passed"),
    [
        ({"wape": 0.408}, {"wape": 0.4}, True),
        ({"wape": 0.409}, {"wape": 0.4}, False),
        ({"wape": 0.9}, None, True),
        ({"wape": 0.9}, {}, True),
        ({"wape": 0.9}, {"wape": math.nan}, True),
        ({}, None, False),
        ({"wape": math.nan}, {"wape": 0.4}, False),
    ],
)
def test_a_regression_is_measured_against_the_stable_version(metrics, stable, passed):
    (finding,) = Gate(rules=(Regression(metric="wape", at_most=1.02),)).check(metrics, stable)
    assert finding.passed == passed, str(finding)


@pytest.mark.parametrize(
    ("age", "passed", "text"),
    [
        (0, True, "found 0, bound 90"),
        (90, True, "found 90, bound 90"),
        (91, False, "found 91, bound 90"),
        (120, False, "found 120, bound 90"),
        (-1, False, "found -1, bound 90 (a day in the future)"),
        (None, False, "found nothing, bound 90 (the evidence does not state the last day of its data)"),
    ],
)
def test_the_age_of_the_data_is_bounded_for_a_version_that_is_new_to_the_environment(age, passed, text):
    (finding,) = Gate(rules=(Age(at_most_days=90),)).check({}, age=age)
    assert (finding.passed, str(finding)) == (passed, f"age of the data <= 90 days: {text}")


@pytest.mark.parametrize("age", [0, 120, -1, None])
def test_the_age_of_the_data_is_reported_but_not_bounded_for_a_version_that_is_already_served(age):
    gate = Gate(rules=(Age(at_most_days=90), Rule(metric="wape", at_most=0.42)))
    finding, other = gate.check({"wape": 0.5}, age=age, served=True)
    assert (finding.passed, finding.value, finding.bound) == (True, age, 90)
    assert finding.note == "already served here: not checked again"
    assert not other.passed, "all other rules are checked for served versions as well"


@pytest.mark.parametrize("days", [-1, 0.5, None])
def test_a_bound_on_the_age_is_a_number_of_days(days):
    with pytest.raises(ValidationError, match="at_most_days"):
        Age(at_most_days=days)


def test_a_gate_round_trips_through_json():
    gate = Gate(rules=(Rule(metric="wape", at_most=0.42), Regression(metric="wape", at_most=1.02), Age(at_most_days=90)))
    assert Gate.model_validate_json(gate.model_dump_json()) == gate


def test_approvers_are_read_from_the_workloads_folder(tmp_path):
    assert read_approvers(tmp_path) == (), "without the file, nobody may approve releases of the workload"
    approver = Approver(name="a@example.com", key="A" * 43 + "=", revoked="left the company")
    (tmp_path / "approvers.json").write_text(f"[{approver.model_dump_json()}]")
    assert read_approvers(tmp_path) == (approver,)
    (tmp_path / "approvers.json").write_text('[{"name": "a@example.com", "key": "short"}]')
    with pytest.raises(ValidationError, match="key"):
        read_approvers(tmp_path)


def test_a_declaration_is_frozen_and_refuses_unknown_keys():
    with pytest.raises(ValidationError, match="frozen"):
        MARKDOWN.owner = "someone else"  # pyright: ignore[reportAttributeAccessIssue]  # the point of the test
    with pytest.raises(ValidationError, match="Extra inputs"):
        Rule.model_validate({"metric": "wape", "atmost": 0.4, "at_most": 0.4})


@pytest.mark.parametrize("name", ["Markdown", "1st", "under_score", "ends-", "", "x" * 41])
def test_a_workload_name_that_kubernetes_would_refuse_is_refused_here(name: str):
    with pytest.raises(ValidationError, match="name"):
        Workload.model_validate(MARKDOWN.model_dump() | {"name": name})


def test_two_steps_with_the_same_name_are_refused():
    data = MARKDOWN.model_dump()
    with pytest.raises(ValidationError, match="two steps have the same name: source"):
        Workload.model_validate(data | {"steps": [data["steps"][0], data["steps"][0]]})


def test_the_error_for_an_unknown_workload_lists_the_existing_ones():
    assert get("markdown") is MARKDOWN
    with pytest.raises(UnknownWorkloadError, match=r"no workload 'markdwon'; there are: .*markdown"):
        get("markdwon")
    assert all(name == workload.name for name, workload in WORKLOADS.items()), "the key is the name"


def test_every_step_of_every_workload_names_an_existing_function():
    for workload in WORKLOADS.values():
        for step in workload.steps:
            module, _, name = step.run.partition(":")
            tree = ast.parse((CHECKOUT / module.replace(".", "/")).with_suffix(".py").read_text())
            functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert name in functions, f"{workload.name}: step {step.name} would fail once the steps before it have run"


def test_no_code_outside_workloads_names_the_second_workload():
    """Adding a workload changes `workloads/` only, so no other code may contain its name."""
    sources = [file for folder in ("components", "delivery", "infra", "local") for file in (CHECKOUT / folder).rglob("*")]
    sources += [CHECKOUT / "__main__.py", CHECKOUT / "Makefile", CHECKOUT / "pyproject.toml", *STACK_FILES.iterdir()]
    texts = {file: file.read_bytes() for file in sources if file.is_file() and "__pycache__" not in file.parts}
    assert len(texts) > 100, "this test must find the sources that it reads"
    second = [name for name in WORKLOADS if name != MARKDOWN.name]
    assert second
    found = {
        f"{file.name}: {name}" for file, text in texts.items() for name in second if re.search(rb"\b%s\b" % name.encode(), text)
    }
    assert found == set()


def test_the_last_day_of_markdown_s_data_is_the_end_of_the_chain_s_week_160():
    first_week_ends = date(1989, 9, 20)
    assert MARKDOWN.source.until == first_week_ends + timedelta(weeks=max(weeks.BACKTEST) - 1)


def test_declarations_import_no_training_package_and_no_pulumi():
    heavy = ("pandas", "numpy", "pyspark", "sklearn", "mlflow", "pulumi")
    program = f"import sys, workloads.catalogue; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", (
        "the command and the Pulumi program read declarations in environments without these packages"
    )


@pytest.mark.parametrize(
    "failing",
    [
        {"wape": 0.43},
        {"wape_mean8": 0.45},
        {"wape_last_week": 0.55},
        {"wape_worst_brand": 0.8},
        {"wape_worst_store": 0.75},
        {"bias": -0.21},
        {"bias": 0.11},
        {"weeks": 11},
    ],
)
def test_each_bound_of_markdown_s_gate_refuses_a_metric_beyond_it(failing: dict[str, float]):
    assert all(finding.passed for finding in MARKDOWN.gate.check(METRICS)), "the metrics of the tests' releases pass"
    failed = [finding.rule for finding in MARKDOWN.gate.check(METRICS | failing) if not finding.passed]
    assert len(failed) == 1
    assert next(iter(failing)) in failed[0]
