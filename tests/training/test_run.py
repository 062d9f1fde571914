"""The runner: events, failures told in one line, and data that is not the declared one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import panels
import pytest

from workloads import run
from workloads.context import Context, TrainingError
from workloads.declaration import Step
from workloads.markdown.steps import source
from workloads.markdown.workload import MARKDOWN
from workloads.training.source import FACTS

if TYPE_CHECKING:
    from pathlib import Path

SEEN: list[str] = []


def good(context: Context) -> None:
    SEEN.append(str(context.folder))
    context.metric("wape", 0.4)


def bad(_: Context) -> None:
    raise TrainingError("the reason, and what to do")


def context_in(base: Path, **changes) -> Context:
    made = {"source": base, "share": base, "folder": base / "runs" / "1"} | changes
    context = Context(workload=MARKDOWN, revision="r", trainer="t@example.com", image="i", **made)
    context.folder.mkdir(parents=True, exist_ok=True)
    return context


def workload_of(monkeypatch: pytest.MonkeyPatch, *functions):
    table = {f"tests.training:step{index}": function for index, function in enumerate(functions)}
    monkeypatch.setattr(run, "_function", lambda step: table[step.run])
    steps = tuple(Step(name=f"s{index}", summary="a step", run=name) for index, name in enumerate(table))
    return MARKDOWN.model_copy(update={"steps": steps})


def events(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_steps_run_in_order_and_tell_how_far_they_are(tmp_path, monkeypatch, capsys):
    run.run(workload_of(monkeypatch, good, good), context_in(tmp_path))
    told = [(event["event"], event.get("state"), event.get("index"), event.get("total")) for event in events(capsys)]
    step = [("step", "started"), ("metric", None), ("step", "done")]
    assert told == [(*pair, *((n, 2) if pair[0] == "step" else (None, None))) for n in (1, 2) for pair in step]


def test_a_failing_step_ends_the_run_with_one_clear_line_and_exit_code_1(tmp_path, monkeypatch, capsys):
    SEEN.clear()
    workload = workload_of(monkeypatch, bad, good)
    monkeypatch.setattr(run, "get", lambda _: workload)
    environment(monkeypatch, tmp_path)
    assert run.main(["markdown"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["state"] == "failed"
    assert err.splitlines() == ["failed: the reason, and what to do"]
    assert not SEEN, "the next step was not begun"


def environment(monkeypatch: pytest.MonkeyPatch, folder: Path, tracking: str = "file:///nowhere") -> None:
    values = {"MODELSTACK_SOURCE": str(folder), "MODELSTACK_DATA": str(folder), "MLFLOW_TRACKING_URI": tracking}
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_an_unknown_workload_is_answered_with_those_that_there_are(capsys):
    assert run.main(["markdwon"]) == 1
    assert "there are: markdown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"), [([], "required: workload"), (["markdown", "--version", "new"], "invalid int")]
)
def test_a_wrong_command_says_what_is_wrong_with_it(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        run.main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_a_back_test_learns_and_registers_nothing():
    names = [step.name for step in run.steps_of(MARKDOWN, 8)]
    assert names == ["restore", "source", "prepare", "features", "backtest", "compare"]
    assert run.steps_of(MARKDOWN, None) == MARKDOWN.steps


def test_a_tracking_server_that_does_not_answer_is_told_before_any_work(tmp_path, monkeypatch, capsys):
    SEEN.clear()
    workload = workload_of(monkeypatch, good)
    monkeypatch.setattr(run, "get", lambda _: workload)
    monkeypatch.setattr(run.await_tracking, "__defaults__", (0.0,))
    environment(monkeypatch, tmp_path, "http://127.0.0.1:9")
    assert run.main(["markdown"]) == 1
    assert "http://127.0.0.1:9 does not answer" in capsys.readouterr().err
    assert not SEEN, "a run that cannot be logged is not worth its time"


def test_only_the_latest_runs_stay_on_the_share(tmp_path, monkeypatch):
    for number in range(9):
        run.run(workload_of(monkeypatch, good), context_in(tmp_path, folder=tmp_path / "runs" / str(number)))
    kept = sorted(folder.name for folder in (tmp_path / "runs").iterdir())
    assert kept == ["4", "5", "6", "7", "8"]


def test_other_data_is_refused_with_both_fingerprints(tmp_path):
    (tmp_path / MARKDOWN.source.file).write_bytes(b"not the panel")
    with pytest.raises(TrainingError, match=r"is not the data .* found sha256:[0-9a-f]{64}, declared sha256:4418"):
        source.run(context_in(tmp_path))
    assert not (tmp_path / "data").exists(), "nothing was taken from it"


def test_missing_data_is_told_with_where_it_comes_from(tmp_path):
    with pytest.raises(TrainingError, match=r"cannot be read: .*r-cran-bayesm"):
        source.run(context_in(tmp_path))


def test_the_published_panel_has_the_declared_fingerprint_and_shape(tmp_path):
    context = context_in(tmp_path, source=panels.published())
    source.run(context)
    facts = json.loads((context.folder / FACTS).read_text())
    assert facts["fingerprint"] == MARKDOWN.source.fingerprint
    assert facts["rows"] == {"panel": 106_139, "stores": 83}
    tables = {file: file.stat().st_mtime_ns for file in sorted((tmp_path / "data").rglob("*")) if file.is_file()}
    source.run(context)
    again = {file: file.stat().st_mtime_ns for file in sorted((tmp_path / "data").rglob("*")) if file.is_file()}
    assert len(tables) >= 2
    assert again == tables, "a second run finds the tables there and does not write them again"
