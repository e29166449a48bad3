"""conv2d and its gradients agree with torch, and run the chosen algorithm."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from convbench import conv2d, conv2d_backward
from convbench.algorithm import Algorithm, registry
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import ConvbenchError, RefusedError, UnknownNameError
from convbench.layer import automatic
from convbench.problem import DIRECTIONS, DTYPES, PADDING_MODES, ConvProblem, operands
from convbench.problem.notation import parse
from convbench.reference.data import tensors
from support.running import assert_within, bounds_of
from support.strategies import any_problems, problems, seeds

TORCH_DTYPES = {name: getattr(torch, name) for name in DTYPES}


def options_of(problem: ConvProblem) -> dict:
    names = ("stride", "padding", "dilation", "groups", "padding_mode")
    return {name: getattr(problem, name) for name in names}


def drawn(problem: ConvProblem, seed: int) -> dict:
    """x, w, bias and dy, in memory as the problem's layouts have them."""
    found = tensors(problem, "forward", seed, "normal") | tensors(problem, "backward_weights", seed, "normal")
    for name, value in found.items():
        there = np.ascontiguousarray(operands.to_memory(problem, name, value))
        found[name] = there.transpose(operands.from_memory(problem, name))
    return found


def by_torch(problem: ConvProblem, given: dict) -> dict:
    """All outputs in float64; torch pads explicitly here, for its own modes have no four sides."""
    x, w, *bias = (
        torch.from_numpy(given[name].astype(np.float64)).requires_grad_()
        for name in ("x", "w", "bias")
        if name in given
    )
    (top, bottom), (left, right) = problem.padding
    mode = {"zeros": "constant"}.get(problem.padding_mode, problem.padding_mode)
    y = functional.conv2d(
        functional.pad(x, (left, right, top, bottom), mode=mode), w, *bias,
        stride=problem.stride, dilation=problem.dilation, groups=problem.groups,
    )  # fmt: skip
    y.backward(torch.from_numpy(given["dy"].astype(np.float64)))
    found = {"y": y, "dx": x.grad, "dw": w.grad} | ({"dbias": bias[0].grad} if bias else {})
    return {name: value.detach().numpy() for name, value in found.items()}


# in torch's own order of axes; in the others below
torchs_problems = problems(modes=st.sampled_from(PADDING_MODES), dtype=st.sampled_from(("float32", "float64")))

OTHERS = (
    "n2c3h6w5-k4r3s3-pad1-bias-bfloat16",
    "n1c4h5w6-k2r3s2-pad0.2x1.0-g2-float16",
    "n2c3h7w5-k3r2s3-stride2x1-pad1-g3-bias-reflect-NHWC",
    "n1c2h5w6-k3r3s3-dil2x1-pad2-bias-circular-float16-NHWC-RSCK",
    "n1c4h6w6-k4r2s2-stride2-bias-KRSC",
    "n1c2h6w6-k4r2s2-replicate-pad1-float64-RSCK",
)


@pytest.mark.parametrize("text", OTHERS)
def test_dtypes_and_orders_of_axes_that_torch_has_otherwise(device, text):
    check_against_torch(device, parse(text), seed=0)


@given(problem=torchs_problems, seed=seeds)
def test_the_result_and_the_gradients_are_torchs(device, problem, seed):
    check_against_torch(device, problem, seed)


def check_against_torch(device, problem, seed):
    given = drawn(problem, seed)
    expected = by_torch(problem, given)
    y = conv2d(given["x"], given["w"], given.get("bias"), **options_of(problem), device=device)
    wanted = [name for name in ("dx", "dw", "dbias") if name in expected]
    gradients = conv2d_backward(
        given["dy"], given["x"], given["w"], **options_of(problem), wanted=wanted, device=device
    )._asdict()
    assert {name for name, value in gradients.items() if value is not None} == set(wanted)
    for direction in DIRECTIONS:
        algorithm = automatic.choose(problem, direction, device)
        inputs = {name: given[name] for name in operands.inputs(problem, direction)}
        outputs = {name: expected[name] for name in operands.outputs(problem, direction)}
        bounds = bounds_of(algorithm, problem, direction, inputs, outputs)
        for name, bound in bounds.items():
            actual = y if name == "y" else gradients[name]
            assert actual.dtype == problem.dtype
            assert_within(actual=actual, expected=expected[name], bound=bound)


@pytest.mark.parametrize("text", ["n2c3h7w8-k4r4s3-dil2x1-bias", "n1c2h5w5-k2r3s2-g2"])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even:UserWarning")
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_by_a_word_is_torchs(text, padding):
    problem = parse(text)
    given = tensors(problem, "forward", 0, "integers")
    x, w, *bias = (torch.from_numpy(given[name]) for name in ("x", "w", "bias") if name in given)
    options = {"dilation": problem.dilation, "groups": problem.groups, "padding": padding}
    expected = functional.conv2d(x, w, *bias, **options)  # of integers: exact
    assert torch.equal(conv2d(x, w, *bias, **options, algorithm="direct"), expected)


def test_same_of_tensorflow_keeps_the_size_over_the_stride():
    x, w = np.ones((1, 1, 8, 10), np.float32), np.ones((1, 1, 3, 3), np.float32)
    y = conv2d(x, w, stride=(2, 3), padding="same_tensorflow")
    assert y.shape == (1, 1, 4, 4)
    assert y[0, 0, 0, 0] == 3 * 2  # no row of padding above, one column left
    assert y[0, 0, 3, 3] == 2 * 2  # one row below, one column right


@settings(max_examples=60)
@given(
    seed=seeds, stride=st.integers(1, 3), dilation=st.integers(1, 3), padding=st.integers(0, 4),
    groups=st.sampled_from((1, 2)), taps=st.integers(1, 3), dtype=st.sampled_from((torch.float32, torch.float64)),
)  # fmt: skip
def test_three_axes_are_torchs_conv1d(seed, stride, dilation, padding, groups, taps, dtype):
    generator = torch.Generator().manual_seed(seed)
    x, w, bias = (
        torch.randint(-9, 10, shape, generator=generator).to(dtype)
        for shape in ((2, 4, 9), (6, 4 // groups, taps), (6,))
    )
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    expected = functional.conv1d(x.requires_grad_(), w.requires_grad_(), bias.requires_grad_(), **options)
    assert torch.equal(conv2d(x.detach(), w.detach(), bias.detach(), **options), expected)
    dy = torch.randint(-9, 10, expected.shape, generator=generator).to(dtype)
    expected.backward(dy)
    for actual, of in zip(conv2d_backward(dy, x, w, **options), (x, w, bias), strict=True):
        assert torch.equal(actual, of.grad)


@pytest.mark.parametrize("padding", [(2,), ((2, 2),), "same"])
def test_a_one_dimensional_padding_has_one_axis(padding):
    x, w = np.arange(8.0).reshape(1, 1, 8), np.ones((1, 1, 5))
    expected = np.convolve(x[0, 0], w[0, 0], mode="same")
    np.testing.assert_array_equal(conv2d(x, w, padding=padding, stride=(1,))[0, 0], expected)
    assert conv2d(x, w, padding=((0, 4),)).shape == (1, 1, 8)


# ---- which algorithm


@given(problem=any_problems(), direction=st.sampled_from(DIRECTIONS))
def test_auto_never_refuses(problem, direction):
    assert automatic.choose(problem, direction, "emulator").refuses(problem, direction) is None


@settings(max_examples=50)
@given(problem=any_problems(), on_gpu=st.booleans())
def test_the_rule_is_of_built_in_algorithms_and_ends_with_the_one_that_has_everything(problem, on_gpu):
    names = list(automatic.preferences(problem, on_gpu=on_gpu))
    assert names[-1] == "direct"
    assert set(names) <= set(registry.names())
    assert all(f"    {name} " in automatic.__doc__ for name in names)


@pytest.mark.parametrize(
    ("text", "direction", "name"),
    [
        ("n1c64h56w56-k64r3s3-pad1", "forward", "winograd_2x2_3x3"),
        ("n1c64h56w56-k64r3s3-pad1", "backward_data", "winograd_2x2_3x3"),
        ("n1c64h56w56-k64r3s3-pad1", "backward_weights", "implicit_gemm"),
        ("n1c64h56w56-k64r3s3-pad1-stride2", "forward", "implicit_gemm"),
        ("n1c3h224w224-k64r3s3-pad1", "forward", "implicit_gemm"),  # too few channels
        ("n1c64h6w6-k64r3s3-pad1", "forward", "implicit_gemm"),  # too few tiles
        ("n16c64h56w56-k64r5s5-pad2", "forward", "fft_tiled"),
        ("n16c64h56w56-k64r5s5-pad2", "backward_weights", "fft_tiled"),
        ("n1c64h56w56-k64r5s5-pad2", "forward", "implicit_gemm"),  # four tiles
        ("n1c64h56w56-k64r1s1", "forward", "implicit_gemm"),
        ("n1c32h56w56-k32r3s3-pad1-g32", "forward", "depthwise"),
        ("n1c64h56w56-k64r3s3-pad1-g8", "forward", "implicit_gemm"),  # eight channels in a group
    ],
)
def test_the_rule_on_a_gpu_by_examples(text, direction, name):
    problem = parse(text)
    able = [
        a for a in automatic.preferences(problem, on_gpu=True) if registry.get(a).refuses(problem, direction) is None
    ]
    assert able[0] == name


@pytest.mark.parametrize("text", ["n1c64h56w56-k64r3s3-pad1", "n16c64h56w56-k64r5s5-pad2", "n1c8h9w9-k8r3s3-g8"])
def test_the_rule_without_a_gpu(text):
    assert automatic.choose(parse(text), device="emulator").name == "direct"


class OfAGpu(EmulatorDevice):
    """Says that it is a GPU."""

    is_gpu = True


def test_what_the_rule_picks_is_what_runs(monkeypatch):
    planned, plan = [], Algorithm.plan
    monkeypatch.setattr(
        Algorithm, "plan", lambda self, *given, **options: (planned.append(self.name), plan(self, *given, **options))[1]
    )
    on_gpu, on_cpu = OfAGpu(), EmulatorDevice()
    for x_shape, w_shape, groups, names in (
        ((1, 3, 6, 6), (3, 1, 3, 3), 3, ["depthwise"] * 3),
        ((1, 16, 10, 10), (16, 16, 3, 3), 1, ["winograd_2x2_3x3", "winograd_2x2_3x3", "implicit_gemm"]),
        ((1, 3, 6, 6), (3, 3, 3, 3), 1, ["implicit_gemm"] * 3),
    ):
        x, w = np.ones(x_shape, np.float32), np.ones(w_shape, np.float32)
        for device, expected in ((on_gpu, names), (on_cpu, ["direct"] * 3)):
            planned.clear()
            conv2d_backward(conv2d(x, w, groups=groups, device=device), x, w, groups=groups, device=device)
            assert planned == expected


def test_an_algorithm_is_named_given_or_by_direction():
    x, w = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3), np.float32)
    direct = registry.get("direct")
    for choice in ("direct", direct, {"forward": "direct"}, {"forward": direct}, {}, "depthwise"):
        np.testing.assert_array_equal(conv2d(x, w, algorithm=choice), np.full((1, 1, 2, 2), 9))
    with pytest.raises(UnknownNameError, match="there are"):
        conv2d(x, w, algorithm="fastest")
    with pytest.raises(RefusedError, match=r"depthwise refuses forward of n1c2.*groups = 1 is not c = 2"):
        conv2d(np.ones((1, 2, 4, 4)), np.ones((1, 2, 3, 3)), algorithm="depthwise")
    choice = {"backward_weights": "depthwise"}
    with pytest.raises(RefusedError, match="depthwise refuses backward_weights"):
        conv2d_backward(np.ones((1, 1, 2, 2)), np.ones((1, 2, 4, 4)), np.ones((1, 2, 3, 3)), algorithm=choice)


def test_what_the_device_refuses_is_refused():
    x, w = np.ones((1, 64, 64, 64), np.float32), np.ones((64, 64, 3, 3), np.float32)
    with pytest.raises(RefusedError, match="device emulator-checked refuses n1c64h64w64"):
        conv2d(x, w, device="emulator-checked")
    with pytest.raises(UnknownNameError, match="device 'tpu' is unknown"):
        conv2d(x, w, device="tpu")


def test_gradients_that_are_not_wanted_are_none():
    arrays = np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    for wanted in ((), ("dx",), ("dw",), ("dbias",), ("dx", "dbias"), ("dw", "dbias")):
        found = conv2d_backward(*arrays, wanted=wanted)._asdict()
        assert [name for name, value in found.items() if value is not None] == list(wanted)
    with pytest.raises(ConvbenchError, match="wanted has 'dy'; there are dx, dw, dbias"):
        conv2d_backward(*arrays, wanted=["dy"])
