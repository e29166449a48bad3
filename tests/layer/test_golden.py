"""Worked examples with known answers, computed by every algorithm through the layer. A refusal gives its reason.

Sources of the answers: `tests/cases/golden/conv2d_worked_examples.json` names its own; the shapes and counts come from
PyTorch's documentation of Conv2d and Conv1d and questions about it, and from ML-From-Scratch's and PuzzleLib's layers.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from convbench import Conv2d
from convbench.algorithm import Algorithm, registry
from convbench.reference import compute
from support.running import assert_within, bounds_of

GOLDEN = json.loads((Path(__file__).parents[1] / "cases" / "golden" / "conv2d_worked_examples.json").read_text())


def examples() -> Iterator[tuple[str, Conv2d, np.ndarray, np.ndarray]]:
    """Name, layer, input and known output."""
    x = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
    for case in GOLDEN["cases"]:
        size = case["size"]
        options = {ours: _pair(case[theirs]) for ours, theirs in (("stride", "stride"), ("padding", "pad"))}
        layer = Conv2d(1, 2, size, **options, dilation=_pair(case["dilation"]), bias=False)
        mirrored = np.fliplr(np.diag(-np.arange(1.0, size + 1)))
        layer.weight = np.stack([np.eye(size), mirrored])[:, None].astype(np.float32)
        yield case["name"], layer, x, np.array(case["output"], np.float32)


def _pair(value):
    return tuple(value) if isinstance(value, list) else value


EXAMPLES = {name: (layer, x, output) for name, layer, x, output in examples()}


def computes(algorithm: Algorithm, layer: Conv2d, x: np.ndarray) -> bool:
    """Whether it does not refuse, which takes a reason."""
    reason = algorithm.refuses(layer.problem(x.shape))
    assert reason is None or reason.strip()
    return reason is None


def output_of(layer: Conv2d, x: np.ndarray, algorithm: Algorithm, device) -> np.ndarray:
    layer.algorithm, layer.device = algorithm, device
    return layer(x)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_worked_example_by_every_algorithm(algorithm, name, device):
    layer, x, expected = EXAMPLES[name]
    if not computes(algorithm, layer, x):
        pytest.skip(f"refused: {algorithm.refuses(layer.problem(x.shape))}")
    actual = output_of(layer, x, algorithm, device)
    assert layer.output_shape(x.shape) == expected.shape
    if algorithm.error_model.exact_headroom is not None:
        np.testing.assert_array_equal(actual, expected)
    problem = layer.problem(x.shape)
    given = {"x": x, "w": layer.weight}
    bound = bounds_of(algorithm, problem, "forward", given, {"y": expected})["y"]
    assert_within(actual=actual, expected=expected.astype(np.float64), bound=bound)


def test_there_are_nine_examples_and_several_algorithms_for_each():
    assert len(EXAMPLES) == 9
    for layer, x, _ in EXAMPLES.values():
        able = [name for name in registry.names() if computes(registry.get(name), layer, x)]
        assert {"direct", "implicit_gemm", "im2col_gemm", "depthwise"} <= set(able)


def test_every_algorithm_computes_some_example(algorithm):
    if "float32" not in algorithm.dtypes:
        pytest.skip("the examples are float32")
    assert any(computes(algorithm, layer, x) for layer, x, _ in EXAMPLES.values())


# layer, shape of the input, shape of the output, shape of the weight, how many parameters
KNOWN = (
    (Conv2d(3, 16, 3, padding="same", seed=1), (1, 3, 32, 32), (1, 16, 32, 32), (16, 3, 3, 3), 448),
    (Conv2d(3, 16, 3, padding="valid", seed=1), (1, 3, 32, 32), (1, 16, 30, 30), (16, 3, 3, 3), 448),
    (Conv2d(3, 16, 3, padding="valid", stride=2, seed=1), (1, 3, 32, 32), (1, 16, 15, 15), (16, 3, 3, 3), 448),
    (Conv2d(3, 192, 5, stride=1, padding=2, seed=1), (1, 3, 32, 32), (1, 192, 32, 32), (192, 3, 5, 5), 14_592),
    (Conv2d(3, 192, 5, seed=1), (1, 3, 32, 32), (1, 192, 28, 28), (192, 3, 5, 5), 14_592),
    (Conv2d(768, 100, (2,), seed=1), (6, 768, 512), (6, 100, 511), (100, 768, 2), 153_700),
    (Conv2d(1, 100, (3, 768), padding=(2, 0), seed=1), (2, 1, 64, 768), (2, 100, 66, 1), (100, 1, 3, 768), 230_500),
    (Conv2d(64, 128, 3, padding=1, seed=1), (4, 64, 28, 28), (4, 128, 28, 28), (128, 64, 3, 3), 73_856),
    (Conv2d(64, 128, (5, 3), padding=2, seed=1), (1, 64, 9, 9), (1, 128, 9, 11), (128, 64, 5, 3), 123_008),
    (Conv2d(16, 32, 2, initializer="gaussian", seed=1), (1, 16, 5, 5), (1, 32, 4, 4), (32, 16, 2, 2), 2080),
    (Conv2d(16, 32, 2, initializer="gaussian", groups=4, seed=1), (1, 16, 5, 5), (1, 32, 4, 4), (32, 4, 2, 2), 544),
    (Conv2d(3, 3, 4, groups=3, seed=1), (1, 3, 5, 5), (1, 3, 2, 2), (3, 1, 4, 4), 51),
    (Conv2d(3, 32, 1, seed=1), (1, 3, 2, 2), (1, 32, 2, 2), (32, 3, 1, 1), 128),
    (Conv2d(16, 16, 3, padding=1, seed=1), (1, 16, 14, 14), (1, 16, 14, 14), (16, 16, 3, 3), 2320),
    (Conv2d(1, 6, 5, seed=1), (3, 1, 28, 28), (3, 6, 24, 24), (6, 1, 5, 5), 156),
    (Conv2d(3, 64, 3, padding="same_tensorflow", bias=False, seed=1), (2, 3, 8, 8), (2, 64, 8, 8), (64, 3, 3, 3), 1728),
)


@pytest.mark.parametrize(("layer", "given", "wanted", "weight", "count"), KNOWN, ids=lambda value: str(value))
def test_known_shapes_and_counts(layer, given, wanted, weight, count):
    assert layer.output_shape(given) == wanted
    assert layer.weight.shape == weight
    assert layer.parameter_count == sum(parameter.size for parameter in layer.parameters()) == count


@pytest.mark.parametrize(("layer", "given", "wanted"), [known[:3] for known in KNOWN], ids=lambda value: str(value))
def test_every_known_layer_by_every_algorithm(algorithm, layer, given, wanted, device):
    x = np.random.default_rng(2).normal(size=given).astype(np.float32)
    if not computes(algorithm, layer, x):
        pytest.skip(f"refused: {algorithm.refuses(layer.problem(given))}")
    problem = layer.problem(given)
    actual = output_of(layer, x, algorithm, device)
    assert actual.shape == wanted
    tensors = {"x": x.reshape(problem.x_shape), "w": layer.weight.reshape(problem.w_shape)}
    tensors |= {} if layer.bias is None else {"bias": layer.bias}
    expected = compute(problem, "forward", tensors)
    bound = bounds_of(algorithm, problem, "forward", tensors, expected)["y"]
    assert_within(actual=actual.reshape(problem.y_shape), expected=expected["y"], bound=bound)


def test_several_algorithms_compute_each_known_layer():
    for layer, given, *_ in KNOWN:
        able = [name for name in registry.names() if registry.get(name).refuses(layer.problem(given)) is None]
        assert {"direct", "implicit_gemm", "im2col_gemm"} <= set(able)
