"""The verdict on a canary: passed, failed or undecided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from delivery.trials.figures import Reading
from delivery.trials.verdict import Watch, WatchOutcome
from tests.canaries import counters
from workloads.canary import CanaryRule, CanaryRules
from workloads.markdown.workload import MARKDOWN

RULES = CanaryRules(seconds=60, min_requests=100)
GOOD = {"answers": [100.0, 200.0] * 25}


class Simulation:
    """Two variants whose counters grow by the same amount with each sample, and a clock that advances during sleep."""

    def __init__(self, stable=None, canary=None, rules=RULES):
        self.per_sample = {"stable": stable or GOOD, "canary": canary or GOOD}
        self.now, self.samples, self.shown = 0.0, 0, []
        self.rules = rules

    def sample(self):
        self.samples += 1
        return {
            role: [Reading(source=role, counters={key: value * self.samples for key, value in counters(**growth).items()})]
            for role, growth in self.per_sample.items()
        }

    def sleep(self, seconds):
        self.now += seconds

    def watch(self):
        def show(figures, findings, seconds):
            self.shown.append(seconds)

        return Watch(rules=self.rules, sample=self.sample, show=show, clock=lambda: self.now, sleep=self.sleep).run()


def test_a_canary_with_the_figures_of_the_stable_version_passes_when_the_time_is_up():
    simulation = Simulation()
    verdict = simulation.watch()
    assert (verdict.outcome, verdict.seconds) == (WatchOutcome.passed, 60)
    assert all(finding.passed for finding in verdict.findings)
    assert simulation.shown == [float(seconds) for seconds in range(0, 60, 2)], "the display is updated every two seconds"
    assert verdict.as_json()["figures"]["canary"]["requests"] == 50 * 30


FAULTS = {
    "slow answers": ({**GOOD, "seconds": 0.5}, "p50, p99"),
    "different answers": ({"answers": [300.0, 600.0] * 25}, "drift, shift"),
    "refusals": ({**GOOD, "refusals": 20}, "refusals"),
}


@pytest.mark.parametrize(("canary", "metrics"), FAULTS.values(), ids=FAULTS)
def test_a_canary_fails_at_the_end_of_the_watch_for(canary, metrics):
    verdict = Simulation(canary=canary).watch()
    assert (verdict.outcome, verdict.seconds) == (WatchOutcome.failed, 60)
    assert verdict.why == f"the canary does not meet the rules on {metrics}"
    failed = [finding for finding in verdict.findings if not finding.passed]
    assert all(finding.note for finding in failed), "the note gives the reason for the rule"


def test_too_many_failures_end_the_watch_early():
    verdict = Simulation(canary={**GOOD, "failures": 25}).watch()
    assert (verdict.outcome, verdict.seconds) == (WatchOutcome.failed, 2)
    assert verdict.why == "the canary fails on too many requests"


def test_a_failure_among_a_few_requests_does_not_end_the_watch_early():
    rules = CanaryRules(seconds=10, min_requests=5)
    verdict = Simulation(canary={"answers": [100.0, 200.0], "failures": 1}, rules=rules).watch()
    assert verdict.seconds == 10


def test_a_restart_of_the_canary_ends_the_watch_early():
    verdict = Simulation(canary={**GOOD, "restarts": 1}).watch()
    assert (verdict.outcome, verdict.seconds) == (WatchOutcome.failed, 2)
    assert verdict.why == "a container of the canary ended and was restarted"


@pytest.mark.parametrize("role", ["stable", "canary"])
def test_a_watch_with_too_few_requests_is_undecided(role):
    verdict = Simulation(**{role: {"answers": [100.0]}}).watch()
    assert verdict.outcome is WatchOutcome.undecided
    assert verdict.why == f"only 30 requests reached the {role} version, at least 100 are required"


def test_a_watch_of_a_service_without_figures_on_its_answers_is_undecided():
    verdict = Simulation(canary={"requests": 50}).watch()
    assert verdict.outcome is WatchOutcome.undecided
    assert "drift <= 0.25, shift <= 0.15" in verdict.why


def test_a_canary_that_is_as_bad_as_the_stable_version_passes():
    bad = {**GOOD, "failures": 10, "seconds": 0.5}
    assert Simulation(stable=bad, canary={**GOOD, "seconds": 0.5}).watch().outcome is WatchOutcome.passed


ANY = st.fixed_dictionaries(
    {"answers": st.lists(st.floats(-1e6, 1e6), max_size=20), "failures": st.integers(0, 5), "refusals": st.integers(0, 5)}
)


@given(ANY, ANY)
def test_every_watch_ends_in_time_and_passes_only_a_canary_that_meets_all_rules(stable, canary):
    verdict = Simulation(stable, canary, CanaryRules(seconds=20, min_requests=10)).watch()
    assert verdict.seconds <= 20
    if verdict.outcome is WatchOutcome.passed:
        assert all(finding.passed for finding in verdict.findings)
        assert min(figures.requests for figures in verdict.figures.values()) >= 10


def test_a_workload_has_default_rules_for_canaries():
    assert {rule.metric for rule in MARKDOWN.canary.rules} >= {"failures", "p99", "drift"}
    assert all(rule.why for rule in MARKDOWN.canary.rules)


@pytest.mark.parametrize("rule", [{"metric": "p95", "at_most": 2}, {"metric": "p99", "at_most": 2, "of": "p50"}])
def test_a_rule_on_an_unknown_metric_is_refused(rule):
    with pytest.raises(ValidationError, match=r"a canary's rule is a bound on one of failures, refusals, p50"):
        CanaryRule(**rule, why="")
