"""A stack through the Automation API: how it is opened, and what a failure of the engine says."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from pulumi.automation import CommandResult
from pulumi.automation.errors import CommandError, ConcurrentUpdateError
from pulumi.automation.events import EngineEvent

from common import paths
from common.errors import UserError
from delivery.console.progress import Reporter
from delivery.stacks import variables
from delivery.stacks.engine import Engine
from delivery.stacks.engine_errors import EngineError
from delivery.stacks.stack import Stack

NO_STACK = "error: no stack named 'dev' found\n"
PASSPHRASE = "error: get stack secrets manager: incorrect passphrase, please set PULUMI_CONFIG_PASSPHRASE\n"
URN = "urn:pulumi:dev::modelstack::kubernetes:apps/v1:Deployment::router"


@pytest.mark.parametrize("open_stack", [Stack.select, Stack.create])
def test_without_an_engine_no_stack_is_opened_and_nothing_is_written(engine, tmp_path, open_stack):
    with pytest.raises(UserError, match=r"(?s)no engine yet.*make up"):
        open_stack("dev")
    assert not (tmp_path / ".modelstack").exists()


def test_a_missing_stack_is_named_with_the_backend(engine):
    engine.answers(("stack select", "", NO_STACK, 255))
    with pytest.raises(UserError) as refused:
        Stack.select("dev")
    assert "There is no stack dev in the backend" in str(refused.value)
    assert paths.BACKEND.as_uri() in str(refused.value), "it may be in the backend of another checkout"
    assert not [call for call in engine.calls if "init" in call], "select creates nothing"


def test_create_creates_a_stack_only_if_the_backend_has_none(engine):
    engine.answers(("stack select", "", NO_STACK, 255))
    Stack.create("dev")
    assert any("stack init" in call and "dev" in call for call in engine.calls)
    engine.answers()
    (paths.CHECKOUT / "calls").unlink()
    Stack.create("dev")
    assert not [call for call in engine.calls if "init" in call]


def test_a_wrong_passphrase_names_the_file_for_the_right_one(engine):
    engine.answers(("stack select", "", PASSPHRASE, 255))
    with pytest.raises(EngineError) as refused:
        Stack.select("dev")
    assert "Pulumi.dev.yaml are encrypted with another passphrase" in str(refused.value)
    assert str(paths.PASSPHRASE) in str(refused.value)


def test_any_other_failure_shows_the_last_lines_of_the_engine(engine):
    engine.answers(("stack select", "", "error: <{%fg 1%}>the disk fell off<{%reset%}>\n", 255))
    with pytest.raises(EngineError, match=r"(?s)Stack dev cannot be opened.*the disk fell off"):
        Stack.select("dev")


class Opened:
    """A stack of the Automation API. Operations send `events`, and then fail if `fails` is set."""

    def __init__(self, *events, fails=False):
        self.events, self.fails, self.targets = events, fails, None

    def _operation(self, on_event, target=None):
        self.targets = target
        for event in self.events:
            on_event(EngineEvent.from_json({"sequence": 1, "timestamp": 1, **event}))
        if self.fails:
            raise CommandError(CommandResult(stdout="", stderr="the engine's own words", code=255))

    preview = up = refresh = destroy = _operation

    def history(self):
        return []


def begins(operation, urn=URN):
    return {"resourcePreEvent": {"metadata": {"op": operation, "urn": urn, "type": "t"}}}


def complains(message):
    return {"diagnosticEvent": {"severity": "error", "message": message, "urn": URN, "color": "never"}}


OPERATIONS = {
    "preview": lambda stack: stack.preview(Reporter([])),
    "up": lambda stack: stack.up(Reporter([])),
    "refresh": lambda stack: stack.refresh(Reporter([]), [URN]),
    "destroy": lambda stack: stack.destroy(Reporter([])),
}


@pytest.fixture
def of(engine):
    """Returns a stack of an opened one of the Automation API."""
    engine.answers(("stack export", '{"deployment": {"resources": [{}, {}]}}', "", 0))
    return lambda opened: Stack("dev", opened, Engine.find())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_failed_operation_shows_each_diagnostic_once_and_how_to_continue(of, operation):
    with pytest.raises(EngineError) as failed:
        OPERATIONS[operation](of(Opened(complains("no such image"), complains("no such image"), fails=True)))
    message = str(failed.value)
    assert f"`pulumi {operation}` failed on stack dev" in message
    assert message.count("Deployment router: no such image") == 1
    assert "run the same command again" in message
    assert "own words" not in message, "the output repeats the diagnostics"


def test_a_failure_without_diagnostics_shows_the_output_of_the_engine(of):
    with pytest.raises(EngineError, match="the engine's own words"):
        OPERATIONS["up"](of(Opened(fails=True)))


def test_an_interrupt_is_not_an_error_of_the_engine(of):
    opened = Opened()
    opened.up = lambda on_event: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        OPERATIONS["up"](of(opened))


def test_a_preview_counts_what_would_change_and_nothing_else(of):
    events = (begins("same"), begins("create", f"{URN}1"), begins("update", f"{URN}2"), begins("read", f"{URN}3"))
    assert OPERATIONS["preview"](of(Opened(*events))) == 2


def test_an_update_returns_what_changed(of):
    assert OPERATIONS["up"](of(Opened(begins("same", f"{URN}1"), begins("update")))) == {URN: "update"}


def test_a_refresh_asks_only_about_its_targets(of):
    opened = Opened()
    of(opened).refresh(Reporter([]), [URN])
    assert opened.targets == [URN], "a whole refresh asks about every object of the cluster"


def test_the_state_is_the_deployment_of_the_export(of):
    assert of(Opened()).state() == {"resources": [{}, {}]}


def test_the_state_of_a_stack_without_an_update_is_empty(engine):
    engine.answers(("stack export", '{"version": 3, "deployment": null}', "", 0))
    assert Stack("dev", Opened(), Engine.find()).state() == {}


def test_a_state_is_imported_in_the_form_of_an_export(engine, tmp_path):
    engine.answers()
    opened = Stack("dev", Opened(), Engine.find())
    engine.script(f'echo "$*" > {tmp_path}/calls; cp "$5" {tmp_path}/file')
    opened.replace_state({"resources": []})
    (call,) = engine.calls
    assert call.startswith("--non-interactive stack import --file ")
    assert call.endswith(" --stack dev")
    assert json.loads((tmp_path / "file").read_text()) == {"version": 3, "deployment": {"resources": []}}


def test_a_stack_is_removed_with_its_history_but_its_file_stays(engine):
    engine.answers()
    Stack("dev", Opened(), Engine.find()).remove()
    (call,) = engine.calls
    assert {"stack", "rm", "--yes", "--force", "--preserve-config", "--stack", "dev"} <= set(call.split()), (
        "without --preserve-config the engine deletes Pulumi.dev.yaml"
    )


def test_a_failed_command_is_named_with_the_last_lines(engine):
    engine.answers(("stack export", "", "\n".join(f"line {number}" for number in range(40)), 1))
    with pytest.raises(EngineError) as failed:
        Stack("dev", Opened(), Engine.find()).state()
    assert "`pulumi stack export` failed on stack dev" in str(failed.value)
    assert "line 39" in str(failed.value)
    assert "line 3\n" not in str(failed.value)


def test_the_engine_passes_its_lines_on_and_returns_output_and_code(engine, tmp_path):
    engine.answers(("about", "one\ntwo\n", "three\n", 0))
    lines = SimpleNamespace(out=[], err=[])
    done = Engine.find().run(["about"], str(tmp_path), {"X": "y"}, lines.out.append, lines.err.append)
    assert (lines.out, lines.err) == (["one", "two"], ["three"])
    assert (done.stdout, done.stderr, done.code) == ("one\ntwo", "three", 0)
    assert engine.environ["X"] == "y"


def test_the_engine_raises_the_sdk_s_own_error_for_a_lock(engine, tmp_path):
    engine.answers(("up", "", "error: [409] Conflict: Another update is currently in progress.", 255))
    with pytest.raises(ConcurrentUpdateError):
        Engine.find().run(["up"], str(tmp_path), {})


def test_a_stack_that_cannot_be_opened_names_the_backend_and_what_to_check(engine):
    engine.answers(("stack select", "some output", "error: could not read the bucket: 401\n", 255))
    with pytest.raises(EngineError) as refused:
        Stack.select("dev")
    assert str(refused.value).splitlines()[1:3] == [
        f"  where: {variables.shown_backend()}",
        "  found: error: could not read the bucket: 401",
    ], "without the exit code and the standard output, which the SDK puts before the error"
    assert "PULUMI_BACKEND_URL" in refused.value.fix


@pytest.mark.parametrize("printed", [NO_STACK, "error: could not read the bucket: 401\n"])
def test_the_password_in_the_url_of_a_backend_is_not_shown(engine, monkeypatch, printed):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "postgres://user:hidden@db.example/states")
    engine.answers(("stack select", "", printed, 255))
    with pytest.raises(UserError) as refused:
        Stack.select("dev")
    assert "postgres://db.example/states" in str(refused.value)
    assert "hidden" not in str(refused.value)
