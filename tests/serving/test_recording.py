"""The service counts and records its own answers."""

from __future__ import annotations

import random
import struct
from collections import Counter

import numpy as np
import pytest

from delivery.trials.figures import STARTED, Figures, parse
from tests.serving import tiny
from tests.serving.microservice import running
from tests.serving.test_service import NAMES
from workloads.serving import metrics, recording, scale
from workloads.serving.recording import Recording

RANDOM = random.Random(7)
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0**-20, 2.0**-21, 1e-300, 5e-324, 2.0**40, 2.0**40 - 1, 2.0**41, 1e300, -1e300]
NUMBERS = EDGES + [sign * 10 ** RANDOM.uniform(-8, 14) for sign in (1, -1) for _ in range(500)]


def test_place_and_places_agree_for_every_number():
    assert [scale.place(number) for number in NUMBERS] == scale.places(np.array(NUMBERS)).tolist()


def test_the_bin_index_never_decreases_with_the_number():
    indices = [scale.place(number) for number in sorted(NUMBERS)]
    assert indices == sorted(indices)
    assert (indices[0], indices[-1]) == (0, scale.PLACES - 1)


def test_a_number_lies_within_the_bounds_of_its_narrow_bin():
    for number in NUMBERS:
        if 2.0**-20 < abs(number) < 2.0**40:
            place = scale.place(number)
            low, high = scale.lower(place), scale.lower(place + 1)
            assert (low <= number < high) if number > 0 else (low < number <= high)
            assert high - low <= abs(number) / 8, "an eighth of an octave"


def test_lower_bounds_of_bins_increase_strictly():
    lowers = [scale.lower(place) for place in range(scale.PLACES)]
    assert lowers == sorted(set(lowers))


def test_recorded_answers_are_returned_with_the_ids_of_their_requests():
    recorded = Recording()
    recorded.record("0f" * 16, [1.5, -2.0])
    recorded.record("b3c9a6f0-1d2e-4f5a-9b8c-7d6e5f4a3b2c", [float(row) for row in range(100)])
    found = {answer["request"]: (answer["rows"], answer["values"]) for answer in recorded.answers()}
    assert found == {
        "0f" * 16: (2, [1.5, -2.0]),
        "b3c9a6f0-1d2e-4f5a-9b8c-7d6e5f4a3b2c": (100, [float(row) for row in range(recording.VALUES)]),
    }


def test_two_variants_retain_the_same_requests_even_if_they_answer_in_another_order():
    ids = [RANDOM.randbytes(16).hex() for _ in range(50_000)]
    stable, shadow = Recording(), Recording()
    for start in range(0, len(ids), 8):
        for name in ids[start : start + 8]:
            stable.record(name, [1.0])
        for name in reversed(ids[start : start + 8]):
            shadow.record(name, [2.0])
    one, other = ({answer["request"] for answer in each.answers()} for each in (stable, shadow))
    assert len(one & other) > 0.99 * len(one), "both variants overwrite the same requests"
    assert len(one) > 0.8 * recording.LEVELS * recording.SLOTS, "all levels but the rarest are full"


def test_a_sample_of_old_answers_remains_under_heavy_traffic():
    ids = [RANDOM.randbytes(16).hex() for _ in range(50_000)]
    places = Counter(recording.slot(name.encode()) // recording.SLOTS for name in ids)
    assert [places[level] / len(ids) for level in range(3)] == pytest.approx([0.5, 0.25, 0.125], rel=0.05)
    recorded = Recording()
    for name in ids:
        recorded.record(name, [0.0])
    ages = sorted(len(ids) - ids.index(answer["request"]) for answer in recorded.answers())
    assert ages[len(ages) // 4] < 5_000, "most answers are recent"
    assert ages[-1] > 40_000, "and some are old"


def test_a_torn_entry_is_not_returned():
    recorded = Recording()
    recorded.record("one", [1.0])
    start = recording.slot(b"one") * recording._SLOT
    recorded._memory[start + 60 : start + 68] = struct.pack("<d", 3.0)
    assert recorded.answers() == []


def test_answers_with_few_rows_and_with_many_rows_are_counted_alike():
    few, many = metrics.RequestMetrics({}), metrics.RequestMetrics({})
    for number in NUMBERS:
        few.count_answer([number])
    many.count_answer(NUMBERS)
    one, other = few._figures.sum(axis=0), many._figures.sum(axis=0)
    assert one[metrics._PLACES :].tolist() == other[metrics._PLACES :].tolist()
    assert one == pytest.approx(other)
    assert np.isfinite(one).all(), "an infinite sum would stay infinite"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tiny.write(tmp_path_factory.mktemp("service")), GUNICORN_WORKERS="2") as started:
        yield started


def body(*prices):
    return {"data": {"names": NAMES, "ndarray": [[price, 0, False, "own"] for price in prices]}}


def lines(service, start):
    found = service.get("/metrics", service.metrics_port).text.splitlines()
    return {line.partition(" ")[0]: float(line.rpartition(" ")[2]) for line in found if line.startswith(start)}


def test_metrics_contain_the_distribution_of_the_answers(service):
    for price in (2.5, 2.5, 7.0):  # 5, 5 and -4
        service.ask(body(price))
    service.ask(body(5.0, 1.0))  # 0 and 8
    spread = {
        float(line.partition('at_least="')[2].partition('"')[0]): count
        for line, count in lines(service, "modelstack_answers_total{").items()
    }
    assert spread == {-4.5: 1.0, -(2.0**-20): 1.0, 5.0: 2.0, 8.0: 1.0}
    assert [*lines(service, "modelstack_answers_sum").values()] == [14.0]
    assert [*lines(service, "modelstack_answers_squares").values()] == [130.0]


def test_the_command_can_parse_the_metrics_of_the_service(service):
    before = Figures(parse(service.get("/metrics", service.metrics_port).text))
    for request in (body(2.0), body(2.0, 3.0), b"", body(-1.0)):  # 6; 6 and 4; refused twice
        service.ask(request)
    figures = Figures(parse(service.get("/metrics", service.metrics_port).text))
    assert (figures.requests - before.requests, figures.refusals - before.refusals) == (4, 2)
    assert figures.rows - before.rows == 3
    assert figures.mean * figures.rows - before.mean * before.rows == pytest.approx(16)
    assert 0 < figures.quantile(0.5) <= figures.quantile(0.99) < 1
    assert figures.counters[STARTED] == before.counters[STARTED] > 1.7e9


def test_answers_of_all_workers_are_recorded_under_their_request_ids(service):
    header = "X-Request-ID"
    # One id per slot, so that no answer is overwritten.
    names = list({recording.slot(name.encode()): name for name in (f"{number:032x}" for number in range(20))}.values())
    for number, name in enumerate(names):
        service.ask(body(float(number)), headers={header: name})
    assert service.ask(b"", headers={header: "refused"}).status == 400
    recorded = {answer["request"]: answer["values"] for answer in service.get("/recorded", service.recorded_port).json}
    assert recorded == {name: [10.0 - 2 * number] for number, name in enumerate(names)}, (
        "requests without an id and refused requests are not recorded"
    )


def test_recorded_answers_are_served_only_on_their_own_port(service):
    assert service.get("/recorded").status == 404
    assert service.get("/recorded", service.metrics_port).status == 404
    assert service.get("/metrics", service.recorded_port).status == 404
