"""What the engine tells while it works."""

from pulumi.automation.events import EngineEvent

from delivery.stacks.events import Watcher, plain, short

URN = "urn:pulumi:dev::modelstack::modelstack:cluster:EmbeddedCluster$kubernetes:apps/v1:Deployment::router"


class Step:
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


def test_what_is_under_way_and_how_much_is_done_is_shown():
    step = Step()
    watcher = Watcher(step, expected=2)
    watcher(event("resourcePreEvent"))
    watcher(event("resourcePreEvent", URN + "2", "update"))
    assert step.notes[-1] == "0 of 2 updating Deployment router2 and 1 more"
    watcher(event("resOutputsEvent"))
    assert step.shares[-1] == (1, 2)


def test_what_stays_the_same_is_no_change():
    watcher = Watcher(Step())
    watcher(event("resourcePreEvent", operation="same"))
    assert watcher.changes == {}


def test_a_replacement_is_one_change():
    step = Step()
    watcher = Watcher(step, expected=1)
    for operation in ("create-replacement", "replace", "delete-replaced"):
        watcher(event("resourcePreEvent", operation=operation))
        watcher(event("resOutputsEvent", operation=operation))
    assert step.shares[-1] == (1, 1), "never more than expected"


def test_errors_are_kept_with_the_resource_they_belong_to_and_warnings_are_not():
    watcher = Watcher(Step())
    watcher(diagnostic("error", "<{%reset%}>no such image"))
    watcher(diagnostic("warning", "deprecated"))
    watcher(diagnostic("error", "stack", "urn:pulumi:dev::modelstack::pulumi:pulumi:Stack::modelstack-dev"))
    assert watcher.diagnostics == ["Deployment router: no such image", "stack"]
