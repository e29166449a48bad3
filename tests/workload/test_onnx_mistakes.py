"""ONNX models with unsupported convolutions, wrong models, files that are no models, and the command line on them."""

import contextlib
import sys

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from cases.onnx_models import W, conv, model_of
from convbench import workload
from convbench.errors import ConvbenchError
from convbench.records import read_records
from support.command_line import assert_refused

# ---- what is left out

LEFT_OUT = [
    (helper.make_node("CausalConvWithState", ["x", "w"], ["t"], name="s"), "CausalConvWithState 's': it keeps a state"),
    (
        helper.make_node("CausalConvWithState", ["x", "w"], ["t"], name="s", domain="com.microsoft"),
        "com.microsoft.CausalConvWithState 's': it keeps a state",
    ),
    (helper.make_node("DeformConv", ["x", "w", "o"], ["t"], name="bend"), "DeformConv 'bend': its filter's taps move"),
    (helper.make_node("FusedConv", ["x", "w"], ["t"], domain="com.own"), "com.own.FusedConv 't': an operator that"),
    (conv("x5", "w5", "t", name="cube"), "Conv 'cube': it has 3 spatial axes, and a problem one or two"),
    (conv("x8", "w8", "t", name="bytes"), "Conv 'bytes': its numbers are INT8"),
    (helper.make_node("DeformConv", ["x", "w", "o"], ["t"], name="\x1b[2J"), r"DeformConv '\x1b[2J': its filter's"),
]  # fmt: skip


@pytest.mark.parametrize(("node", "told"), LEFT_OUT)
def test_what_cannot_be_computed_is_named_and_left_out(node, told):
    model = model_of(
        conv(), node, weights={**W, "w5": (4, 3, 3, 3, 3)}, domains=["com.own", "com.microsoft"], x5=(1, 3, 8, 8, 8)
    )
    for name, shape in (("x8", (1, 3, 8, 8)), ("w8", (4, 3, 3, 3))):
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT8, shape))
    with pytest.warns(UserWarning, match="net: skipped ") as warned:
        found = workload.from_onnx(model)
    assert [str(layer.problem) for layer in found.layers] == ["n1c3h8w8-k4r3s3"]
    (line,) = found.skipped
    assert line.startswith(told)
    assert [str(warning.message) for warning in warned] == [f"net: skipped {line}"]
    assert line.isprintable()
    assert found.with_batch(2).where("n == 2").distinct().skipped == found.skipped
    alone = model_of(node, domains=["com.own", "com.microsoft"], weights={"w5": (4, 3, 3, 3, 3)}, x5=(1, 3, 8, 8, 8))
    alone.graph.input.extend(model.graph.input[-2:])
    with pytest.raises(ConvbenchError) as caught:
        workload.from_onnx(alone)
    assert "no convolution in it that can be computed; it has" in str(caught.value)
    assert line in str(caught.value)


def test_operators_that_only_sound_like_it_are_not_named():
    nodes = [helper.make_node(name, ["x"], [name], domain="com.own") for name in ("ConvertLayout", "Deconvert")]
    assert workload.from_onnx(model_of(conv(), *nodes, weights=W, domains=["com.own"])).skipped == ()


# ---- what is refused


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (model_of(conv(name="a"), x=(1, 3, "H", 8), weights=W), ["'a'", "the height of its input 'x' is unknown (H)"]),
        (model_of(conv(name="a"), x=(1, 3, 8, None), weights=W), ["the width of its input 'x'", "'x' (1, 3, 8, ?)"]),
        (model_of(conv(name="a"), x=(1, 3, "T"), weights={"w": (4, 3, 3)}), ["the width of its input 'x'", "(T)"]),
        (model_of(conv(name="a"), x=None, weights=W), ["'a'", "the shape of its input 'x' is unknown"]),
        (model_of(conv(name="a"), w=("K", 3, 3, 3)), ["the number of filters of its weight 'w' is unknown (K)"]),
        (model_of(conv(w="v", name="a"), weights=W), ["'a'", "the shape of its weight 'v' is unknown"]),
        (model_of(conv(name="a"), x=(1, 5, 8, 8), weights=W), ["'a'", "expected input (N, 3, H, W)"]),
        (model_of(conv(name="a"), x=(1, 3, 2, 8), weights=W), ["'a'", "the filter spans 3 in height"]),
        (model_of(conv(name="a", group=2), x=(1, 6, 8, 8), weights={"w": (5, 3, 3, 3)}), ["must divide k = 5"]),
        (model_of(conv(name="a", group=0), weights=W), ["'a'", "groups is 0"]),
        (model_of(conv(name="a", kernel_shape=[5, 5]), weights=W), ["kernel_shape is [5, 5], and its weight has"]),
        (model_of(conv(name="a", strides=[2]), weights=W), ["strides is [2]; it must be 2 numbers"]),
        (model_of(conv(name="a", strides=[0, 1]), weights=W), ["'a'", "stride is (0, 1)"]),
        (model_of(conv(name="a", pads=[-1, 0, 0, 0]), weights=W), ["'a'", "none may be negative"]),
        (model_of(conv(name="a", pads="1"), weights=W), ["'a'", "its attribute pads is not of type INTS"]),
        (model_of(conv(name="a", auto_pad="SAME"), weights=W), ["auto_pad is 'SAME'; it must be one of NOTSET"]),
        (model_of(conv("x", "w", "y", "b", name="a"), weights={**W, "b": (3,)}), ["'a'", "expected bias (4,)"]),
        (model_of(helper.make_node("Conv", ["x", ""], ["y"], name="a")), ["'a'", "it has the inputs ['x', '']"]),
        (model_of(helper.make_node("Relu", ["x"], ["y"])), ["no convolution in it"]),
        (model_of(conv("u", "v", name="a")), ["'a'", "the shape of its weight 'v' is unknown"]),
        (model_of(conv("u", "v"), kind=0, u=(1, 3, 8, 8), v=(4, 3, 3, 3)), ["the type of its numbers is unknown"]),
        (onnx.ModelProto(), ["is no ONNX model: it has no node"]),
        (3, ["a model is a path or an onnx.ModelProto, and not a int"]),
        (model_of(helper.make_node("Own", ["x"], ["r"], domain="no"), conv("r"), weights=W), ["cannot be inferred"]),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_read_names_the_node_and_the_mistake(model, parts):
    with pytest.raises(ConvbenchError) as caught:
        workload.from_onnx(model)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"hello, I am no model\n", b"\x00" * 64, b"PK\x03\x04" + bytes(60), b'{"a": 1}', b"\x08\x07\x12"]
)
def test_a_file_that_is_no_model_is_refused_by_its_name(tmp_path, content, convbench):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ConvbenchError, match=r"bad\.onnx is no ONNX model"):
        workload.load(str(path))
    assert_refused(convbench("verify", "--workload", path))


@given(data=st.data())
def test_a_damaged_model_is_read_or_refused(data, tmp_path_factory):
    """Bytes that are changed or missing never make anything else than a workload or a clear error."""
    content = bytearray(model_of(conv(name="a", strides=[1, 2]), weights=W).SerializeToString())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    with contextlib.suppress(ConvbenchError):
        assert workload.load(str(path)).layers


def test_a_missing_file_and_a_missing_package_say_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(ConvbenchError, match=r"none\.onnx cannot be read: .*No such file"):
        workload.from_onnx(tmp_path / "none.onnx")
    (tmp_path / "net.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConvbenchError, match=r'pip install "convbench\[onnx\]"'):
        workload.load(str(tmp_path / "net.onnx"))


# ---- the command line


def test_the_layers_of_a_model_are_verified_from_the_command_line(convbench, here):
    nodes = [
        conv(w="w1", y="a", name="stem", pads=[1, 1, 1, 1]),
        conv("a", "w2", "b", name="one", pads=[1, 1, 1, 1]),
        conv("b", "w2", "c", name="two", pads=[1, 1, 1, 1]),
        conv("c", "w3", "d", name="<b>last</b>"),
        helper.make_node("DeformConv", ["d", "w4", "o"], ["y"], name="\x1b[31mup"),
    ]
    weights = {"w1": (2, 3, 3, 3), "w2": (2, 2, 3, 3), "w3": (4, 2, 1, 1), "w4": (4, 2, 2, 2)}
    (here / "tiny.onnx").write_bytes(model_of(*nodes, x=("N", 3, 5, 6), weights=weights).SerializeToString())
    words = ("--workload", "tiny.onnx", "--where", "r==3 and stride==(1,1) and count > 1", "--batch", 2)
    status, out, err = convbench("verify", *words, "--algorithm", "direct")
    assert status == 0
    assert "n2c2h5w6-k2r3s3-pad1" in out
    assert out.count("## ") == 1
    assert err == ("convbench: skipped DeformConv '\\x1b[31mup': its filter's taps move with the data\n")
    status, out, err = convbench("verify", "--workload", "tiny.onnx", "--where=r == 7", "--algorithm", "direct")
    assert (status, out) == (2, "")
    assert "the filter 'r == 7' leaves none of the 4 layers\n    r is 1, 3" in err


@pytest.mark.parametrize("words", [("--where", "-r == -3 and k == 4"), ("--where=r == 3 and k == 4",)])
def test_a_filter_is_no_problem_in_the_notation_of_others(convbench, words):
    """Quoted flags of other drivers are problems; this one starts with a dash as well."""
    status, out, _ = convbench("verify", "n1c1h5w5-k4r3s3", "n1c1h5w5-k1r3s3", *words, "--algorithm", "direct")
    assert status == 0
    assert "n1c1h5w5-k4r3s3" in out
    assert "n1c1h5w5-k1r3s3" not in out


@pytest.mark.parametrize("command", ["verify", "bench"])
def test_a_filter_that_tries_to_run_code_gives_status_2(convbench, here, command):
    text = "__import__('os').system('touch ran')"
    status, out, err = convbench(command, "--workload", "lenet5", "--where", text)
    assert (status, out) == (2, "")
    assert err.startswith("convbench: a call is not allowed in a filter, at position 0 of the filter\n")
    assert "columns are name, count, n, c, h, w, k, r, s, stride" in err
    assert list(here.iterdir()) == []


def test_bench_measures_what_a_filter_leaves(convbench, here):
    status, _, _ = convbench("bench", "--workload", "lenet5", "--where", "name == 'C3'", "--algorithm", "direct")
    assert status == 0
    (path,) = here.glob("reports/local/emulator/lenet5.jsonl")
    records, bad = read_records(path)
    assert bad == []
    assert [(record.layer, record.algorithm) for record in records] == [("C3", "direct")]
