"""The runner: events, failures in one line, and data that differ from the declared data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import mlflow
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
    folders = {"source": base, "share": base, "folder": base / "runs" / "1"} | changes
    context = Context(workload=MARKDOWN, run=panels.run_of(MARKDOWN, folders["folder"].name), **folders)
    context.folder.mkdir(parents=True, exist_ok=True)
    return context


def workload_of(monkeypatch: pytest.MonkeyPatch, *functions):
    table = {f"tests.training:step{index}": function for index, function in enumerate(functions)}
    function = run._function
    monkeypatch.setattr(run, "_function", lambda entry: table.get(entry) or function(entry))
    steps = tuple(Step(name=f"s{index}", summary="a step", run=name) for index, name in enumerate(table))
    return MARKDOWN.model_copy(update={"steps": steps})


def events(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_steps_run_in_order_and_emit_their_progress(tmp_path, monkeypatch, capsys):
    run.run(workload_of(monkeypatch, good, good), context_in(tmp_path))
    emitted = [(event["event"], event.get("state"), event.get("index"), event.get("total")) for event in events(capsys)]
    step = [("step", "started"), ("metric", None), ("step", "done")]
    assert emitted == [(*pair, *((n, 2) if pair[0] == "step" else (None, None))) for n in (1, 2) for pair in step]


def test_a_failing_step_ends_the_run_with_one_clear_line_and_exit_code_1(tmp_path, monkeypatch, capsys):
    SEEN.clear()
    workload = workload_of(monkeypatch, bad, good)
    monkeypatch.setattr(run, "get", lambda _: workload)
    environment(monkeypatch, tmp_path)
    assert run.main(["markdown"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["state"] == "failed"
    assert err.splitlines() == ["failed: the reason, and what to do"]
    assert not SEEN, "the next step must not start"


def environment(monkeypatch: pytest.MonkeyPatch, folder: Path, tracking: str = "") -> None:
    store = tracking or (folder / "mlruns").as_uri()
    values = {"MODELSTACK_SOURCE": str(folder), "MODELSTACK_DATA": str(folder), "MLFLOW_TRACKING_URI": store}
    for name, value in {**values, "MLFLOW_ALLOW_FILE_STORE": "true"}.items():
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(store)


def test_the_error_for_an_unknown_workload_lists_the_existing_ones(capsys):
    assert run.main(["markdwon"]) == 1
    assert "there are: markdown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"), [([], "required: workload"), (["markdown", "--version", "new"], "invalid int")]
)
def test_wrong_arguments_are_refused_with_the_reason(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        run.main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_a_back_test_of_a_version_trains_and_registers_nothing():
    names = [step.name for step in run.steps_of(MARKDOWN, 8)]
    assert names == ["restore", "source", "prepare", "features", "backtest", "compare"]
    assert run.steps_of(MARKDOWN, None) == MARKDOWN.steps


def test_a_run_fails_before_its_first_step_if_the_tracking_server_does_not_answer(tmp_path, monkeypatch, capsys):
    SEEN.clear()
    workload = workload_of(monkeypatch, good)
    monkeypatch.setattr(run, "get", lambda _: workload)
    monkeypatch.setattr(run.await_tracking, "__defaults__", (0.0,))
    environment(monkeypatch, tmp_path, "http://127.0.0.1:9")
    assert run.main(["markdown"]) == 1
    assert "http://127.0.0.1:9 does not answer" in capsys.readouterr().err
    assert not SEEN, "a run that cannot be logged must not start"


def test_only_the_folders_of_the_latest_runs_stay_on_the_share(tmp_path, monkeypatch):
    for number in range(9):
        run.run(workload_of(monkeypatch, good), context_in(tmp_path, folder=tmp_path / "runs" / str(number)))
    retained = sorted(folder.name for folder in (tmp_path / "runs").iterdir())
    assert retained == ["4", "5", "6", "7", "8"]


def test_a_file_with_another_fingerprint_is_refused_with_both_fingerprints(tmp_path):
    (tmp_path / MARKDOWN.source.file).write_bytes(b"not the panel")
    with pytest.raises(TrainingError, match=r"is not the data .* found sha256:[0-9a-f]{64}, declared sha256:4418"):
        source.run(context_in(tmp_path))
    assert not (tmp_path / "data").exists(), "no table of the refused file may be written"


def test_the_error_for_missing_data_says_where_the_data_comes_from(tmp_path):
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
    assert again == tables, "a second run must not write existing tables again"
