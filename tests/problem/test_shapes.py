"""Shapes that do not fit: the error message names the likely intention, and its remedy works."""

import numpy as np
import pytest

from convbench import conv2d, conv2d_backward
from convbench.errors import ProblemError, TensorError

X, W = np.zeros((2, 4, 9, 8), np.float32), np.zeros((6, 4, 3, 2), np.float32)


MEANT = (
    (np.moveaxis(X, 1, -1), W,
     "expected input (N, 4, H, W), got (2, 9, 8, 4): channels come second; np.moveaxis(x, -1, 1) puts them there"),
    (X[0, 1:], W, "expected input (N, 4, H, W), got (3, 9, 8): an input without a batch is (4, H, W)"),
    (np.moveaxis(X[0], 0, -1), W,
     ("expected input (N, 4, H, W), got (9, 8, 4): the batch axis is missing and channels come second; "
     "np.moveaxis(x, -1, 0)[None]")),
    (X.swapaxes(0, 1), W[:, :, :, [0, 0, 0]],
     ("expected input (N, 4, H, W), got (4, 2, 9, 8): the batch comes first and the channels "
     "second; swap axes 0 and 1")),
    (X[:, 0], W[:, :1], ("expected input (N, 1, H, W), got (2, 9, 8): the channel axis is missing; x[:, None] has one "
     "channel")),
    (X[0, 0], W[:, :1], ("expected input (N, 1, H, W), got (9, 8): the axes of batch and channels are missing; "
     "x[None, None]")),
    (X[:, :, 0], W[:, :, :1], ("expected input (N, 4, H, W), got (2, 4, 8): with filters of one row, x[:, :, None] has "
     "one row")),
    (X, W.transpose(2, 3, 1, 0), ("expected input (N, 2, H, W), got (2, 4, 9, 8): the batch comes first and "
     "the channels second; swap axes 0 and 1; or the weight looks like (R, S, C, K), as Keras stores filters: "
     "np.moveaxis(weight, (3, 2), (0, 1))")),
    (X[:1], W.transpose(0, 2, 3, 1), ("expected input (N, 3, H, W) for weight (6, 3, 2, 4) and groups = 1, got "
     "(1, 4, 9, 8): the weight looks like (K, R, S, C): np.moveaxis(weight, -1, 1)")),
    (X[:1], W.swapaxes(0, 1), ("expected input (N, 6, H, W) for weight (4, 6, 3, 2) and groups = 1, got (1, 4, 9, 8): "
     "the weight looks like (C, K, R, S), as of a transposed convolution: np.swapaxes(weight, 0, 1)")),
    (X[:, :, 0], W[:, :, 0].transpose(2, 1, 0)[:, :3], ("expected input (N, 3, L) for weight (2, 3, 6) and groups = 1, "
     "got (2, 4, 8)")),
    (X, W[:, :3], "expected input (N, 3, H, W) for weight (6, 3, 3, 2) and groups = 1, got (2, 4, 9, 8)"),
    (X, W[:, :, 0], ("expected input (N, 4, L), got (2, 4, 9, 8): a weight of three axes is a 1-D convolution's; a 2-D "
     "one's is (K, C/groups, R, S)")),
    (X, W[0, 0], "expected weight (K, C/groups, R, S), or (K, C/groups, S) of a 1-D convolution, got (3, 2)"),
    (np.zeros((6, 512, 768)), np.zeros((100, 768, 2)),
     "expected input (N, 768, L), got (6, 512, 768): channels come second; transpose axes 1 and 2"),
    (np.zeros((), np.float32), W, "expected input (N, 4, H, W), got ()"),
)  # fmt: skip


@pytest.mark.parametrize(("x", "weight", "message"), MEANT)
def test_what_was_meant_is_said(x, weight, message):
    with pytest.raises(TensorError) as caught:
        conv2d(x, weight)
    assert str(caught.value) == message


def test_the_remedies_are_such():
    """What the messages tell to write gives a result."""
    given = np.random.default_rng(0).integers(-5, 6, X.shape).astype(np.float32)
    filters = np.random.default_rng(1).integers(-5, 6, W.shape).astype(np.float32)
    expected = conv2d(given, filters)
    for x, weight in (
        (np.moveaxis(np.moveaxis(given, 1, -1), -1, 1), filters),
        (given, np.moveaxis(filters.transpose(2, 3, 1, 0), (3, 2), (0, 1))),
        (given, np.moveaxis(filters.transpose(0, 2, 3, 1), -1, 1)),
        (given, np.swapaxes(filters.swapaxes(0, 1), 0, 1)),
    ):
        np.testing.assert_array_equal(conv2d(x, weight), expected)
    np.testing.assert_array_equal(conv2d(np.moveaxis(np.moveaxis(given[0], 0, -1), -1, 0)[None], filters), expected[:1])


def test_filters_of_keras_that_happen_to_fit_are_asked_about():
    """64 filters of 3 × 3 on 3 channels, which read as 3 filters of 3 × 64."""
    with pytest.raises(ProblemError, match=r"(?s)spans 64.*\(3, 3, 3, 64\) looks like \(R, S, C, K\), as Keras"):
        conv2d(np.zeros((1, 3, 32, 32)), np.zeros((3, 3, 3, 64)))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((X, W.astype(np.float64)), {}, "x is of dtype float32 and weight of float64: they must be of one dtype"),
        ((X, W, np.zeros(6, np.float16)), {}, "x is of dtype float32 and bias of float16"),
        ((X.astype(int), W), {}, "x is of dtype int64; it must be one of float32"),
        ((X, W, np.zeros((1, 6, 1, 1), np.float32)), {}, r"expected bias \(6,\), got \(1, 6, 1, 1\); reshape\(-1\)"),
        ((X, W, np.zeros(2, np.float32)), {}, r"expected bias \(6,\), got \(2,\)$"),
        (([[1.0]], W), {}, "x is a list; it must be a NumPy array, or one that exports DLPack"),
        ((X, W), {"groups": 2}, "the weight has all 4 channels; with groups = 2 a filter has 4/2"),
        ((X, W), {"groups": 0}, "groups is 0; it must be a whole number, at least 1"),
        ((X, W), {"groups": 1.5}, "groups is 1.5"),
        ((X[:, :, 0], W[:, :, 0]), {"stride": (1, 2)}, r"stride is \(1, 2\); a 1-D convolution has one number$"),
        ((X[:, :, 0], W[:, :, 0]), {"padding": (1, 2)}, r"padding is \(1, 2\); a 1-D convolution has one number, or"),
    ],
)
def test_what_does_not_fit_is_said(arguments, options, message):
    with pytest.raises(TensorError, match=message):
        conv2d(*arguments, **options)


def test_problems_that_cannot_be_are_refused_as_everywhere():
    for options in ({"padding": -1}, {"stride": 0}, {"padding": "full"}, {"padding": "same", "stride": 2}):
        with pytest.raises(ProblemError):
            conv2d(X, W, **options)


def test_a_gradient_of_another_shape_than_the_output_is_refused():
    with pytest.raises(TensorError, match=r"expected dy \(2, 6, 7, 7\), as y has it, got \(2, 6, 9, 8\)"):
        conv2d_backward(np.zeros((2, 6, 9, 8), np.float32), X, W)
    with pytest.raises(TensorError, match=r"expected dy \(2, 6, 7\), as y has it, got \(2, 6, 8\)"):
        conv2d_backward(np.zeros((2, 6, 8), np.float32), X[:, :, 0], W[:, :, 0])
