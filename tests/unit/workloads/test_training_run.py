"""A run as an object: its id, what its processes must agree on, and its chunk."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from workloads.catalogue import WORKLOADS
from workloads.training_run import Chunk, Run, RunInputs, is_id, new_id

DATA = "sha256:" + "d" * 64


def run(**changes):
    inputs = RunInputs(data=DATA, image="i", code="c", version=changes.pop("version", None))
    fields = {"id": "r-1", "workload": "tuna", "purpose": "train", "revision": "1234567", "trainer": "t@example.com"}
    return Run(**{**fields, "inputs": inputs, **changes})


@pytest.mark.parametrize("workload", [*WORKLOADS, "a", "a-" * 19 + "a", "a" * 40])
@pytest.mark.parametrize("version", [None, 1, 123456])
def test_a_new_id_is_the_valid_name_of_a_job_and_never_the_same(workload, version):
    ids = {new_id(workload, version) for _ in range(20)}
    assert all(is_id(each) for each in ids)
    assert all(each.startswith(workload[:20].rstrip("-")) for each in ids), "people find their run by the workload"
    assert len(ids) > 15, "two commands may start a run in the same second"


@pytest.mark.parametrize("name", ["", "Run", "a_b", "a.b", "../a", "a/b", "-a", "a-", "a" * 64, "a\n", " a"])
def test_an_id_with_another_format_is_refused(name):
    assert not is_id(name)
    with pytest.raises(ValidationError, match="id"):
        run(id=name)


@pytest.mark.parametrize(("purpose", "version"), [("train", 3), ("backtest", None)])
def test_only_a_back_test_has_a_version(purpose, version):
    with pytest.raises(ValidationError, match="a back-test needs a version, a training has none"):
        run(purpose=purpose, version=version)


def test_a_run_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        run().trainer = "other@example.com"


def test_processes_of_a_run_may_differ_in_step_chunk_and_the_person_who_repeats_a_step():
    assert run().differences(run(step="train", chunk=Chunk(), trainer="other@example.com")) == []
    assert run().differences(run(workload="markdown")) == ["workload was tuna and is markdown"]
    other = run(purpose="backtest", version=3)
    assert run().differences(other) == ["purpose was train and is backtest", "version was None and is 3"]


@pytest.mark.parametrize("text", ["", "1", "0/1", "2/1", "1/0", "-1/2", "1/2/3", "a/b", "1 /2", "1/2\n"])
def test_a_chunk_that_does_not_exist_is_refused(text):
    with pytest.raises(ValueError, match="chunk"):
        Chunk.parse(text)


def test_a_chunk_is_read_as_it_is_written():
    assert str(Chunk.parse("2/11")) == "2/11"
    assert str(Chunk()) == "1/1"
