"""What commands tell while they work."""

import io

import pytest

from delivery.console.progress import PlainSink, Reporter, reporter
from delivery.console.terminal import TerminalSink


class Clock:
    """A clock that tests move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def plain(quiet=10.0):
    clock, out = Clock(), io.StringIO()
    return clock, out, Reporter([PlainSink(out, clock, quiet)], clock)


def test_a_step_is_told_when_it_begins_and_how_long_it_took():
    clock, out, progress = plain()
    with progress.step("build"):
        clock.now = 12.3
    assert out.getvalue() == "[    0.0 s] build ...\n[   12.3 s] build done (12.3 s)\n"


def test_nested_steps_tell_what_they_belong_to():
    _, out, progress = plain()
    with progress.step("environment"), progress.step("plan") as step:
        step.note("3 to change")
    assert "environment > plan done (0.0 s): 3 to change" in out.getvalue()


def test_a_step_that_an_exception_leaves_has_failed_and_so_have_those_around_it():
    _, out, progress = plain()
    with pytest.raises(KeyboardInterrupt), progress.step("outer"), progress.step("inner"):
        raise KeyboardInterrupt
    assert "outer > inner failed" in out.getvalue()
    assert "outer failed" in out.getvalue()


def test_plain_lines_repeat_the_state_of_a_long_step_but_not_too_often():
    clock, out, progress = plain(quiet=10.0)
    with progress.step("build") as step:
        for second in range(25):
            clock.now = float(second)
            step.advance(second, 100)
    middle = [line for line in out.getvalue().splitlines() if "%" in line]
    assert len(middle) == 2, "25 changes in 25 seconds are two lines at one in ten seconds"
    assert "10%" in middle[0]


def test_the_last_change_is_told_even_if_nothing_happens_after_it():
    clock, out, progress = plain(quiet=10.0)
    with progress.step("build") as step:
        clock.now = 11.0
        step.note("one")
        step.note("two")
        assert "two" not in out.getvalue(), "too soon after the last line"
        clock.now = 22.0
        progress.tick()
    assert "build: two" in out.getvalue()


def test_a_step_that_is_silent_for_long_says_that_it_is_still_at_it():
    clock, out, progress = plain()
    with progress.step("outer"), progress.step("inner"):
        for second in range(0, 200, 2):
            clock.now = float(second)
            progress.tick()
    assert out.getvalue().count("outer > inner: still at it") == 3
    assert "outer: still" not in out.getvalue(), "the innermost step speaks for those around it"


def test_a_reader_that_went_away_does_not_stop_the_work():
    _, out, progress = plain()
    out.close()
    with progress.step("build"):
        pass


def test_every_command_leaves_a_log(tmp_path):
    with reporter("up", io.StringIO(), tmp_path) as progress, progress.step("build"):
        pass
    (log,) = tmp_path.glob("*-up.log")
    assert "build done" in log.read_text()


def test_old_logs_are_cleared(tmp_path):
    for number in range(40):
        (tmp_path / f"2020{number:02d}-up.log").write_text("")
    with reporter("up", io.StringIO(), tmp_path):
        pass
    assert len(list(tmp_path.glob("*.log"))) == 21, "twenty old ones and this one"


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
