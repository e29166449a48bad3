"""conv2d takes what torch.nn.functional.conv2d and conv1d take: results, gradients, shapes and refusals are theirs."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from convbench import Conv2d, conv2d, conv2d_backward
from convbench.errors import ConvbenchError, ProblemError, RefusedError, TensorError, UnknownNameError
from support.strategies import seeds


def of_torch(x, weight, bias, options):
    """PyTorch's result; torch warns that it copies the input for "same" and an even filter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same' with even")
        return (functional.conv1d if weight.ndim == 3 else functional.conv2d)(x, weight, bias, **options)


def either(values, axes):
    """One number, one in a tuple or a list, or a number for each axis; Python's and NumPy's."""
    number = values | values.map(np.int64)
    return (
        number
        | number.map(lambda one: (one,))
        | st.tuples(*[number] * axes)
        | st.lists(number, min_size=axes, max_size=axes)
    )


@st.composite
def calls(draw):
    """The arrays of a call, as float64 integers, and its options; some are such that PyTorch refuses them."""
    axes, groups = draw(st.integers(1, 2)), draw(st.sampled_from((1, 1, 2, 3)))
    channels, filters = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    batch = draw(st.sampled_from(((), (0,), (1,), (2,))))
    sizes, taps = (tuple(draw(st.integers(1, most)) for _ in range(axes)) for most in (7, 3))
    stride = draw(either(st.integers(1, 3), axes))
    words = st.sampled_from(("valid", "same"))
    options = {
        "stride": draw(st.sampled_from((stride, 1))),
        "padding": draw(either(st.integers(0, 3), axes) | words),
        "dilation": draw(either(st.integers(1, 2), axes)),
        "groups": draw(st.sampled_from((groups, np.int64(groups)))),
    }
    generator = torch.Generator().manual_seed(draw(seeds))
    shapes = ((*batch, channels, *sizes), (filters, channels // groups, *taps), (filters,))
    x, weight, bias = (torch.randint(-9, 10, shape, generator=generator).double() for shape in shapes)
    return x, weight, draw(st.sampled_from((bias, None))), options


@settings(max_examples=40)
@given(call=calls())
def test_results_and_gradients_are_torchs(call):
    """Of integers, so that both are exact. Where PyTorch refuses a call, it is refused."""
    x, weight, bias, options = call
    given = [array for array in (x, weight, bias) if array is not None]
    for array in given:
        array.requires_grad_()
    try:
        expected = of_torch(x, weight, bias, options)
    except (RuntimeError, TypeError):
        with pytest.raises(ConvbenchError):
            conv2d(x.detach(), weight.detach(), bias, **options)
        return
    actual = conv2d(x, weight, bias, **options)
    assert torch.equal(actual, expected)
    if expected.numel() == 0:
        assert actual.shape == expected.shape
    dy = torch.arange(float(expected.numel()), dtype=torch.float64).reshape(expected.shape).remainder(7)
    wanted = torch.autograd.grad(expected, given, dy)
    for gradient, right, array in zip(torch.autograd.grad(actual, given, dy), wanted, given, strict=True):
        assert gradient.shape == array.shape
        assert torch.equal(gradient, right)
    for gradient, right in zip(conv2d_backward(dy, x.detach(), weight.detach(), **options), wanted, strict=False):
        assert torch.equal(gradient, right)


STRANGE = (
    0, -1, (1, -1), (0, 1), (), (1, 2, 1), [1, 2, 3], (-2,), True, np.True_, (True, 1), 1.0, 1.5, (1.0, 1), "1", "full",
    None, np.array([1, 2]), {1, 2}, ((1, 2), (0, 1), (1, 1)), (((1,),),), 10, 2**31, 2**40, torch.tensor(2), np.int8(2),
)  # fmt: skip


@pytest.mark.parametrize("value", STRANGE, ids=repr)
@pytest.mark.parametrize("name", ["stride", "padding", "dilation", "groups"])
def test_a_strange_value_is_taken_as_torch_takes_it_or_explained(name, value):
    """The message has the name of the argument, its value, and a rule."""
    x, weight = torch.ones(1, 2, 6, 6, dtype=torch.float64), torch.ones(2, 2 if name != "groups" else 1, 3, 3).double()
    if name == "padding" and isinstance(value, int) and value > 10:
        pytest.skip("an input of this size does not exist")
    try:
        expected = of_torch(x, weight, None, {name: value})
    except (RuntimeError, TypeError):
        with pytest.raises(ConvbenchError) as caught:
            conv2d(x, weight, **{name: value})
        said = str(caught.value)
        assert isinstance(caught.value, ProblemError | TensorError)
        assert f"{name} is " in said or "the filter spans" in said or f"groups = {value}" in said
        assert (
            "must be" in said or "none may be" in said or "but" in said or "the words are" in said or "expected" in said
        )
    else:
        assert torch.equal(conv2d(x, weight, **{name: value}), expected)


def test_four_sides_and_more_words_are_taken_beyond_torch():
    x, weight = torch.ones(1, 1, 5, 5), torch.ones(1, 1, 3, 3)
    assert conv2d(x, weight, padding=((1, 0), (0, 2))).shape == (1, 1, 4, 5)
    assert conv2d(x[0], weight, padding="same_tensorflow", stride=2).shape == (1, 3, 3)


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_empty_batch_gives_arrays_of_the_library_and_dtype(device, library, dtype):
    x, weight = (library(np.ones(shape, dtype)) for shape in ((0, 4, 6, 5), (6, 2, 3, 2)))
    y = conv2d(x, weight, groups=2, stride=2, device=device)
    assert (type(y), y.dtype, tuple(y.shape)) == (type(x), x.dtype, (0, 6, 2, 2))
    for gradient, shape in zip(
        conv2d_backward(y, x, weight, groups=2, stride=2, device=device), (x.shape, weight.shape, (6,)), strict=True
    ):
        assert (type(gradient), gradient.dtype, tuple(gradient.shape)) == (type(x), x.dtype, tuple(shape))
        assert not gradient.any()


def test_an_empty_batch_is_checked_as_any_other():
    x, weight = np.ones((0, 2, 3, 3)), np.ones((2, 2, 3, 3))
    with pytest.raises(ProblemError, match="the filter spans 3 in height"):
        conv2d(x[:, :, :2], weight)
    with pytest.raises(TensorError, match=r"expected input \(N, 2, H, W\)"):
        conv2d(x[:, :1], weight)
    with pytest.raises(UnknownNameError, match="there are"):
        conv2d(x, weight, algorithm="fastest")
    with pytest.raises(RefusedError, match="depthwise refuses"):
        conv2d(x, weight, algorithm="depthwise")
    with pytest.raises(TensorError, match=r"expected dy \(0, 2, 1, 1\), as y has it, got \(1, 2, 1, 1\)"):
        conv2d_backward(np.ones((1, 2, 1, 1)), x, weight)


def test_a_gradient_has_a_batch_as_y_has_it():
    x, weight, dy = np.ones((2, 4, 4)), np.ones((3, 2, 3, 3)), np.ones((3, 2, 2))
    assert [gradient.shape for gradient in conv2d_backward(dy, x, weight)] == [(2, 4, 4), (3, 2, 3, 3), (3,)]
    with pytest.raises(TensorError, match=r"expected dy \(3, 2, 2\), as y has it, got \(1, 3, 2, 2\)"):
        conv2d_backward(dy[None], x, weight)
    with pytest.raises(TensorError, match=r"expected dy \(1, 3, 2, 2\), as y has it, got \(3, 2, 2\)"):
        conv2d_backward(dy, x[None], weight)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_an_image_without_a_batch_may_have_any_order_in_memory(device, order):
    """Views of which the channels are last in memory, and strides of a larger array."""
    large = np.arange(2.0 * 6 * 7 * 5).reshape(6, 7, 10).astype(np.float32)
    x = large[:, :, ::2].transpose([order.index(axis) for axis in range(3)])
    weight = np.ones((2, x.shape[0], 2, 2), np.float32)
    np.testing.assert_array_equal(conv2d(x, weight, device=device), conv2d(x[None].copy(), weight, device=device)[0])


@pytest.mark.parametrize("shape", [(2, 5, 6), (0, 2, 5, 6), (2, 6), (0, 2, 6)])
def test_the_layer_takes_these_inputs_too(shape):
    layer = Conv2d(2, 3, (3, 3) if shape[-2:] == (5, 6) else (3,), stride=(2,), padding=[1], seed=0)
    x = torch.from_numpy(np.ones(shape, np.float32))
    weight, bias = map(torch.from_numpy, layer.parameters())
    expected = of_torch(x, weight, bias, {"stride": 2, "padding": 1})
    y = layer(x)
    assert layer.output_shape(shape) == tuple(y.shape) == tuple(expected.shape)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)
    assert layer.backward(y).shape == x.shape
    assert layer.problem(shape).n == 1
