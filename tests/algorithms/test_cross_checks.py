"""Algorithms agree with independent sources: torch, SciPy, and the test cases of the ONNX standard."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st

from convbench.algorithm import registry
from convbench.problem import ConvProblem, Direction
from convbench.reference.data import tensors
from support.running import assert_within, run, run_direction
from support.strategies import any_problems, directions_of, fewer, formatted_problems, problems, seeds


def torch_results(problem: ConvProblem, direction: Direction, t: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The result of torch on the same tensors in float64, with its own padding and differentiation.

    Its convolution has no padding of four sides: the padding is a layer of its own, as in torch's documentation.
    """
    wide = {name: torch.from_numpy(value.astype(np.float64)) for name, value in t.items()}
    x = wide.get("x", torch.zeros(problem.x_shape, dtype=torch.float64)).requires_grad_()
    w = wide.get("w", torch.zeros(problem.w_shape, dtype=torch.float64)).requires_grad_()
    bias = wide.get("bias", torch.zeros(problem.k, dtype=torch.float64)).requires_grad_()
    (top, bottom), (left, right) = problem.padding
    mode = "constant" if problem.padding_mode == "zeros" else problem.padding_mode
    padded = torch.nn.functional.pad(x, (left, right, top, bottom), mode=mode)
    y = torch.nn.functional.conv2d(
        padded, w, bias, stride=problem.stride, dilation=problem.dilation, groups=problem.groups
    )
    if direction == "forward":
        return {"y": y.detach().numpy()}
    y.backward(wide["dy"])
    if direction == "backward_data":
        return {"dx": x.grad.numpy()}
    return {"dw": w.grad.numpy()} | ({"dbias": bias.grad.numpy()} if problem.bias else {})


@fewer(8)  # test_laws.py compares the same problems with the reference, which agrees with torch
@given(data=st.data(), seed=seeds)
def test_every_algorithm_agrees_with_torch(relatives, device, data, seed):
    """Any direction, padding mode, dtype and layout; torch computes in float64 from the same values."""
    algorithm = data.draw(st.sampled_from(relatives))
    direction = data.draw(directions_of(algorithm))
    problem, config = data.draw(formatted_problems(algorithm, direction))
    t = tensors(problem, direction, seed, "uniform")
    expected = torch_results(problem, direction, t)
    bounds = algorithm.error_bounds(problem, direction, t, expected=expected, config=config)
    for name, actual in run_direction(algorithm, problem, direction, device, t, config).items():
        assert_within(actual=actual, expected=expected[name], bound=bounds[name])


@given(problem=any_problems(), seed=seeds)
def test_torchs_own_padding_modes_are_ours(problem, seed, device):
    """torch.nn.Conv2d with its padding_mode, where it has one: the same on both sides, exact on integers."""
    (top, bottom), (left, right) = problem.padding
    sides = (min(top, bottom),) * 2, (min(left, right),) * 2
    symmetric = replace(problem, padding=sides, dtype="float64", h=problem.h + 10, w=problem.w + 10)
    layer = torch.nn.Conv2d(
        symmetric.c, symmetric.k, (symmetric.r, symmetric.s), stride=symmetric.stride, dilation=symmetric.dilation,
        padding=(symmetric.padding[0][0], symmetric.padding[1][0]), groups=symmetric.groups, bias=symmetric.bias,
        padding_mode=symmetric.padding_mode, dtype=torch.float64,
    )  # fmt: skip
    t = tensors(symmetric, "forward", seed, "integers")
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(t["w"]))
        if symmetric.bias:
            layer.bias.copy_(torch.from_numpy(t["bias"]))
        expected = layer(torch.from_numpy(t["x"])).numpy()
    actual = run(registry.get("direct"), symmetric, device, t["x"], t["w"], t.get("bias"))
    np.testing.assert_array_equal(actual, expected)


@given(problem=problems(), seed=seeds)
def test_one_channel_agrees_with_scipy(problem, seed, device):
    """correlate2d is one image by one filter; its gradient by the input is SciPy's full convolution."""
    r, s = min(problem.r, problem.h), min(problem.s, problem.w)
    one = ConvProblem(c=1, h=problem.h, w=problem.w, k=1, r=r, s=s)
    direct = registry.get("direct")
    t = tensors(one, "forward", seed, "integers")
    x, w = t["x"][0, 0].astype(np.float64), t["w"][0, 0].astype(np.float64)
    expected = scipy.signal.correlate2d(x, w, mode="valid")
    np.testing.assert_array_equal(run(direct, one, device, t["x"], t["w"])[0, 0], expected)
    t = tensors(one, "backward_data", seed, "integers")
    dy, w = t["dy"][0, 0].astype(np.float64), t["w"][0, 0].astype(np.float64)
    dx = run_direction(direct, one, "backward_data", device, t)["dx"]
    np.testing.assert_array_equal(dx[0, 0], scipy.signal.convolve2d(dy, w, mode="full"))


# ---- the ONNX standard


@dataclass(frozen=True)
class NodeCase:
    """One test case of an operator, as the `onnx` package exports it."""

    name: str
    attributes: dict[str, Any]
    inputs: list[np.ndarray]
    output: np.ndarray

    def pads(self, count: int) -> list[int]:
        """The beginnings and then the ends, by axis; zeros where none are given."""
        return list(self.attributes.get("pads", [0] * 2 * count))


def onnx_cases(operator: str) -> list[NodeCase]:
    """All 1-D and 2-D cases of an operator, in float32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package computes the cases of all its operators, with overflows
        from onnx import helper
        from onnx.backend.test.case.node import conv, convtranspose

    module = {"Conv": conv, "ConvTranspose": convtranspose}[operator]
    found: list[NodeCase] = []

    def expect(node, inputs, outputs, name, **_) -> None:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if inputs[0].ndim in (3, 4):
            found.append(NodeCase(name, attributes, list(inputs), outputs[0]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "expect", expect)
        exporter = getattr(module, operator)
        for name in vars(exporter):
            if name.startswith("export"):
                getattr(exporter, name)()
    return found


def image(array: np.ndarray) -> np.ndarray:
    """A row of values as an image of one row."""
    return array[:, :, None] if array.ndim == 3 else array


def of_attributes(case: NodeCase, x_shape, w_shape, y_shape) -> ConvProblem:
    """The problem of these shapes with the attributes of a case."""
    one_dimensional = case.inputs[0].ndim == 3
    axes = 1 if one_dimensional else 2

    def pair(name: str) -> tuple[int, int]:
        values = tuple(case.attributes.get(name, [1] * axes))
        return (1, *values) if one_dimensional else values

    stride, dilation = pair("strides"), pair("dilations")
    word = case.attributes.get("auto_pad", b"NOTSET").decode()
    if word == "NOTSET" and "output_shape" not in case.attributes:
        pads = case.pads(axes)
        sides = tuple(zip(pads[:axes], pads[axes:], strict=True))
    else:  # what the standard derives from the sizes, the odd element at the end, unless SAME_LOWER says otherwise
        sides = []
        for axis in range(4 - axes, 4):
            window = dilation[axis - 2] * (w_shape[axis] - 1) + 1
            total = max(0, (y_shape[axis] - 1) * stride[axis - 2] + window - x_shape[axis])
            short, long = total // 2, total - total // 2
            sides.append((long, short) if word == "SAME_LOWER" else (short, long))
        sides = tuple(sides)
    padding = ((0, 0), *sides) if one_dimensional else sides
    return ConvProblem(
        n=x_shape[0], c=x_shape[1], h=x_shape[2], w=x_shape[3], k=w_shape[0], r=w_shape[2], s=w_shape[3],
        stride=stride, dilation=dilation, padding=padding, groups=case.attributes.get("group", 1),
    )  # fmt: skip


@pytest.mark.parametrize("case", onnx_cases("Conv"), ids=lambda case: case.name)
def test_every_algorithm_passes_the_conv_cases_of_onnx(case, algorithm, device):
    x, w, y = image(case.inputs[0]), image(case.inputs[1]), image(case.output)
    problem = of_attributes(case, x.shape, w.shape, y.shape)
    assert problem.y_shape == y.shape
    if algorithm.refuses(problem):
        pytest.skip("refused")
    bounds = algorithm.error_bounds(problem, "forward", {"x": x, "w": w}, expected={"y": y.astype(np.float64)})
    assert_within(actual=run(algorithm, problem, device, x, w), expected=y.astype(np.float64), bound=bounds["y"])


@pytest.mark.parametrize("case", onnx_cases("ConvTranspose"), ids=lambda case: case.name)
def test_backward_data_passes_the_transposed_conv_cases_of_onnx(case, algorithm, device):
    """A transposed convolution is the gradient of a convolution by its input."""
    dy, w, dx = image(case.inputs[0]), image(case.inputs[1]), image(case.output)
    problem = of_attributes(case, dx.shape, w.shape, dy.shape)
    assert problem.y_shape == dy.shape
    if algorithm.refuses(problem, "backward_data"):
        pytest.skip("refused")
    t, expected = {"dy": dy, "w": w}, {"dx": dx.astype(np.float64)}
    bounds = algorithm.error_bounds(problem, "backward_data", t, expected=expected)
    actual = run_direction(algorithm, problem, "backward_data", device, t)["dx"]
    assert_within(actual=actual, expected=expected["dx"], bound=bounds["dx"])


def test_onnx_has_cases_of_both_operators():
    assert len(onnx_cases("Conv")) >= 6
    assert len(onnx_cases("ConvTranspose")) >= 8
