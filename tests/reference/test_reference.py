"""The reference agrees with a second form of the equation, with torch and SciPy, and with known answers."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given

from convbench.problem import PADDING_MODES, ConvProblem
from convbench.problem.notation import parse
from convbench.reference import compute
from convbench.reference.data import tensors
from convbench.reference.definition import convolve, copies, fold_back, pad
from support.strategies import any_problems, problems, seeds

GOLDEN = json.loads((Path(__file__).parents[1] / "cases" / "golden" / "conv2d_worked_examples.json").read_text())


def literal_convolution(problem: ConvProblem, x, w, bias=None):
    """The equation, seven loops over Python integers, on an input padded by numpy."""
    modes = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    x = np.pad(x, ((0, 0), (0, 0), *problem.padding), mode=modes[problem.padding_mode])
    y = np.zeros(problem.y_shape)
    for n, k, p, q in np.ndindex(*problem.y_shape):
        group = k // (problem.k // problem.groups)
        total = 0 if bias is None else int(bias[k])
        for c, r, s in itertools.product(range(problem.c // problem.groups), range(problem.r), range(problem.s)):
            h = p * problem.stride[0] + r * problem.dilation[0]
            j = q * problem.stride[1] + s * problem.dilation[1]
            total += int(x[n, group * (problem.c // problem.groups) + c, h, j]) * int(w[k, c, r, s])
        y[n, k, p, q] = total
    return y


def integers_of(problem: ConvProblem, seed: int):
    problem = parse(str(problem).replace("-bfloat16", "").replace("-float16", ""))
    t = tensors(problem, "forward", seed, "integers")
    return problem, t["x"], t["w"], t.get("bias")


@given(any_problems(), seeds)
def test_the_reference_is_the_equation(problem, seed):
    problem, x, w, bias = integers_of(problem, seed)
    expected = literal_convolution(problem, x, w, bias)
    np.testing.assert_array_equal(convolve(problem, x, w, bias), expected)


def torch_convolution(problem: ConvProblem, x, w, bias):
    """torch pads explicitly here: its own mode has no four sides."""
    (top, bottom), (left, right) = problem.padding
    mode = {"zeros": "constant"}.get(problem.padding_mode, problem.padding_mode)
    padded = torch.nn.functional.pad(x, (left, right, top, bottom), mode=mode)
    return torch.nn.functional.conv2d(
        padded, w, bias, stride=problem.stride, dilation=problem.dilation, groups=problem.groups
    )


@given(any_problems(), seeds)
def test_the_reference_agrees_with_torch(problem, seed):
    """Integers in float64 are exact on both sides."""
    problem, x, w, bias = integers_of(problem, seed)
    wide = [None if value is None else torch.from_numpy(value).double() for value in (x, w, bias)]
    np.testing.assert_array_equal(convolve(problem, x, w, bias), torch_convolution(problem, *wide).numpy())


@given(any_problems(), seeds)
def test_the_gradients_of_the_reference_agree_with_torch(problem, seed):
    """torch differentiates its own padding and its own convolution; integers in float64 are exact on both sides."""
    problem = parse(str(problem).replace("-bfloat16", "").replace("-float16", ""))
    forward, backward = (tensors(problem, direction, seed, "integers") for direction in ("forward", "backward_weights"))
    x, w = (torch.from_numpy(forward[name]).double().requires_grad_() for name in ("x", "w"))
    bias = torch.zeros(problem.k, dtype=torch.float64, requires_grad=True)
    dy = backward["dy"]
    torch_convolution(problem, x, w, bias).backward(torch.from_numpy(dy).double())
    dx = compute(problem, "backward_data", {"dy": dy, "w": forward["w"]})["dx"]
    of_weights = compute(problem, "backward_weights", {"x": forward["x"], "dy": dy})
    np.testing.assert_array_equal(dx, x.grad.numpy())
    np.testing.assert_array_equal(of_weights["dw"], w.grad.numpy())
    if problem.bias:
        np.testing.assert_array_equal(of_weights["dbias"], bias.grad.numpy())


@given(any_problems(), seeds)
def test_folding_back_is_the_adjoint_of_padding(problem, seed):
    rng = np.random.default_rng(seed)
    x, padded = rng.integers(-9, 10, problem.x_shape), rng.integers(-9, 10, problem.padded_shape).astype(np.float64)
    assert (pad(problem, x) * padded).sum() == (fold_back(problem, padded) * x).sum()
    assert copies(problem) == fold_back(problem, np.ones(problem.padded_shape)).max()


@given(problems(), seeds)
def test_the_reference_agrees_with_scipy(problem, seed):
    """One image, one filter, no stride: a 2-D correlation with the dilated filter."""
    plain = ConvProblem(c=1, h=problem.h, w=problem.w, k=1, r=1, s=1)
    x = tensors(plain, "forward", seed, "integers")["x"]
    rng = np.random.default_rng(seed)
    w = rng.integers(-3, 4, (1, 1, min(problem.r, problem.h), min(problem.s, problem.w)))
    one = ConvProblem(c=1, h=plain.h, w=plain.w, k=1, r=w.shape[2], s=w.shape[3])
    expected = scipy.signal.correlate2d(x[0, 0].astype(np.float64), w[0, 0].astype(np.float64), mode="valid")
    np.testing.assert_array_equal(convolve(one, x, w)[0, 0], expected)


@pytest.mark.parametrize("mode", PADDING_MODES)
@given(seed=seeds)
def test_written_out_padding_is_numpys(mode, seed):
    problem = parse(f"n2c2h5w6-k1r1s1-pad1.4x0.3{'' if mode == 'zeros' else '-' + mode}")
    x = tensors(problem, "forward", seed, "uniform")["x"]
    modes = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    np.testing.assert_array_equal(pad(problem, x), np.pad(x, ((0, 0), (0, 0), (1, 4), (0, 3)), mode=modes[mode]))


def golden_case(case) -> tuple[ConvProblem, np.ndarray, np.ndarray, np.ndarray]:
    size = case["size"]
    pair = lambda value: tuple(value) if isinstance(value, list) else value  # noqa: E731
    problem = ConvProblem(
        c=1, h=5, w=5, k=2, r=size, s=size,
        stride=pair(case["stride"]), padding=pair(case["pad"]), dilation=pair(case["dilation"]),
    )  # fmt: skip
    x = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
    w = np.stack([np.eye(size), np.fliplr(np.diag(-np.arange(1.0, size + 1)))])[:, None].astype(np.float32)
    return problem, x, w, np.array(case["output"], np.float64)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_the_reference_gives_the_worked_examples(case):
    problem, x, w, output = golden_case(case)
    np.testing.assert_array_equal(convolve(problem, x, w), output)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_every_algorithm_gives_the_worked_examples(case, algorithm, device):
    from support.running import assert_within, bound_of, run

    problem, x, w, output = golden_case(case)
    if algorithm.refuses(problem):
        pytest.skip("refused")
    bound = 0.0 if algorithm.error_model.exact_headroom else bound_of(algorithm, problem, x, w, None, output)
    assert_within(actual=run(algorithm, problem, device, x, w), expected=output, bound=bound)


@pytest.mark.parametrize(
    ("text", "y_shape", "columns"),
    [
        # 16 filters 3 × 3 on CIFAR images: "same", "valid", "valid" with stride 2, and the im2col matrix of each
        ("n1c3h32w32-k16r3s3-pad1-bias", (1, 16, 32, 32), (27, 1024)),
        ("n1c3h32w32-k16r3s3-bias", (1, 16, 30, 30), (27, 900)),
        ("n1c3h32w32-k16r3s3-stride2-bias", (1, 16, 15, 15), (27, 225)),
        ("n1c3h32w32-k192r5s5-pad2", (1, 192, 32, 32), (75, 1024)),
        ("n1c3h32w32-k192r5s5", (1, 192, 28, 28), (75, 784)),
        ("n6c768h1w512-k100r1s2", (6, 100, 1, 511), (1536, 511)),
        ("n4c64h28w28-k128r3s3-pad1", (4, 128, 28, 28), (576, 784)),
    ],
)
def test_shapes_of_the_worked_examples(text, y_shape, columns):
    problem = parse(text)
    assert problem.y_shape == y_shape
    assert (problem.terms, problem.p * problem.q) == columns


def test_weights_of_the_worked_examples():
    assert parse("n1c16h9w9-k32r2s2").w_shape == (32, 16, 2, 2)
    assert parse("n1c16h9w9-k32r2s2-g4").w_shape == (32, 4, 2, 2)
    assert parse("n1c3h9w9-k3r4s4-g3").w_shape == (3, 1, 4, 4)
    assert parse("n1c3h9w9-k32r1s1").w_shape == (32, 3, 1, 1)
    assert parse("n1c64h9w9-k128r5s3").w_shape == (128, 64, 5, 3)


def test_wrong_shapes_and_a_wrong_bias_are_refused():
    problem = parse("n1c2h4w4-k2r3s3")
    x, w = np.zeros(problem.x_shape), np.zeros(problem.w_shape)
    with pytest.raises(ValueError, match="takes"):
        convolve(problem, x[:, :1], w)
    with pytest.raises(ValueError, match="bias"):
        convolve(problem, x, w, np.zeros(2))
