"""The progress that commands show."""

import io

import pytest

from delivery.console.progress import PlainSink, Reporter, reporter
from delivery.console.terminal import TerminalSink


class FakeClock:
    """A clock whose time the tests set."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def plain_progress(interval=10.0):
    clock, out = FakeClock(), io.StringIO()
    return clock, out, Reporter([PlainSink(out, clock, interval)], clock)


def test_a_step_prints_a_line_when_it_starts_and_its_duration_when_it_ends():
    clock, out, progress = plain_progress()
    with progress.step("build"):
        clock.now = 12.3
    assert out.getvalue() == "[    0.0 s] build ...\n[   12.3 s] build done (12.3 s)\n"


def test_the_line_of_a_nested_step_names_its_parents():
    _, out, progress = plain_progress()
    with progress.step("environment"), progress.step("plan") as step:
        step.note("3 to change")
    assert "environment > plan done (0.0 s): 3 to change" in out.getvalue()


def test_an_exception_marks_the_step_and_its_parents_as_failed():
    _, out, progress = plain_progress()
    with pytest.raises(KeyboardInterrupt), progress.step("outer"), progress.step("inner"):
        raise KeyboardInterrupt
    assert "outer > inner failed" in out.getvalue()
    assert "outer failed" in out.getvalue()


def test_plain_lines_show_the_state_of_a_long_step_at_most_once_per_interval():
    clock, out, progress = plain_progress(interval=10.0)
    with progress.step("build") as step:
        for second in range(25):
            clock.now = float(second)
            step.advance(second, 100)
    middle = [line for line in out.getvalue().splitlines() if "%" in line]
    assert len(middle) == 2, "25 changes in 25 seconds give two lines if the interval is ten seconds"
    assert "10%" in middle[0]


def test_the_last_change_is_printed_even_if_no_change_follows():
    clock, out, progress = plain_progress(interval=10.0)
    with progress.step("build") as step:
        clock.now = 11.0
        step.note("one")
        step.note("two")
        assert "two" not in out.getvalue(), "too soon after the last line"
        clock.now = 22.0
        progress.tick()
    assert "build: two" in out.getvalue()


def test_a_step_without_changes_prints_every_minute_that_it_still_runs():
    clock, out, progress = plain_progress()
    with progress.step("outer"), progress.step("inner"):
        for second in range(0, 200, 2):
            clock.now = float(second)
            progress.tick()
    assert out.getvalue().count("outer > inner: still running") == 3
    assert "outer: still" not in out.getvalue(), "only the innermost step prints the line"


def test_a_closed_output_stream_does_not_stop_the_command():
    _, out, progress = plain_progress()
    out.close()
    with progress.step("build"):
        pass


def test_every_command_writes_a_log_file(tmp_path):
    with reporter("up", io.StringIO(), tmp_path) as progress, progress.step("build"):
        pass
    (log,) = tmp_path.glob("*-up.log")
    assert "build done" in log.read_text()


def test_old_log_files_are_deleted(tmp_path):
    for number in range(40):
        (tmp_path / f"2020{number:02d}-up.log").write_text("")
    with reporter("up", io.StringIO(), tmp_path):
        pass
    assert len(list(tmp_path.glob("*.log"))) == 21, "twenty old files and the new one"


def test_a_terminal_shows_the_finished_tree():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    progress = Reporter([TerminalSink(out)])
    with progress.step("environment"), progress.step("plan"):
        pass
    last = out.getvalue()[-400:]
    assert "environment" in last
    assert "plan" in last
    assert "✓" in last
