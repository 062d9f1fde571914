"""What a service counts and keeps of its own answers."""

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


def test_every_number_has_one_place_by_itself_or_among_many():
    assert [scale.place(number) for number in NUMBERS] == scale.places(np.array(NUMBERS)).tolist()


def test_larger_numbers_have_no_lower_place():
    found = [scale.place(number) for number in sorted(NUMBERS)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, scale.PLACES - 1)


def test_a_place_says_where_it_begins_and_is_narrow():
    for number in NUMBERS:
        if 2.0**-20 < abs(number) < 2.0**40:
            place = scale.place(number)
            low, high = scale.lower(place), scale.lower(place + 1)
            assert (low <= number < high) if number > 0 else (low < number <= high)
            assert high - low <= abs(number) / 8, "an eighth of an octave"


def test_places_begin_in_their_order():
    lowers = [scale.lower(place) for place in range(scale.PLACES)]
    assert lowers == sorted(set(lowers))


def test_what_is_kept_can_be_read_by_the_request_it_answered():
    kept = Recording()
    kept.keep("0f" * 16, [1.5, -2.0])
    kept.keep("b3c9a6f0-1d2e-4f5a-9b8c-7d6e5f4a3b2c", [float(row) for row in range(100)])
    found = {answer["request"]: (answer["rows"], answer["values"]) for answer in kept.kept()}
    assert found == {
        "0f" * 16: (2, [1.5, -2.0]),
        "b3c9a6f0-1d2e-4f5a-9b8c-7d6e5f4a3b2c": (100, [float(row) for row in range(recording.VALUES)]),
    }


def test_two_that_are_asked_the_same_keep_the_same_in_whatever_order_they_answer():
    ids = [RANDOM.randbytes(16).hex() for _ in range(50_000)]
    stable, shadow = Recording(), Recording()
    for start in range(0, len(ids), 8):
        for name in ids[start : start + 8]:
            stable.keep(name, [1.0])
        for name in reversed(ids[start : start + 8]):
            shadow.keep(name, [2.0])
    one, other = ({answer["request"] for answer in each.kept()} for each in (stable, shadow))
    assert len(one & other) > 0.99 * len(one), "what one forgets the other forgets"
    assert len(one) > 0.8 * recording.LEVELS * recording.SLOTS, "all levels but the rarest are full"


def test_there_is_a_sample_of_long_ago_when_there_is_much_traffic():
    ids = [RANDOM.randbytes(16).hex() for _ in range(50_000)]
    places = Counter(recording.slot(name.encode()) // recording.SLOTS for name in ids)
    assert [places[level] / len(ids) for level in range(3)] == pytest.approx([0.5, 0.25, 0.125], rel=0.05)
    kept = Recording()
    for name in ids:
        kept.keep(name, [0.0])
    ages = sorted(len(ids) - ids.index(answer["request"]) for answer in kept.kept())
    assert ages[len(ages) // 4] < 5_000, "most of it is recent"
    assert ages[-1] > 40_000, "and some is old"


def test_an_answer_that_was_torn_is_not_there():
    kept = Recording()
    kept.keep("one", [1.0])
    start = recording.slot(b"one") * recording._SLOT
    kept._memory[start + 60 : start + 68] = struct.pack("<d", 3.0)
    assert kept.kept() == []


def test_few_rows_and_many_are_counted_alike():
    few, many = metrics.RequestMetrics({}), metrics.RequestMetrics({})
    for number in NUMBERS:
        few.answered([number])
    many.answered(NUMBERS)
    one, other = few._figures.sum(axis=0), many._figures.sum(axis=0)
    assert one[metrics._PLACES :].tolist() == other[metrics._PLACES :].tolist()
    assert one == pytest.approx(other)
    assert np.isfinite(one).all(), "a sum without end would be one for ever"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tiny.write(tmp_path_factory.mktemp("service")), GUNICORN_WORKERS="2") as started:
        yield started


def body(*prices):
    return {"data": {"names": NAMES, "ndarray": [[price, 0, False, "own"] for price in prices]}}


def lines(service, start):
    found = service.get("/metrics", service.metrics_port).text.splitlines()
    return {line.partition(" ")[0]: float(line.rpartition(" ")[2]) for line in found if line.startswith(start)}


def test_metrics_tell_how_the_answers_are_spread(service):
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


def test_the_command_reads_what_the_service_tells(service):
    before = Figures(parse(service.get("/metrics", service.metrics_port).text))
    for request in (body(2.0), body(2.0, 3.0), b"", body(-1.0)):  # 6; 6 and 4; refused twice
        service.ask(request)
    figures = Figures(parse(service.get("/metrics", service.metrics_port).text))
    assert (figures.requests - before.requests, figures.refusals - before.refusals) == (4, 2)
    assert figures.rows - before.rows == 3
    assert figures.mean * figures.rows - before.mean * before.rows == pytest.approx(16)
    assert 0 < figures.quantile(0.5) <= figures.quantile(0.99) < 1
    assert figures.counters[STARTED] == before.counters[STARTED] > 1.7e9


def test_answers_are_kept_by_request_whichever_worker_gave_them(service):
    header = "X-Request-ID"
    # One of each place, so that none is written over.
    names = list({recording.slot(name.encode()): name for name in (f"{number:032x}" for number in range(20))}.values())
    for number, name in enumerate(names):
        service.ask(body(float(number)), headers={header: name})
    assert service.ask(b"", headers={header: "refused"}).status == 400
    kept = {answer["request"]: answer["values"] for answer in service.get("/recorded", service.recorded_port).json}
    assert kept == {name: [10.0 - 2 * number] for number, name in enumerate(names)}, "not those without an id, nor refusals"


def test_what_is_kept_is_not_shown_where_predictions_are_asked_for(service):
    assert service.get("/recorded").status == 404
    assert service.get("/recorded", service.metrics_port).status == 404
    assert service.get("/metrics", service.recorded_port).status == 404
