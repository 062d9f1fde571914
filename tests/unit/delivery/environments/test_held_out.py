"""The held-out week of a run, beside an endpoint's answer."""

import json

from clients.endpoint import Prediction
from delivery.environments import held_out

HELD_OUT = held_out.HeldOut.parse(
    json.dumps(
        {
            "describe": "store 2, week 160",
            "request": {
                "data": {"names": ["store", "brand", "price"], "ndarray": [[2, "tropicana", 2.5], [2, "dominicks", 1.0]]}
            },
            "actual": [100, 300],
        }
    )
)


def test_the_prediction_is_shown_beside_what_sold():
    shown = held_out.comparison(HELD_OUT, Prediction(values=[90.0, 310.0], tags={}))
    assert shown.splitlines()[0] == "store 2, week 160"
    assert "tropicana" in shown
    assert "error of the week: 5% of the units sold" in shown


def test_the_held_out_week_of_a_run_is_asked_for_once(tmp_path, monkeypatch):
    monkeypatch.setattr(held_out, "HELD_OUT", tmp_path)
    asked = []

    class ModelRegistry:
        def artifact(self, run, path):
            asked.append((run, path))
            return json.dumps({"describe": "d", "request": {"data": {}}, "actual": [1]}).encode()

    assert held_out.held_out("r1", ModelRegistry) == held_out.held_out("r1", ModelRegistry)
    assert asked == [("r1", "held_out.json")]
    assert json.loads((tmp_path / "r1.json").read_text()) == {"data": {}}, "the body that the printed curl line sends"
