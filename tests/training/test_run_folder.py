"""The folder of a run on the data share: attempts that overlap, processes that are killed, folders that are removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import panels
import pytest

from common import paths
from workloads.context import TrainingError
from workloads.training import run_folder
from workloads.training.run_folder import RunFolder, remove_old_runs
from workloads.training_run import RunInputs
from workloads.tuna.workload import TUNA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLD = 30 * 24 * 3600


def opened(runs: Path, name: str = "r1") -> RunFolder:
    return RunFolder.open(runs / name, panels.run_of(TUNA, name))


@pytest.fixture
def other_process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes in which `folder` is the folder of the run `r1` below the folder that is the first argument."""
    head = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import panels\n"
        "from workloads.training.run_folder import RunFolder; from workloads.tuna.workload import TUNA\n"
        "folder = RunFolder.open(Path(sys.argv[2]) / 'r1', panels.run_of(TUNA, 'r1'))\n"
    )
    variables = os.environ | {"PYTHONPATH": str(paths.CHECKOUT)}
    with contextlib.ExitStack() as processes:

        def start(code: str, *words: object) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", head + code, str(Path(__file__).parent), *map(str, words)]
            process = processes.enter_context(subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True))
            processes.callback(process.kill)
            return process

        yield start


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def aged(file: Path, seconds: float = OLD) -> None:
    then = time.time() - seconds
    os.utime(file, (then, then))


def ended(runs: Path, name: str, seconds: float = OLD) -> Path:
    """Creates the folder of a run that has ended some time ago."""
    folder = opened(runs, name)
    with folder.lease(), folder.attempt("train") as attempt:
        (attempt / "model").write_text(name)
    folder.end()
    for part in (folder.path / "steps", folder.path / "ended", folder.path):
        aged(part, seconds)
    return folder.path


def test_the_files_of_a_step_appear_all_at_once_when_it_ends(tmp_path):
    folder = opened(tmp_path)
    with folder.attempt("train") as attempt:
        (attempt / "model").write_text("m")
        (attempt / "table.parquet").mkdir()
        (attempt / "table.parquet" / "part-0").write_text("t")
        assert not (folder.path / "steps").exists()
        assert not folder.is_done("train")
    assert folder.is_done("train")
    assert (folder.path / "steps/train/table.parquet/part-0").read_text() == "t"


def test_a_failed_attempt_leaves_nothing(tmp_path):
    folder = opened(tmp_path)
    with pytest.raises(FileNotFoundError), folder.attempt("train") as attempt:
        shutil.copytree(attempt / "missing", attempt / "model")
    assert not folder.has_ended("train")
    assert list((folder.path / "attempts").iterdir()) == []


def test_the_files_of_a_second_attempt_that_overlaps_the_first_are_dropped(tmp_path):
    first, second = opened(tmp_path), opened(tmp_path)
    with second.attempt("train") as late:
        with first.attempt("train") as early:
            (early / "model").write_text("1")
            (early / "graph").write_text("1")
        (late / "model").write_text("2")
        (late / "graph").write_text("2")
    published = first.path / "steps/train"
    assert [(published / name).read_text() for name in ("model", "graph")] == ["1", "1"], (
        "a later step may read them already, and a model and the graph of another model must not be mixed"
    )
    assert list((first.path / "attempts").iterdir()) == []


def test_two_processes_that_run_the_same_step_at_the_same_time_publish_the_files_of_one(tmp_path, other_process):
    code = (
        "with folder.lease():\n"
        "    for step in range(40):\n"
        "        with folder.attempt(f's{step}') as attempt:\n"
        "            for name in 'abc': (attempt / name).write_text(sys.argv[3])\n"
    )
    processes = [other_process(code, tmp_path, number) for number in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    published = sorted((tmp_path / "r1/steps").iterdir())
    assert len(published) == 40
    for step in published:
        assert len({(step / name).read_text() for name in "abc"}) == 1, "no step has files of two attempts"


def test_a_process_with_other_inputs_is_refused(tmp_path):
    opened(tmp_path)
    other = panels.run_of(TUNA, "r1", inputs=RunInputs(data=TUNA.source.fingerprint, image="sha256:2"))
    with pytest.raises(TrainingError, match=r"run r1 cannot be continued: image was i and is sha256:2. Start a new run"):
        RunFolder.open(tmp_path / "r1", other)


def test_all_processes_have_the_trainer_and_the_revision_of_the_first(tmp_path):
    opened(tmp_path)
    second = RunFolder.open(tmp_path / "r1", panels.run_of(TUNA, "r1", trainer="other@example.com", step="train"))
    assert (second.run.trainer, second.run.step) == ("t@example.com", "train"), (
        "who repeats a step has not trained the model, and may approve it"
    )


def test_a_damaged_record_is_refused(tmp_path):
    (opened(tmp_path).path / "run.json").write_text("{")
    with pytest.raises(TrainingError, match=r"run\.json is damaged.*Start a new run"):
        opened(tmp_path)


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path, other_process):
    counter = tmp_path / "counter"
    counter.write_text("0")
    code = (
        "for _ in range(5):\n"
        "    with folder.lock('registration'):\n"
        "        file = Path(sys.argv[3]); number = int(file.read_text()); time.sleep(0.02); file.write_text(str(number + 1))\n"
    )
    processes = [other_process(code, tmp_path, counter) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    assert counter.read_text() == "20"


def test_the_lock_of_a_killed_process_is_taken_over_after_a_time_and_not_before(tmp_path, other_process):
    process = other_process("with folder.lock('registration'): print('held', flush=True); time.sleep(600)\n", tmp_path)
    assert line(process) == "held"
    process.send_signal(signal.SIGKILL)
    process.wait()
    start = time.monotonic()
    with opened(tmp_path).lock("registration", takeover_seconds=2.0):
        assert time.monotonic() - start > 1.0
    with opened(tmp_path).lock("registration"):
        assert time.monotonic() - start < 20.0, "it was released"


def test_a_process_that_still_renews_its_lock_keeps_it(tmp_path, monkeypatch, other_process):
    monkeypatch.setattr(run_folder, "HEARTBEAT_SECONDS", 0.1)
    with opened(tmp_path).lock("registration"):
        waiting = other_process(
            "with folder.lock('registration', takeover_seconds=1.0): print('taken', flush=True)\n", tmp_path
        )
        time.sleep(4.0)
        assert sorted(file.name for file in (tmp_path / "r1/locks").iterdir()) == ["registration.1"]
    assert line(waiting) == "taken"
    assert waiting.wait(30) == 0


def test_only_the_latest_runs_stay(tmp_path):
    runs = [ended(tmp_path, f"r{number}", seconds=1000.0 - number) for number in range(8)]
    remove_old_runs(tmp_path)
    assert [folder.exists() for folder in runs] == [False] * 3 + [True] * 5
    assert sorted(tmp_path.iterdir()) == runs[3:], "nothing else is left"


def test_the_folder_of_a_run_that_a_process_uses_stays(tmp_path, other_process):
    process = other_process("with folder.lease(): print('uses', flush=True); time.sleep(600)\n", tmp_path)
    assert line(process) == "uses"
    live = tmp_path / "r1"
    (live / "ended").touch()  # as if another attempt had ended
    for part in (live / "ended", live):
        aged(part)
    for number in range(6):
        ended(tmp_path, f"x{number}", seconds=5000.0)
    remove_old_runs(tmp_path, retained=0)
    assert [folder.name for folder in tmp_path.iterdir()] == ["r1"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    aged(next((live / "leases").iterdir()))
    for part in (live / "ended", live):
        aged(part)
    remove_old_runs(tmp_path, retained=0)
    assert not live.exists(), "its process was killed long ago"


def test_a_run_that_waits_for_its_next_step_stays_until_it_is_abandoned(tmp_path):
    folder = opened(tmp_path)
    with folder.lease(), folder.attempt("source"):
        pass
    for part in (folder.path / "steps", folder.path):
        aged(part, 24 * 3600)
    remove_old_runs(tmp_path, retained=0)
    assert folder.path.exists(), "no process uses it, but its next step may wait in a queue"
    for part in (folder.path / "steps", folder.path):
        aged(part)
    remove_old_runs(tmp_path, retained=0)
    assert not folder.path.exists()


def test_a_process_that_starts_while_its_folder_is_removed_keeps_it(tmp_path, monkeypatch):
    folder = ended(tmp_path, "r1")
    rename = Path.rename

    def renamed(path: Path, target: Path) -> Path:
        if path == folder:  # a process takes its lease between the look and the removal
            (folder / "leases" / "late").touch()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", renamed)
    remove_old_runs(tmp_path, retained=0)
    assert (folder / "steps/train/model").read_text() == "r1"


def test_a_repeated_run_is_not_an_ended_one(tmp_path):
    path = ended(tmp_path, "r1")
    with opened(tmp_path).lease():
        assert not (path / "ended").exists()


def test_a_clock_that_differs_from_the_file_server_s_does_not_matter(tmp_path, monkeypatch):
    folder = opened(tmp_path)
    with folder.lease():
        monkeypatch.setattr(time, "time", lambda: 4e9)
        (folder.path / "ended").touch()
        remove_old_runs(tmp_path, retained=0)
        assert folder.path.exists()
