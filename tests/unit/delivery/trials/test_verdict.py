"""When a canary passes, fails, or nothing can be told."""

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


class World:
    """Two variants that do the same from sample to sample, and a clock that goes as one sleeps."""

    def __init__(self, stable=None, canary=None, rules=RULES):
        self.each = {"stable": stable or GOOD, "canary": canary or GOOD}
        self.now, self.samples, self.shown = 0.0, 0, []
        self.rules = rules

    def sample(self):
        self.samples += 1
        return {
            role: [Reading(source=role, counters={key: value * self.samples for key, value in counters(**told).items()})]
            for role, told in self.each.items()
        }

    def sleep(self, seconds):
        self.now += seconds

    def watch(self):
        def show(figures, findings, seconds):
            self.shown.append(seconds)

        return Watch(rules=self.rules, sample=self.sample, show=show, clock=lambda: self.now, sleep=self.sleep).run()


def test_a_canary_that_does_as_the_stable_version_passes_when_the_time_is_up():
    world = World()
    verdict = world.watch()
    assert (verdict.outcome, verdict.seconds) == (WatchOutcome.passed, 60)
    assert all(finding.passed for finding in verdict.findings)
    assert world.shown == [float(seconds) for seconds in range(0, 60, 2)], "whoever watches is told every two seconds"
    assert verdict.as_json()["figures"]["canary"]["requests"] == 50 * 30


FAULTS = {
    "slow answers": ({**GOOD, "seconds": 0.5}, "p50, p99"),
    "other answers": ({"answers": [300.0, 600.0] * 25}, "drift, shift"),
    "refusals": ({**GOOD, "refusals": 20}, "refusals"),
}


@pytest.mark.parametrize(("canary", "metrics"), FAULTS.values(), ids=FAULTS)
def test_a_canary_fails_at_the_end_for(canary, metrics):
    verdict = World(canary=canary).watch()
    assert (verdict.outcome, verdict.seconds) == (WatchOutcome.failed, 60)
    assert verdict.why == f"it does not keep to the rules on {metrics}"
    failed = [finding for finding in verdict.findings if not finding.passed]
    assert all(finding.note for finding in failed), "who is refused is told why the rule is there"


def test_a_canary_that_fails_on_requests_is_not_watched_to_the_end():
    verdict = World(canary={**GOOD, "failures": 25}).watch()
    assert (verdict.outcome, verdict.seconds) == (WatchOutcome.failed, 2)


def test_one_failure_of_a_few_requests_ends_nothing():
    few = CanaryRules(seconds=10, min_requests=5)
    verdict = World(canary={"answers": [100.0, 200.0], "failures": 1}, rules=few).watch()
    assert verdict.seconds == 10


def test_a_container_that_ended_ends_the_watch():
    verdict = World(canary={**GOOD, "restarts": 1}).watch()
    assert (verdict.outcome, verdict.seconds) == (WatchOutcome.failed, 2)
    assert "started again" in verdict.why


@pytest.mark.parametrize("role", ["stable", "canary"])
def test_too_few_requests_decide_nothing(role):
    verdict = World(**{role: {"answers": [100.0]}}).watch()
    assert verdict.outcome is WatchOutcome.undecided
    assert verdict.why == f"30 of at least 100 requests reached the {role} version"


def test_a_service_that_does_not_tell_what_it_answers_decides_nothing():
    verdict = World(canary={"requests": 50}).watch()
    assert verdict.outcome is WatchOutcome.undecided
    assert "drift <= 0.25, shift <= 0.15" in verdict.why


def test_a_bad_stable_version_is_not_held_against_the_canary():
    bad = {**GOOD, "failures": 10, "seconds": 0.5}
    assert World(stable=bad, canary={**GOOD, "seconds": 0.5}).watch().outcome is WatchOutcome.passed


ANY = st.fixed_dictionaries(
    {"answers": st.lists(st.floats(-1e6, 1e6), max_size=20), "failures": st.integers(0, 5), "refusals": st.integers(0, 5)}
)


@given(ANY, ANY)
def test_every_watch_ends_in_time_and_passes_only_what_keeps_to_every_rule(stable, canary):
    verdict = World(stable, canary, CanaryRules(seconds=20, min_requests=10)).watch()
    assert verdict.seconds <= 20
    if verdict.outcome is WatchOutcome.passed:
        assert all(finding.passed for finding in verdict.findings)
        assert min(figures.requests for figures in verdict.figures.values()) >= 10


def test_a_workload_has_rules_unless_it_says_otherwise():
    assert {rule.metric for rule in MARKDOWN.canary.rules} >= {"failures", "p99", "drift"}
    assert all(rule.why for rule in MARKDOWN.canary.rules)


@pytest.mark.parametrize("rule", [{"metric": "p95", "at_most": 2}, {"metric": "p99", "at_most": 2, "of": "p50"}])
def test_a_rule_on_what_is_not_compared_is_refused(rule):
    with pytest.raises(ValidationError, match=r"a canary's rule is a bound on one of failures, refusals, p50"):
        CanaryRule(**rule, why="")
