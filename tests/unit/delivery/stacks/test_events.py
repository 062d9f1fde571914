"""Events of the engine, as progress and diagnostics."""

from pulumi.automation.events import EngineEvent

from delivery.stacks.events import EventHandler, plain, short

URN = "urn:pulumi:dev::modelstack::modelstack:cluster:EmbeddedCluster$kubernetes:apps/v1:Deployment::router"


class FakeStep:
    def __init__(self):
        self.notes, self.shares = [], []

    def advance(self, done, total=None):
        self.shares.append((done, total))

    def note(self, text):
        self.notes.append(text)


def event(kind, urn=URN, operation="create"):
    return EngineEvent.from_json(
        {"sequence": 1, "timestamp": 1, kind: {"metadata": {"op": operation, "urn": urn, "type": "t"}}}
    )


def diagnostic(severity, message, urn=URN):
    return EngineEvent.from_json(
        {
            "sequence": 1,
            "timestamp": 1,
            "diagnosticEvent": {"severity": severity, "message": message, "urn": urn, "color": "never"},
        }
    )


def test_a_resource_is_shown_by_its_kind_and_name():
    assert short(URN) == "Deployment router"


def test_colour_marks_of_the_engine_are_not_shown():
    assert plain("<{%fg 1%}>error:<{%reset%}> no such image\n") == "error: no such image"


def test_the_step_shows_the_current_operations_and_how_many_changes_are_done():
    step = FakeStep()
    handler = EventHandler(step, expected=2)
    handler(event("resourcePreEvent"))
    handler(event("resourcePreEvent", URN + "2", "update"))
    assert step.notes[-1] == "0 of 2 updating Deployment router2 and 1 more"
    handler(event("resOutputsEvent"))
    assert step.shares[-1] == (1, 2)


def test_an_unchanged_resource_is_not_counted_as_a_change():
    handler = EventHandler(FakeStep())
    handler(event("resourcePreEvent", operation="same"))
    assert handler.changes == {}


def test_a_replacement_is_one_change():
    step = FakeStep()
    handler = EventHandler(step, expected=1)
    for operation in ("create-replacement", "replace", "delete-replaced"):
        handler(event("resourcePreEvent", operation=operation))
        handler(event("resOutputsEvent", operation=operation))
    assert step.shares[-1] == (1, 1), "never more than expected"


def test_errors_are_collected_with_the_name_of_their_resource_and_warnings_are_not():
    handler = EventHandler(FakeStep())
    handler(diagnostic("error", "<{%reset%}>no such image"))
    handler(diagnostic("warning", "deprecated"))
    handler(diagnostic("error", "stack", "urn:pulumi:dev::modelstack::pulumi:pulumi:Stack::modelstack-dev"))
    assert handler.diagnostics == ["Deployment router: no such image", "stack"]
