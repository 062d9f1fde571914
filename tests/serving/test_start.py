"""A model that cannot be served: the process ends with one message and an exit code, and opens no port."""

from __future__ import annotations

import sys

import pytest

import workloads
from tests.serving import tiny
from tests.serving.microservice import DEADLINE, Microservice
from workloads.serving.errors import ModelError
from workloads.serving.loading import load

LACKS_ANSWER = tiny.CODE.partition("def answer")[0]


@pytest.fixture
def _restored_imports():
    """Restores the import state. A process normally loads one model, but this test process loads several."""
    path, modules, package = sys.path.copy(), set(sys.modules), workloads.__path__.copy()
    yield
    sys.path[:], workloads.__path__[:] = path, package
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_a_process_without_a_model_ends_with_one_message(tmp_path):
    service = Microservice(tiny.write(tmp_path, onnx=b"not a model"))
    code = service.process.wait(DEADLINE)
    log = service.log.read_text()
    assert code == 1, log
    assert "Traceback" not in log, "the model is at fault, not the program"
    assert "Listening" not in log, "no port is opened without a model"
    assert "This model cannot be served.\n" in log
    assert "model.onnx is not a model that onnxruntime" in log


@pytest.mark.usefixtures("_restored_imports")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"onnx": b"not a model"}, "model.onnx is not a model that onnxruntime"),
        ({"onnx": b""}, "model.onnx is not a model that onnxruntime"),
        ({"code": "import pandas_of_the_future"}, "cannot be imported: ModuleNotFoundError"),
        ({"code": "def ("}, "cannot be imported: SyntaxError"),
        ({"code": LACKS_ANSWER}, "serving.py lacks answer"),
        ({"code": tiny.CODE.replace('"brand": str', '"brand": list')}, "REQUEST_COLUMNS['brand'] is <class 'list'>"),
        ({"code": tiny.CODE.replace(', "brand": "dominicks"', "")}, "REQUEST_EXAMPLE lacks brand"),
        ({"code": tiny.CODE.replace('"price": 2.5', '"price": "2.5"')}, "cannot answer the code's own REQUEST_EXAMPLE"),
        ({"code": tiny.CODE.replace(', np.ones(len(columns["price"]))', "")}, "cannot answer the code's own REQUEST_EXAMPLE"),
        ({"release": {"workload": "tiny"}}, "release.json is not a release"),
        ({"release": []}, "release.json is not a release"),
    ],
)
def test_the_error_for_a_model_that_cannot_be_served_gives_the_reason(tmp_path, fault, words):
    folder = tiny.write(tmp_path, **fault)
    with pytest.raises(ModelError) as caught:
        load(folder / "model", folder / "release.json")
    assert words in str(caught.value)


@pytest.mark.usefixtures("_restored_imports")
def test_a_model_with_two_serving_modules_is_refused(tmp_path):
    folder = tiny.write(tmp_path)
    other = folder / "model" / "code" / "workloads" / "other"
    other.mkdir(parents=True)
    (other / "serving.py").write_text(tiny.CODE)
    with pytest.raises(ModelError, match=r"exactly one serving.py; found: code/serving.py, code/workloads/other/serving.py"):
        load(folder / "model", folder / "release.json")


@pytest.mark.usefixtures("_restored_imports")
def test_code_in_the_package_workloads_can_import_its_neighbours(tmp_path):
    folder = tiny.write(tmp_path)
    package = folder / "model" / "code" / "workloads" / "fruit"
    package.mkdir(parents=True)
    (folder / "model" / "code" / "serving.py").unlink()
    (package / "__init__.py").touch()
    (package / "columns.py").write_text(tiny.CODE)
    (package / "serving.py").write_text(
        "from workloads.fruit.columns import REQUEST_COLUMNS, REQUEST_EXAMPLE, answer, features_of_request\n"
    )
    model = load(folder / "model", folder / "release.json")
    assert model.predict(model.reader.example_columns)[1].tolist() == [[8.0]]
