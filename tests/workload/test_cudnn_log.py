"""The convolution nodes of graphs in a log of cuDNN's frontend are read, in both versions of its JSON."""

import json

import pytest

from convbench import workload
from convbench.errors import ConvbenchError

CONV = {"stride": [1, 1], "dilation": [1, 1], "pre_padding": [1, 1], "post_padding": [1, 1], "math_mode": None}
X = {"dim": [4, 64, 16, 16], "stride": [16384, 1, 1024, 64]}  # channels last
W = {"dim": [64, 32, 3, 3], "stride": [288, 1, 96, 32]}
DX = {"dim": [4, 64, 16, 16], "stride": []}
DY = {"dim": [4, 64, 16, 16], "stride": [16384, 256, 16, 1]}


def node(tag, inputs, outputs, **more):
    return {"tag": tag, "name": "", "inputs": inputs, "outputs": outputs, **CONV, **more}


def graph(nodes, tensors, version="2.0", dtype="HALF"):
    """A graph as the frontend logs it; tensors by uid."""
    facts = {
        uid: {"data_type": None, "is_virtual": not one["dim"], "name": f"t{uid}", "uid": uid, **one}
        for uid, one in tensors.items()
    }
    return {
        "context": {"io_data_type": dtype, "compute_data_type": "FLOAT"}, "cudnn_frontend_version": 13200,
        "json_version": version, "nodes": nodes,
        "tensors": list(facts.values()) if version == "2.0" else {str(uid): one for uid, one in facts.items()},
    }  # fmt: skip


def log(path, *graphs):
    """The path of a log; each graph has a line of its own, after a line of the frontend."""
    path.write_text("".join(f"[cudnn_frontend] INFO: something\n{json.dumps(one)}\n" for one in graphs))
    return str(path)


def found(path):
    return [(str(layer.problem), layer.direction, layer.count, layer.place) for layer in workload.load(path).layers]


FORWARD = graph([node("CONV_FPROP", {"X": 1, "W": 2}, {"Y": 3}, name="stem")], {1: X, 2: W, 3: {"dim": []}})


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_three_directions_are_read(tmp_path, version):
    graphs = [
        graph([node("CONV_FPROP", {"X": 1, "W": 2}, {"Y": 3})], {1: X, 2: W, 3: {"dim": []}}, version),
        graph([node("CONV_DGRAD", {"DY": 1, "W": 2}, {"DX": 3})], {1: DY, 2: W, 3: DX}, version),
        graph([node("CONV_WGRAD", {"DY": 1, "X": 2}, {"DW": 3})], {1: DY, 2: X, 3: W}, version, "BFLOAT16"),
        graph([node("CONV_DGRAD", {"DY": 1, "W": 2}, {"DX": 3})], {1: DY, 2: W, 3: DX}, version),
    ]
    assert found(log(tmp_path / "run.log", *graphs)) == [
        ("n4c64h16w16-k64r3s3-pad1-g2-float16-NHWC", "forward", 1, "line 2"),
        ("n4c64h16w16-k64r3s3-pad1-g2-float16-KRSC", "backward_data", 2, "lines 4, 8"),
        ("n4c64h16w16-k64r3s3-pad1-g2-bfloat16-NHWC", "backward_weights", 1, "line 6"),
    ]


def test_tensors_may_be_named_by_their_names(tmp_path):
    named = graph([node("CONV_FPROP", {"X": "image", "W": "filter"}, {"Y": "out"})], {})
    named["tensors"] = {"image": X, "filter": W, "out": {"dim": [4, 64, 16, 16]}}
    assert [problem for problem, *_ in found(log(tmp_path / "run.log", named))] == [
        "n4c64h16w16-k64r3s3-pad1-g2-float16-NHWC"
    ]


def test_a_name_of_several_filters_is_told(tmp_path):
    """Version 1.0 keeps the sizes of the last tensor with a name; the filters of two layers may have one name."""
    nodes = [node("CONV_FPROP", {"X": "x", "W": "weight"}, {"Y": name}) for name in ("y", "z")]
    named = graph(nodes, {})
    named["tensors"] = {"x": X, "weight": W}
    path = log(tmp_path / "run.log", named)
    assert "line 2: several nodes have a filter with the name weight" in workload.load(path).notes[1]
    assert len(workload.load(log(tmp_path / "run.log", FORWARD)).notes) == 1


def test_the_two_paddings_stride_and_dilation_are_those_of_the_node(tmp_path):
    more = {"stride": [2, 1], "dilation": [1, 2], "pre_padding": [1, 0], "post_padding": [1, 2]}
    one = graph([node("CONV_FPROP", {"X": 1, "W": 2}, {"Y": 3}, **more)], {1: X, 2: W, 3: {"dim": [4, 64, 8, 14]}})
    assert [problem for problem, *_ in found(log(tmp_path / "run.log", one))] == [
        "n4c64h16w16-k64r3s3-pad1x0.2-stride2x1-dil1x2-g2-float16-NHWC"
    ]


def test_a_tensor_inside_of_a_graph_has_the_sizes_that_follow(tmp_path):
    nodes = [
        node("CONV_FPROP", {"X": 1, "W": 2}, {"Y": 3}, name="first"),
        {"tag": "POINTWISE", "name": "relu", "inputs": {"IN_0": 3}, "outputs": {"OUT_0": 4}},
        node("CONV_FPROP", {"X": 4, "W": 5}, {"Y": 6}, name="second", stride=[2, 2]),
        {"tag": "RESAMPLE", "name": "pool", "inputs": {"X": 6}, "outputs": {"Y": 7}},
        node("CONV_FPROP", {"X": 7, "W": 5}, {"Y": 8}, name="third"),
    ]
    tensors = {1: X, 2: W, 5: {"dim": [8, 64, 3, 3], "stride": []}}
    loaded = workload.load(
        log(tmp_path / "run.log", graph(nodes, tensors | {uid: {"dim": []} for uid in (3, 4, 6, 7)}))
    )
    assert [(layer.name, str(layer.problem)) for layer in loaded.layers] == [
        ("first", "n4c64h16w16-k64r3s3-pad1-g2-float16-NHWC"),
        ("second", "n4c64h16w16-k8r3s3-pad1-stride2-float16-NHWC"),
    ]
    (skipped,) = loaded.skipped
    assert "line 2: CONV_FPROP node 'third': the log has no sizes of X" in skipped
    assert loaded.notes[1].endswith("nodes of other operations: 1 × POINTWISE, 1 × RESAMPLE")


@pytest.mark.parametrize(
    ("tensors", "more", "name"),
    [
        ({1: X, 2: W, 3: {"dim": [], "data_type": "FLOAT"}}, {}, "CONV_FPROP [Y FLOAT]"),
        ({1: X | {"stride": [1, 2, 3, 4]}, 2: W}, {}, "CONV_FPROP [X strides [1, 2, 3, 4]]"),
        ({1: X, 2: W}, {"math_mode": "CONVOLUTION"}, "CONV_FPROP [flipped filter]"),
    ],
)
def test_what_a_problem_does_not_have_stands_in_the_name(tmp_path, tensors, more, name):
    one = graph([node("CONV_FPROP", {"X": 1, "W": 2}, {"Y": 3}, **more)], tensors)
    (layer,) = workload.load(log(tmp_path / "run.log", one)).layers
    assert layer.name == name


@pytest.mark.parametrize(
    ("tensors", "more", "reason"),
    [
        ({1: {"dim": [4, 64, 6, 16, 16]}, 2: {"dim": [8, 64, 3, 3, 3]}}, {}, "one or two spatial axes"),
        ({1: X, 2: {"dim": [64, 48, 3, 3]}}, {}, "no multiple of the 48 of W"),
        ({1: X | {"data_type": "FLOAT"}, 2: W}, {}, "its dtypes are FLOAT and HALF"),
        ({1: X | {"data_type": "INT8"}, 2: W | {"data_type": "INT8"}}, {}, "its dtypes are INT8"),
        ({1: X, 2: W, 3: {"dim": [4, 64, 9, 9]}}, {}, "Y has the sizes [4, 64, 9, 9], but"),
        ({1: X, 2: W}, {"stride": [1]}, "stride is [1]; it must be 2 whole numbers"),
        ({1: X, 2: W}, {"dilation": [99, 1]}, "the filter spans"),
        ({}, {"inputs": None}, "the log has no sizes of X"),
        ({1: X, 2: W}, {"inputs": {"X": 1, "W": 1}}, "two of its tensors have one name"),
    ],
)
def test_a_node_that_cannot_be_read_is_named_with_its_line(tmp_path, tensors, more, reason):
    one = graph([node("CONV_FPROP", {"X": 1, "W": 2}, {"Y": 3}) | more], tensors)
    loaded = workload.load(log(tmp_path / "run.log", FORWARD, one))
    assert [layer.name for layer in loaded.layers] == ["stem"]
    (skipped,) = loaded.skipped
    assert skipped.startswith(f"{tmp_path / 'run.log'}, line 4: CONV_FPROP node '': ")
    assert reason in skipped


def test_a_graph_that_breaks_off_does_not_lose_the_others(tmp_path):
    path = tmp_path / "run.log"
    path.write_text(f"[cudnn_frontend] INFO\n{json.dumps(FORWARD)[:-9]}\n[rank0]: {json.dumps(FORWARD)}\n")
    loaded = workload.load(str(path))
    assert [layer.place for layer in loaded.layers] == ["line 3"]
    assert "no JSON from here on" in loaded.skipped[0]


def test_a_graph_in_a_file_of_its_own_may_have_many_lines(tmp_path):
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(FORWARD, indent=2))
    assert [layer.name for layer in workload.load(str(path)).layers] == ["stem"]


def test_a_log_without_a_convolution_is_refused(tmp_path):
    path = tmp_path / "run.log"
    path.write_text("[cudnn_frontend] INFO: Executing plan\n")
    with pytest.raises(ConvbenchError, match="CUDNN_FRONTEND_LOG_INFO=1"):
        workload.load(str(path))
    with pytest.raises(ConvbenchError, match="1 graphs have no convolution"):
        workload.load(log(path, graph([{"tag": "MATMUL"}], {})))
