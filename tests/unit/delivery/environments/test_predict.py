"""`modelstack predict`: the predictions of an endpoint, and what is missing if there is none."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from clients import endpoint
from clients.endpoint import Prediction
from common.errors import UserError
from delivery.environments import held_out, predict
from delivery.environments.environment import Environment
from delivery.environments.outputs import Outputs

HELD_OUT = {
    "describe": "store 2, week 160",
    "request": {"data": {"names": ["store"], "ndarray": [[2], [5]]}},
    "actual": [100, 300],
}
TRAINING = {"namespace": "training", "cronJob": "c", "image": "i"}


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """dev, which trains markdown and tuna and serves markdown only. `requests` has what was asked of whom."""
    requests = []
    outputs = {
        "kubeconfig": "k",
        "registry": "r",
        "servingImage": "i",
        "tracking": {"url": "u", "username": "n", "password": "p"},
        "training": {"markdown": TRAINING, "tuna": TRAINING},
        "endpoints": {"markdown": {"url": "http://localhost:30001", "version": 3, "run": "run-3", "image": "i"}},
    }

    def artifact(run, path):
        requests.append((run, path))
        return json.dumps(HELD_OUT).encode()

    def answer(url, request):
        requests.append((url, request))
        return Prediction(values=[90.0, 310.0], tags={"workload": "markdown", "version": 3})

    environment = SimpleNamespace(
        outputs=Outputs.model_validate(outputs), origin_registry=SimpleNamespace(artifact=artifact), requests=requests
    )
    monkeypatch.setattr(held_out, "HELD_OUT", tmp_path)
    monkeypatch.setattr(Environment, "open", lambda _stack: environment)
    monkeypatch.setattr(endpoint, "predict", answer)
    return environment


def test_the_held_out_week_of_the_served_run_is_predicted_beside_the_sales(opened, capsys):
    predict.main("dev", "markdown")
    asked = ("http://localhost:30001", HELD_OUT["request"])
    assert opened.requests == [("run-3", "held_out.json"), asked], "the week that the run of the stable version has not used"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "store 2, week 160"
    assert lines[-2:] == ["  error of the week: 5% of the units sold", "  answered by workload markdown, version 3"]


def test_a_workload_without_a_release_has_no_endpoint_and_the_way_to_one_is_shown(opened):
    with pytest.raises(UserError, match="tuna has no endpoint in stack dev yet") as refused:
        predict.main("dev", "tuna")
    assert "modelstack train tuna`, `modelstack release tuna --stack dev`, then `make up" in refused.value.fix
    assert opened.requests == []


def test_an_unknown_workload_is_refused_with_the_names_that_there_are(opened):
    with pytest.raises(UserError, match=r"(?s)no workload of this name.*markdwon.*markdown, tuna"):
        predict.main("dev", "markdwon")
    assert opened.requests == []


def test_predictions_are_not_shown_if_the_endpoint_refuses(opened, monkeypatch, capsys):
    def refuse(_url, _request):
        raise UserError("The endpoint refuses the request.")

    monkeypatch.setattr(endpoint, "predict", refuse)
    with pytest.raises(UserError, match="refuses"):
        predict.main("dev", "markdown")
    assert capsys.readouterr().out == ""
