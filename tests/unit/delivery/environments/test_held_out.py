"""The held-out week of a run beside the predictions of an endpoint."""

import json

from clients.endpoint import Prediction
from delivery.environments import held_out

WEEK = held_out.HeldOutWeek.parse(
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


def test_the_table_shows_predictions_beside_the_sold_units():
    table = held_out.comparison(WEEK, Prediction(values=[90.0, 310.0], tags={}))
    assert table.splitlines()[0] == "store 2, week 160"
    assert "tropicana" in table
    assert "error of the week: 5% of the units sold" in table


def test_the_held_out_week_of_a_run_is_downloaded_once(tmp_path, monkeypatch):
    monkeypatch.setattr(held_out, "HELD_OUT", tmp_path)
    requests = []

    class FakeModelRegistry:
        def artifact(self, run, path):
            requests.append((run, path))
            return json.dumps({"describe": "d", "request": {"data": {}}, "actual": [1]}).encode()

    assert held_out.held_out_week("r1", FakeModelRegistry) == held_out.held_out_week("r1", FakeModelRegistry)
    assert requests == [("r1", "held_out.json")]
    assert json.loads((tmp_path / "r1.json").read_text()) == {"data": {}}, "the printed curl command sends this request body"
