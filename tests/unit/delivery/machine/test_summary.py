"""The summary after `up`: it waits for each endpoint, and prints commands that exist and fit the stack."""

from __future__ import annotations

import shlex
from types import SimpleNamespace

import pytest
from typer.main import get_command

from clients import endpoint
from clients.endpoint import Prediction
from common.errors import UserError
from delivery.cli.main import app
from delivery.console.progress import Reporter
from delivery.environments import held_out
from delivery.environments.outputs import Outputs
from delivery.machine import summary
from tests.tiers import tier_of

WEEK = held_out.HeldOutWeek(
    description="store 2, week 160", request={"data": {"names": ["n"], "ndarray": [[1]]}}, actual=[100.0], labels=["row"]
)


def endpoint_of(version, port):
    return {"url": f"http://localhost:{port}", "version": version, "run": f"run-{version}", "image": "i"}


def environment(name="dev", endpoints=None, listed=("markdown",)):
    outputs = {
        "kubeconfig": "k",
        "registry": "r",
        "servingImage": "i",
        "tracking": {"url": "http://localhost:30000", "username": "admin", "password": "secret password"},
        "endpoints": endpoints or {},
    }
    settings = SimpleNamespace(workloads=dict.fromkeys(listed))
    return SimpleNamespace(
        name=name, tier=tier_of(name), outputs=Outputs.model_validate(outputs), settings=settings, origin_registry=None
    )


@pytest.fixture
def asked(monkeypatch):
    """The endpoints that were waited for, in order: URL and version."""
    waited = []

    def wait_for_version(url, request, _progress, *, version):
        assert request == WEEK.request
        waited.append((url, version))
        return Prediction(values=[90.0], tags={"version": version})

    monkeypatch.setattr(endpoint, "wait_for_version", wait_for_version)
    monkeypatch.setattr(held_out, "held_out_week", lambda _run, _registry: WEEK)
    return waited


def shown(capsys, shown_environment, *, changed=True):
    summary.show(shown_environment, Reporter([]), changed=changed)
    return capsys.readouterr().out


def test_each_endpoint_is_waited_for_and_its_prediction_is_beside_the_sales(asked, capsys):
    two = {"markdown": endpoint_of(3, 30001), "tuna": endpoint_of(1, 30002)}
    text = shown(capsys, environment(endpoints=two, listed=("markdown", "tuna")))
    assert asked == [("http://localhost:30001", 3), ("http://localhost:30002", 1)]
    assert "markdown   http://localhost:30001   version 3, run run-3" in text
    assert text.count("error of the week: 10% of the units sold") == 2
    assert "no version" not in text
    assert (
        f"curl -s http://localhost:30002/api/v1.0/predictions -H 'Content-Type: application/json' -d @{held_out.HELD_OUT}"
        in text
    )


def test_nothing_is_called_up_if_an_endpoint_does_not_answer(asked, capsys, monkeypatch):
    def silent(*_, **__):
        raise UserError("Version 3 does not answer at the endpoint.")

    monkeypatch.setattr(endpoint, "wait_for_version", silent)
    with pytest.raises(UserError, match="does not answer"):
        summary.show(environment(endpoints={"markdown": endpoint_of(3, 30001)}), Reporter([]), changed=True)
    assert capsys.readouterr().out == "", "`up` must not say that everything is up"


@pytest.mark.parametrize(("changed", "line"), [(True, "Everything is up ("), (False, "Nothing to do: everything is up (")])
def test_the_first_line_says_whether_there_was_anything_to_do(asked, capsys, changed, line):
    text = shown(capsys, environment(endpoints={"markdown": endpoint_of(3, 30001)}), changed=changed)
    assert text.lstrip().startswith(line)


def test_a_listed_workload_without_a_release_is_named(asked, capsys):
    text = shown(capsys, environment("stage", listed=("markdown",)))
    assert "markdown   no version is released yet" in text
    assert asked == []


def test_the_password_is_not_printed_but_the_command_that_shows_it_is(asked, capsys):
    text = shown(capsys, environment())
    assert "secret password" not in text, "terminals are shared and logs are kept"
    assert "user admin, password: pulumi stack output tracking --show-secrets --stack dev" in text


@pytest.mark.parametrize("stack", ["dev", "stage", "prod", "tour-prod"])
def test_every_printed_command_of_modelstack_is_accepted_by_the_command_line(stack):
    commands = [shlex.split(line) for line, _ in summary.next_commands(tier_of(stack), "markdown")]
    for program, name, *arguments in commands:
        if program == "modelstack":
            context = get_command(app).commands[name].make_context(name, arguments)  # raises an error for a wrong option
            assert context.params.get("stack") in {stack, "dev", None}


@pytest.mark.parametrize(
    ("stack", "has", "lacks"),
    [
        (
            "dev",
            ["modelstack train markdown", "modelstack release markdown --stack dev", "modelstack tour", "make down"],
            "promote",
        ),
        ("stage", ["modelstack promote markdown --to stage", "modelstack down --stack stage"], "train"),
        ("prod", ["modelstack promote markdown --to prod", "modelstack down --stack prod"], "make down"),
    ],
)
def test_the_next_commands_fit_the_stack(asked, capsys, stack, has, lacks):
    following = shown(capsys, environment(stack)).partition("\nNext:\n")[2]
    commands = [line.strip().partition("  ")[0] for line in following.splitlines()]
    assert [command for command in has if command not in commands] == []
    assert not [command for command in commands if lacks in command]


def test_the_next_commands_name_a_workload_that_the_environment_has(asked, capsys):
    assert "modelstack train tuna" in shown(capsys, environment(listed=("tuna",)))
    both = environment(endpoints={"tuna": endpoint_of(1, 30002)}, listed=("markdown", "tuna"))
    assert "modelstack train tuna" in shown(capsys, both), "one that is served comes first"
    assert "modelstack train markdown" in shown(capsys, environment(listed=())), "an empty environment: the first of all"
