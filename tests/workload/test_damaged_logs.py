"""A trace or a log with any value in any place is read or refused with a message; nothing else is raised."""

import copy
import json
from contextlib import suppress

import pytest

from convbench import workload
from convbench.errors import ConvbenchError

EVENT = {
    "ph": "X", "cat": "cpu_op", "name": "aten::convolution_backward", "pid": 1, "tid": 1, "ts": 1, "dur": 2,
    "args": {
        "Input Dims": [[2, 4, 6, 7], [2, 3, 6, 7], [4, 3, 3, 3], [], [], [], [], [], [], [], []],
        "Input Strides": [[168, 42, 7, 1], [126, 42, 7, 1], [27, 9, 3, 1], [], [], [], [], [], [], [], []],
        "Input type": ["float", "float", "float", "", "", "", "", "", "", "", ""],
        "Concrete Inputs": [
            "", "", "", "[4]", "[1, 1]", "[1, 1]", "[1, 1]", "False", "[0, 0]", "1", "[True, True, True]",
        ],
    },
}  # fmt: skip
TRACE = {"schemaVersion": 1, "traceEvents": [EVENT]}
NODE = {
    "tag": "CONV_FPROP", "name": "stem", "inputs": {"X": 1, "W": 2}, "outputs": {"Y": 3}, "stride": [1, 1],
    "dilation": [1, 1], "pre_padding": [1, 1], "post_padding": [1, 1], "math_mode": "CROSS_CORRELATION",
}  # fmt: skip
POINTWISE = {"tag": "POINTWISE", "inputs": {"IN_0": 3}, "outputs": {"OUT_0": 4}}
TENSORS = [
    {"uid": 1, "dim": [4, 64, 16, 16], "stride": [16384, 1, 1024, 64], "data_type": None, "is_virtual": False},
    {"uid": 2, "dim": [64, 32, 3, 3], "stride": [288, 1, 96, 32], "data_type": "HALF", "is_virtual": False},
    {"uid": 3, "dim": [], "stride": [], "data_type": None, "is_virtual": True},
]
GRAPH = {
    "context": {"io_data_type": "HALF"}, "cudnn_frontend_version": 13200, "nodes": [NODE, POINTWISE],
    "tensors": TENSORS,
}  # fmt: skip
VALUES = (None, True, -1, 0, float("nan"), "x", "[a, b]", [[1]], [None] * 4, {}, 10**30)


def places(value, path=()):
    """The path of every part of a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield (*path, key)
        yield from places(part, (*path, key))


def damaged(value, path, new):
    """A copy of a value with another one in a place."""
    copied = copy.deepcopy(value)
    part = copied
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = new
    return copied


@pytest.mark.parametrize("whole", [TRACE, GRAPH], ids=["trace", "graph"])
def test_any_value_in_any_place_is_read_or_refused(tmp_path, whole):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(whole))
    assert workload.load(str(path)).layers
    tried = 0
    for place in places(whole):
        for value in VALUES:
            path.write_text(json.dumps(damaged(whole, place, value)))
            with suppress(ConvbenchError):
                assert workload.load(str(path)).macs > 0
            tried += 1
    assert tried > 500


@pytest.mark.parametrize("whole", [TRACE, GRAPH], ids=["trace", "graph"])
def test_a_log_that_breaks_off_anywhere_is_read_or_refused(tmp_path, whole):
    path, text = tmp_path / "run.json", json.dumps(whole)
    for end in range(0, len(text), 7):
        path.write_text(text[:end])
        with suppress(ConvbenchError):
            workload.load(str(path))
