"""A trace of PyTorch's profiler gives each convolution that ran once, with its direction, its count and its line."""

import gzip
import json

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from convbench import workload
from convbench.errors import ConvbenchError
from convbench.problem.notation import parse
from convbench.workload.logs import trace_operators


class Network(nn.Module):
    """One convolution of each kind; the second one runs twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, padding="same", bias=False, groups=2)
        self.strided = nn.Conv2d(8, 8, 1, stride=2)
        self.transposed = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)

    def forward(self, x):
        """All of them in a row."""
        x = self.grouped(self.grouped(self.first(x)))
        return self.transposed(self.strided(x))


FIRST, GROUPED = "n2c3h12w14-k8r3s3-pad1-bias", "n2c8h12w14-k8r3s3-pad1-g2"
STRIDED, TRANSPOSED = "n2c8h12w14-k8r1s1-stride2-bias", "n2c4h12w14-k8r3s3-pad1-stride2"


def recorded(run, path, **options):
    """The path of a trace of a function."""
    with profile(activities=[ProfilerActivity.CPU], **{"record_shapes": True, **options}) as profiler:
        run()
    profiler.export_chrome_trace(str(path))
    return str(path)


def found(path):
    return [(str(layer.problem), layer.direction, layer.count) for layer in workload.load(path).layers]


def written(path, *events, line_before=""):
    """The path of a trace of handmade events, each on a line of its own."""
    lines = ",\n".join(json.dumps({"ph": "X", "cat": "cpu_op", "pid": 1, "tid": 1, "dur": 1, **one}) for one in events)
    path.write_text(f'{{"schemaVersion": 1, "traceEvents": [\n{line_before}{lines}\n]}}')
    return str(path)


def operator(name, dims, values, ts=1, kind="float", **more):
    """A handmade event: sizes of tensors by place, and values by place."""
    places = max(*dims, *values) + 1
    args = {
        "Input Dims": [dims.get(place, []) for place in range(places)],
        "Input type": [kind if place in dims else "" for place in range(places)],
        "Concrete Inputs": [values.get(place, "") for place in range(places)],
    }
    return {"name": name, "ts": ts, "args": args, **more}


CUDNN = operator("aten::cudnn_convolution", {0: [2, 3, 9, 9], 1: [4, 3, 3, 3]}, {
    2: "[1, 0]", 3: "[2, 1]", 4: "[1, 1]", 5: "1", 6: "False",
})  # fmt: skip


@pytest.mark.parametrize("file", ["train.json", "train.json.gz", "train.pt.trace.json"])
def test_a_training_step_has_each_convolution_once_in_its_directions(tmp_path, file):
    network, x = Network(), torch.zeros(2, 3, 12, 14)
    path = recorded(lambda: network(x).sum().backward(), tmp_path / file)
    assert found(path) == [
        (FIRST, "forward", 1), (GROUPED, "forward", 2), (STRIDED, "forward", 1), (TRANSPOSED, "backward_data", 1),
        (TRANSPOSED, "forward", 1), (TRANSPOSED, "backward_weights", 1),
        (STRIDED, "backward_data", 1), (STRIDED, "backward_weights", 1),
        (GROUPED, "backward_data", 2), (GROUPED, "backward_weights", 2),
        (FIRST, "backward_weights", 1),
    ]  # fmt: skip  # the gradient by the network's input is not computed: x needs none
    loaded = workload.load(path)
    assert loaded.directed
    assert not loaded.skipped
    assert len(loaded.notes) == 1
    assert "3 × transposed convolution" in loaded.notes[0]
    assert loaded.name == file.removesuffix(".gz").removesuffix(".json")


def test_the_mask_of_a_backward_operator_says_which_gradients_are_computed(tmp_path):
    network, x = nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 6, 6, requires_grad=True)
    network.weight.requires_grad_(False)
    path = recorded(lambda: network(x).sum().backward(), tmp_path / "frozen.json")
    assert found(path) == [
        ("n1c3h6w6-k4r3s3-bias", "forward", 1),
        ("n1c3h6w6-k4r3s3-bias", "backward_data", 1),
    ]


def test_a_trace_has_the_layers_that_the_module_has(tmp_path):
    network, shape = Network().eval(), (2, 3, 12, 14)
    del network.transposed
    network.transposed = nn.Identity()
    with torch.inference_mode():
        path = recorded(lambda: network(torch.zeros(shape)), tmp_path / "inference.json")
    expected = [
        (str(layer.problem), layer.direction, layer.count) for layer in workload.from_torch(network, shape).layers
    ]
    assert found(path) == expected


def test_dtype_layout_and_batch_are_those_that_ran(tmp_path):
    network = nn.Conv2d(4, 4, 3, padding=1)

    def run():
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
            network(torch.zeros(1, 4, 6, 6).to(memory_format=torch.channels_last))
        with torch.no_grad():
            network(torch.zeros(4, 6, 6))  # without a batch

    assert [problem for problem, *_ in found(recorded(run, tmp_path / "run.json"))] == [
        "n1c4h6w6-k4r3s3-pad1-bias-bfloat16-NHWC",
        "n1c4h6w6-k4r3s3-pad1-bias",
    ]


def test_one_dimensional_convolutions_are_read(tmp_path):
    network = nn.Sequential(nn.Conv1d(3, 6, 3, padding=1, stride=2), nn.ConvTranspose1d(6, 2, 4, stride=2))
    with torch.no_grad():
        path = recorded(lambda: network(torch.zeros(2, 3, 20)), tmp_path / "run.json")
    assert found(path) == [
        ("n2c3h1w20-k6r1s3-pad0x1-stride1x2-bias", "forward", 1),
        ("n2c2h1w22-k6r1s4-stride1x2", "backward_data", 1),
    ]


def test_modules_name_the_layers_where_they_are_recorded(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3))
    with torch.no_grad():
        path = recorded(lambda: network(torch.zeros(1, 1, 8, 8)), tmp_path / "run.json", with_stack=True)
    assert [layer.name for layer in workload.load(path).layers] == ["Conv2d_0", "Conv2d_1"]


def test_a_trace_without_shapes_is_refused_with_the_option_to_set(tmp_path):
    path = recorded(lambda: nn.Conv2d(1, 2, 3)(torch.zeros(1, 1, 8, 8)), tmp_path / "run.json", record_shapes=False)
    with pytest.raises(ConvbenchError, match=r"1 × convolution and no shapes.*record_shapes=True"):
        workload.load(path)


def test_a_trace_without_a_convolution_is_refused(tmp_path):
    path = recorded(lambda: torch.zeros(2) + 1, tmp_path / "run.json")
    with pytest.raises(ConvbenchError, match="the trace has no convolution"):
        workload.load(path)


def test_an_operator_of_a_library_is_read_where_no_other_surrounds_it(tmp_path):
    around = operator("aten::conv2d", {0: [9], 1: [9]}, {3: "[1]"}, ts=8, dur=9)
    inner = operator("aten::convolution", {0: [1, 1, 4, 4], 1: [2, 1, 3, 3]}, {
        3: "[1, 1]", 4: "[0, 0]", 5: "[1, 1]", 6: "False", 7: "[0, 0]", 8: "1",
    }, ts=9, dur=5)  # fmt: skip
    nested = {**CUDNN, "ts": 10, "dur": 2}
    path = written(tmp_path / "gpu.json", CUDNN, {**CUDNN, "ts": 5}, around, inner, nested)
    assert found(path) == [("n2c3h9w9-k4r3s3-pad1x0-stride2x1", "forward", 2), ("n1c1h4w4-k2r3s3", "forward", 1)]
    assert [layer.place for layer in workload.load(path).layers] == ["lines 2, 3", "line 5"]


def test_a_trace_on_one_line_names_the_events(tmp_path):
    path, unread = tmp_path / "run.json", operator("quantized::conv2d", {0: [1, 1, 4, 4]}, {1: ""}, ts=100)
    events = [{"ph": "X", "pid": 1, "tid": 1, "dur": 1, **one} for one in (unread, CUDNN, {**CUDNN, "ts": 5})]
    path.write_text(json.dumps({"traceEvents": events}))
    loaded = workload.load(str(path))
    assert loaded.layers[0].place == "events 2, 3"
    assert f"{path}, line 1: event 1: quantized::conv2d" in loaded.skipped[0]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (operator("aten::conv2d", {0: [1, 1, 4, 4], 1: [2, 1, 3, 3]}, {3: "[1, 1]", 5: "[1, 1]", 6: "1"}), "padding"),
        (operator("quantized::conv2d", {0: [1, 1, 4, 4]}, {1: ""}), "this operator is not read"),
        ({**CUDNN, "args": {**CUDNN["args"], "Input type": ["float", "c10::Half"]}}, "float and c10::Half"),
        ({**CUDNN, "args": {"Input Dims": CUDNN["args"]["Input Dims"]}}, "no Concrete Inputs"),
        ({**CUDNN, "args": {**CUDNN["args"], "Input Dims": "x"}}, "sizes of x"),
        ({**CUDNN, "args": {**CUDNN["args"], "Input Dims": [[10**400, 3, 9, 9], [4, 3, 3, 3]]}}, "sizes of x"),
        ({**CUDNN, "args": {**CUDNN["args"], "Concrete Inputs": ["", "", "[--1, 0]", "1", "1", "1"]}}, "padding in"),
        ({**CUDNN, "args": {}}, "the trace has no shapes"),
        ({**CUDNN, "ts": "soon"}, "no numbers"),
        ({**CUDNN, "ts": 10**400}, "no numbers"),
    ],
)
def test_an_event_that_cannot_be_read_is_named_with_its_line(tmp_path, event, reason):
    loaded = workload.load(written(tmp_path / "run.json", {**CUDNN, "ts": 100}, event))
    assert len(loaded.layers) == 1
    (skipped,) = loaded.skipped
    assert skipped.startswith(f"{tmp_path / 'run.json'}, line 3: ")
    assert reason in skipped


@pytest.mark.parametrize("rest", ["", ', {"ph": "X", ', ', "\x00"', ", " + "[" * 100_000, ", 1" + "0" * 5000 + "]}"])
def test_a_trace_that_breaks_off_keeps_what_came_before(tmp_path, rest):
    path = tmp_path / "run.json"
    written(path, CUDNN)
    path.write_text(path.read_text().removesuffix("\n]}") + rest)
    loaded = workload.load(str(path))
    assert len(loaded.layers) == 1
    assert "line 2: no JSON from here on" in loaded.skipped[0]


def test_operators_in_operators_are_read_at_any_depth(tmp_path):
    events = [{**CUDNN, "name": "aten::conv2d", "ts": number, "dur": 1e6 - 2 * number} for number in range(5_000)]
    long_name = {"name": "aten::" + "conv" * 50_000 + "!", "ts": 1, "args": {}}
    path = written(tmp_path / "run.json", *events, {**CUDNN, "ts": 3e6}, long_name)
    assert found(path) == [("n2c3h9w9-k4r3s3-pad1x0-stride2x1", "forward", 1)]


def test_a_compressed_file_that_is_damaged_is_refused(tmp_path):
    path = tmp_path / "run.json.gz"
    path.write_bytes(gzip.compress(b'{"traceEvents": []}')[:-9])
    with pytest.raises(ConvbenchError, match="cannot be read"):
        workload.load(str(path))


def test_the_arguments_are_those_of_pytorchs_operators():
    """The names of our table, beside the names in the schemas of PyTorch; a place that is wrong shows here."""
    ours = {
        "self": "x", "input": "x", "X": "x", "weight": "w", "W": "w", "B": "bias", "grad_output": "dy",
    }  # fmt: skip
    checked = 0
    for name, names in trace_operators.OPERATORS.items():
        for schema in torch._C._jit_get_schemas_for_operator(name):
            there = [ours.get(argument.name, argument.name) for argument in schema.arguments][: len(names)]
            if "bias_defined" not in there and there != list(names):
                assert name == "mkldnn::_convolution_pointwise"  # it has forms for fused operators
                continue
            checked += 1
    assert checked >= len(trace_operators.OPERATORS)


def test_a_problem_of_a_trace_can_be_written_again(tmp_path):
    for problem, *_ in found(written(tmp_path / "run.json", CUDNN)):
        assert str(parse(problem)) == problem
