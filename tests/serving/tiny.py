"""A minimal model folder: the input is price and stock, the output is 10 - 2 * price + stock.

The packages of the serving image do not include `onnx`, so this module encodes the few fields that a matrix product needs
(protobuf: a key, then a varint or a length and bytes).
"""

from __future__ import annotations

import json
import struct

CODE = """
import numpy as np

REQUEST_COLUMNS = {"price": float, "stock": int, "deal": bool, "brand": str}
REQUEST_EXAMPLE = {"price": 2.5, "stock": 3, "deal": False, "brand": "dominicks"}

def features_of_request(columns):
    if (columns["price"] < 0).any():
        raise ValueError("a price is below zero")
    return np.column_stack([columns["price"], columns["stock"], np.ones(len(columns["price"]))]).astype(np.float32)

def answer(columns, prediction):
    if (columns["brand"] == "breaks").any():
        raise RuntimeError("secret of the code")
    return ["units"], prediction.astype(np.float64)
"""
WEIGHTS = (-2.0, 1.0, 10.0)
RELEASE = {
    "workload": "tiny",
    "version": 3,
    "run": "0f3cb14f6d2d4a0c9c1f6f6a1c2b3d4e",
    "data": "sha256:00",
    "revision": "1a2b3c4",
}


def write(folder, *, code=CODE, onnx=None, release=RELEASE):
    """Writes `model/` and `release.json` to `folder`, as in the image of a release."""
    (folder / "model" / "code").mkdir(parents=True)
    (folder / "model" / "code" / "serving.py").write_text(code)
    (folder / "model" / "model.onnx").write_bytes(model() if onnx is None else onnx)
    (folder / "release.json").write_text(json.dumps(release))
    return folder


def model():
    node = _text(1, "X") + _text(1, "W") + _text(2, "Y") + _text(4, "MatMul")
    weights = _number(1, 3) + _number(1, 1) + _number(2, 1) + _text(8, "W") + _bytes(9, struct.pack("<3f", *WEIGHTS))
    graph = _bytes(1, node) + _text(2, "tiny") + _bytes(5, weights) + _bytes(11, _value("X", 3)) + _bytes(12, _value("Y", 1))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13))


def _value(name, width):
    rows, columns = _text(2, "rows"), _number(1, width)
    tensor = _number(1, 1) + _bytes(2, _bytes(1, rows) + _bytes(1, columns))
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _number(field, value):
    return _varint(field << 3) + _varint(value)


def _text(field, value):
    return _bytes(field, value.encode())


def _bytes(field, value):
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value):
    if value < 0x80:
        return bytes([value])
    return bytes([value & 0x7F | 0x80]) + _varint(value >> 7)
