"""Declarations: what is refused, and what a gate finds."""

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
from workloads.declaration import Approver, Workload, approvers_of
from workloads.gate import Age, Gate, Regression, Rule
from workloads.markdown import weeks
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


def test_a_bound_may_be_a_floor():
    gate = Gate(rules=(Rule(metric="weeks", at_least=12),))
    assert [gate.check({"weeks": weeks})[0].passed for weeks in (11, 12, 13)] == [False, True, True]
    assert str(gate.check({"weeks": 11})[0]) == "weeks >= 12: found 11, bound 12", "a finding says what was asked and found"


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
def test_a_regression_is_measured_against_what_is_stable(metrics, stable, passed):
    (finding,) = Gate(rules=(Regression(metric="wape", at_most=1.02),)).check(metrics, stable)
    assert finding.passed == passed, str(finding)


@pytest.mark.parametrize(
    ("age", "passed", "says"),
    [
        (0, True, "found 0, bound 90"),
        (90, True, "found 90, bound 90"),
        (91, False, "found 91, bound 90"),
        (120, False, "found 120, bound 90"),
        (-1, False, "found -1, bound 90 (a day that is yet to come)"),
        (None, False, "found nothing, bound 90 (the evidence does not say of which day its data is)"),
    ],
)
def test_the_data_of_what_comes_new_may_be_so_old(age, passed, says):
    (finding,) = Gate(rules=(Age(at_most_days=90),)).check({}, age=age)
    assert (finding.passed, str(finding)) == (passed, f"age of the data <= 90 days: {says}")


@pytest.mark.parametrize("age", [0, 120, -1, None])
def test_the_data_of_what_is_served_may_be_of_any_age_which_is_told(age):
    gate = Gate(rules=(Age(at_most_days=90), Rule(metric="wape", at_most=0.42)))
    finding, other = gate.check({"wape": 0.5}, age=age, served=True)
    assert (finding.passed, finding.value, finding.bound) == (True, age, 90)
    assert finding.note == "served here already: not asked again"
    assert not other.passed, "all else is asked of what is served as well"


@pytest.mark.parametrize("days", [-1, 0.5, None])
def test_a_bound_on_the_age_is_a_number_of_days(days):
    with pytest.raises(ValidationError, match="at_most_days"):
        Age(at_most_days=days)


def test_a_gate_survives_being_written_and_read():
    gate = Gate(rules=(Rule(metric="wape", at_most=0.42), Regression(metric="wape", at_most=1.02), Age(at_most_days=90)))
    assert Gate.model_validate_json(gate.model_dump_json()) == gate


def test_approvers_are_read_from_the_workloads_folder(tmp_path):
    assert approvers_of(tmp_path) == (), "a workload that nobody may approve stays where it needs no approval"
    approver = Approver(name="a@example.com", key="A" * 43 + "=", revoked="left the company")
    (tmp_path / "approvers.json").write_text(f"[{approver.model_dump_json()}]")
    assert approvers_of(tmp_path) == (approver,)
    (tmp_path / "approvers.json").write_text('[{"name": "a@example.com", "key": "short"}]')
    with pytest.raises(ValidationError, match="key"):
        approvers_of(tmp_path)


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


def test_every_step_of_every_workload_is_a_function_that_there_is():
    for workload in WORKLOADS.values():
        for step in workload.steps:
            module, _, name = step.run.partition(":")
            tree = ast.parse((CHECKOUT / module.replace(".", "/")).with_suffix(".py").read_text())
            functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert name in functions, f"{workload.name}: step {step.name} would fail once the steps before it have run"


def test_a_second_workload_is_known_to_workloads_alone():
    """Adding one touches `workloads/` only: nothing else that runs may know it by name."""
    sources = [file for folder in ("components", "delivery", "infra", "local") for file in (CHECKOUT / folder).rglob("*")]
    sources += [CHECKOUT / "__main__.py", CHECKOUT / "Makefile", CHECKOUT / "pyproject.toml", *STACK_FILES.iterdir()]
    texts = {file: file.read_bytes() for file in sources if file.is_file() and "__pycache__" not in file.parts}
    assert len(texts) > 100, "the sources are where this test looks for them"
    second = [name for name in WORKLOADS if name != MARKDOWN.name]
    assert second
    found = {
        f"{file.name}: {name}" for file, text in texts.items() for name in second if re.search(rb"\b%s\b" % name.encode(), text)
    }
    assert found == set()


def test_the_panel_of_markdown_ends_when_the_chain_s_week_160_does():
    first_week_ends = date(1989, 9, 20)
    assert MARKDOWN.source.until == first_week_ends + timedelta(weeks=max(weeks.BACKTEST) - 1)


def test_declarations_import_without_the_training_environment_or_pulumi():
    heavy = ("pandas", "numpy", "pyspark", "sklearn", "mlflow", "pulumi")
    program = f"import sys, workloads.catalogue; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "the command and the program read declarations where these are not installed"


@pytest.mark.parametrize(
    "beyond",
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
def test_each_bound_of_markdown_s_gate_refuses_what_is_beyond_it(beyond: dict[str, float]):
    assert all(finding.passed for finding in MARKDOWN.gate.check(METRICS)), "what the tests release passes"
    failed = [finding.rule for finding in MARKDOWN.gate.check(METRICS | beyond) if not finding.passed]
    assert len(failed) == 1
    assert next(iter(beyond)) in failed[0]
