"""The layer: its parameters, forward and backward, and its errors for wrong use."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from convbench import Conv2d, ConvbenchError
from convbench.errors import ProblemError, TensorError
from convbench.problem import DTYPES, PADDING_MODES


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_has_layers(dtype):
    layer = Conv2d(2, 3, 2, dtype=dtype, seed=0)
    assert layer.weight.dtype == layer.bias.dtype == dtype
    y = layer(np.ones((1, 2, 3, 3), dtype))
    assert y.dtype == dtype
    assert layer.backward(y).dtype == layer.weight_gradient.dtype == layer.bias_gradient.dtype == dtype


# ---- parameters


def test_parameters_are_the_arrays_themselves():
    layer, x = Conv2d(3, 16, 3, seed=0), np.ones((1, 3, 3, 3), np.float32)
    weight, bias = layer.parameters()
    assert weight is layer.weight
    assert bias is layer.bias
    weight[:], bias[:] = 2, 5
    np.testing.assert_array_equal(layer(x), np.full((1, 16, 1, 1), 2 * 27 + 5))
    assert layer.parameter_count == 448
    assert len(Conv2d(3, 16, 3, bias=False).parameters()) == 1


def test_a_weight_of_another_shape_is_told_how_to_become_one():
    layer = Conv2d(3, 32, 5)
    with pytest.raises(TensorError) as caught:
        layer.weight = np.zeros((5, 5, 3, 32), np.float32)
    assert str(caught.value) == (
        "expected weight (32, 3, 5, 5), got (5, 5, 3, 32): it looks like (R, S, C, K), as Keras stores filters: "
        "np.moveaxis(weight, (3, 2), (0, 1))"
    )
    layer.weight = np.moveaxis(np.zeros((5, 5, 3, 32), np.float32), (3, 2), (0, 1))
    assert [filters.shape for filters in layer.weight] == [(3, 5, 5)] * 32
    with pytest.raises(TensorError, match=r"got \(32, 3, 5\)$"):
        layer.weight = np.zeros((32, 3, 5), np.float32)
    with pytest.raises(TensorError, match=r"expected bias \(32,\), got \(32, 1\)"):
        layer.bias = np.zeros((32, 1), np.float32)
    with pytest.raises(TensorError, match="weight is a list; it must be an array"):
        layer.weight = [1.0]


@pytest.mark.parametrize("text", [
    "Conv2d(3, 16, kernel_size=(3, 3))",
    "Conv2d(4, 8, kernel_size=(5, 3), stride=2, padding=((1, 2), (0, 1)), dilation=(1, 2), groups=4, bias=False)",
    "Conv2d(1, 2, kernel_size=(7,), padding='same', padding_mode='circular', dtype='float16')",
    "Conv2d(3, 2, kernel_size=(1, 1), initializer=('gaussian', 'out'), wscale=0.1, algorithm='direct')",
])  # fmt: skip
def test_a_layer_reads_as_it_is_written(text):
    assert repr(eval(text)) == text


# ---- work


def of_torch(layer: Conv2d, padding=0) -> torch.nn.Module:
    """Torch's layer with the same parameters, in float64."""
    twin = torch.nn.Conv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, stride=layer.stride, padding=padding,
        dilation=layer.dilation, groups=layer.groups, bias=layer.bias is not None, padding_mode=layer.padding_mode,
    ).double()  # fmt: skip
    for parameter, values in zip(twin.parameters(), layer.parameters(), strict=True):
        parameter.data = torch.from_numpy(np.array(values, np.float64))
    return twin


def integers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """So small that float32 holds every sum exactly."""
    return rng.integers(-4, 5, shape).astype(np.float32)


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("bias", [True, False])
def test_forward_and_backward_are_torchs(mode, bias):
    rng = np.random.default_rng(0)
    layer = Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), groups=2, bias=bias, padding_mode=mode)
    layer.weight = integers(rng, layer.weight.shape)
    layer.bias = integers(rng, (6,)) if bias else None
    x, twin = integers(rng, (2, 4, 7, 6)), of_torch(layer, padding=(1, 2))
    tensor = torch.from_numpy(x).double().requires_grad_()
    y, expected = layer(x), twin(tensor)
    assert np.array_equal(y, expected.detach().numpy())
    dy = integers(rng, y.shape)
    expected.backward(torch.from_numpy(dy).double())
    assert np.array_equal(layer.backward(dy), tensor.grad.numpy())
    assert np.array_equal(layer.weight_gradient, twin.weight.grad.numpy())
    if bias:
        assert np.array_equal(layer.bias_gradient, twin.bias.grad.numpy())
    else:
        assert layer.bias_gradient is None


def test_a_depthwise_layer_and_a_pointwise_one_in_sequence():
    rng = np.random.default_rng(0)
    layers = [Conv2d(3, 3, 4, groups=3, initializer="gaussian"), Conv2d(3, 32, 1, initializer="gaussian")]
    for layer in layers:
        layer.weight, layer.bias = integers(rng, layer.weight.shape), integers(rng, layer.bias.shape)
    assert [layer.weight.shape for layer in layers] == [(3, 1, 4, 4), (32, 3, 1, 1)]
    twins = torch.nn.Sequential(*map(of_torch, layers))
    x = integers(rng, (1, 3, 5, 5))
    tensor = torch.from_numpy(x).double().requires_grad_()
    y, expected = x, twins(tensor)
    for layer in layers:
        assert layer.output_shape(y.shape) == layer(y).shape
        y = layer(y)
    assert y.shape == (1, 32, 2, 2)
    assert np.array_equal(y, expected.detach().numpy())
    gradient = integers(rng, y.shape)
    expected.backward(torch.from_numpy(gradient).double())
    for layer in reversed(layers):
        gradient = layer.backward(gradient)
    assert np.array_equal(gradient, tensor.grad.numpy())
    for layer, twin in zip(layers, twins, strict=True):
        assert np.array_equal(layer.weight_gradient, twin.weight.grad.numpy())
        assert np.array_equal(layer.bias_gradient, twin.bias.grad.numpy())


def test_a_step_against_the_gradient_lowers_the_loss():
    rng = np.random.default_rng(0)
    layer, x = Conv2d(2, 3, 3, padding="same", seed=1), rng.normal(size=(4, 2, 6, 6)).astype(np.float32)
    target = rng.normal(size=(4, 3, 6, 6)).astype(np.float32)
    losses = []
    for _ in range(5):
        y = layer(x)
        losses.append(float(((y - target) ** 2).mean()))
        layer.backward(2 * (y - target) / y.size)
        for parameter, gradient in zip(layer.parameters(), (layer.weight_gradient, layer.bias_gradient), strict=True):
            parameter -= np.float32(0.1) * gradient
    assert losses == sorted(losses, reverse=True)


def test_one_dimension():
    layer = Conv2d(768, 100, (2,), seed=0)
    assert layer.weight.shape == (100, 768, 2)
    rng = np.random.default_rng(0)
    layer.weight, layer.bias = integers(rng, layer.weight.shape), integers(rng, (100,))
    x = integers(rng, (2, 768, 9))
    y = layer(x)
    expected = functional.conv1d(*(torch.from_numpy(array).double() for array in (x, layer.weight, layer.bias)))
    assert np.array_equal(y, expected.numpy())
    assert layer.backward(y).shape == x.shape
    assert layer.weight_gradient.shape == layer.weight.shape


def test_padding_is_numpys():
    """A filter of one 1 shows the padding itself; three wide around 5 × 5."""
    x = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
    for ours, numpys in (("zeros", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")):
        layer = Conv2d(1, 1, 1, padding=3, padding_mode=ours, bias=False)
        layer.weight = np.ones((1, 1, 1, 1), np.float32)
        np.testing.assert_array_equal(layer(x)[0, 0], np.pad(x[0, 0], 3, mode=numpys))


def test_images_of_a_batch_do_not_meet():
    """Three grey images are a batch of three; put into the channels they are refused, with the way out."""
    layer = Conv2d(1, 6, 5, seed=0)
    images = np.random.default_rng(0).normal(size=(3, 1, 28, 28)).astype(np.float32)
    assert np.array_equal(layer(images), np.concatenate([layer(image[None]) for image in images]))
    with pytest.raises(TensorError, match=r"\(N, 1, H, W\), got \(1, 3, 28, 28\): .* swap axes 0 and 1"):
        layer(images.swapaxes(0, 1))
    with pytest.raises(TensorError, match=r"got \(3, 28, 28\): the channel axis is missing; x\[:, None\]"):
        layer(images[:, 0])


def test_tensors_of_torch_go_through_a_layer():
    layer, x = Conv2d(2, 3, 2, seed=0), torch.ones(1, 2, 3, 3)
    y = layer(x)
    assert isinstance(y, torch.Tensor)
    assert isinstance(layer.backward(y), torch.Tensor)
    layer.weight, layer.bias = map(torch.from_numpy, layer.parameters())
    assert torch.equal(layer(x), y)
    assert layer.parameter_count == 2 * 3 * 4 + 3


# ---- what does not fit


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2d(768, 100, (2,)), (6, 512, 768),
         "expected input (N, 768, L), got (6, 512, 768): channels come second; transpose axes 1 and 2"),
        (Conv2d(768, 100, (2,)), (512, 512),
         "expected input (N, 768, L), got (512, 512): an input without a batch is (768, L)"),
        (Conv2d(3, 8, 3), (8, 9, 9, 3),
         "expected input (N, 3, H, W), got (8, 9, 9, 3): channels come second; np.moveaxis(x, -1, 1) puts them there"),
        (Conv2d(3, 8, 3), (1, 224, 224),
         "expected input (N, 3, H, W), got (1, 224, 224): an input without a batch is (3, H, W)"),
        (Conv2d(3, 8, 3), (1, 4, 9, 9), "expected input (N, 3, H, W), got (1, 4, 9, 9)"),
    ],
)  # fmt: skip
def test_the_shape_that_is_expected_is_said_with_the_way_there(layer, shape, message):
    for ask in (lambda: layer(np.zeros(shape, np.float32)), lambda: layer.output_shape(shape)):
        with pytest.raises(TensorError) as caught:
            ask()
        assert str(caught.value) == message


def test_what_is_no_input_is_refused():
    layer = Conv2d(3, 8, 3)
    with pytest.raises(TensorError, match="x is of dtype float64 and weight of float32"):
        layer(np.zeros((1, 3, 5, 5)))
    with pytest.raises(TensorError, match="input is a list; it must be an array"):
        layer([[1.0]])
    with pytest.raises(ProblemError, match="the filter spans 3 in height"):
        layer(np.zeros((1, 3, 2, 5), np.float32))


def test_backward_comes_after_forward():
    layer = Conv2d(3, 8, 3)
    with pytest.raises(ConvbenchError, match=r"Conv2d\(3, 8.* has had no input yet"):
        layer.backward(np.zeros((1, 8, 3, 3), np.float32))
    with pytest.raises(TensorError):
        layer(np.zeros((1, 4, 5, 5), np.float32))
    with pytest.raises(ConvbenchError, match="has had no input yet"):  # what failed was none
        layer.backward(np.zeros((1, 8, 3, 3), np.float32))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, 4, 3), {"groups": 2}, "groups is 2; it must divide in_channels = 3"),
        ((4, 3, 3), {"groups": 2}, "groups is 2; it must divide out_channels = 3"),
        ((0, 3, 3), {}, "in_channels is 0; it must be a whole number, at least 1"),
        ((3, 3, 0), {}, "kernel_size is 0"),
        ((3, 3, (1, 2, 3)), {}, r"kernel_size is \(1, 2, 3\); it must be one number, \(R, S\), or \(S,\)"),
        ((3, 3, 3), {"dtype": "int8"}, "dtype is 'int8'; it must be one of float32, float64, float16, bfloat16"),
        ((3, 3, 3), {"stride": 0}, "stride is"),
        ((3, 3, 3), {"padding": "same", "stride": 2}, '"same" is defined for stride 1 only'),
        ((3, 3, 3), {"padding_mode": "mirror"}, "padding_mode is 'mirror'"),
        ((3, 3, (3,)), {"stride": (1, 2)}, "a 1-D convolution has one number"),
    ],
)
def test_a_layer_that_cannot_be_is_not_made(arguments, options, message):
    with pytest.raises(ConvbenchError, match=message):
        Conv2d(*arguments, **options)
