"""The convolutions of a PyTorch module are found and are those that PyTorch computes; the module stays unchanged."""

import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812 (PyTorch's own name for it)

from cases.torch_networks import Calling, Standardised, mobilenet_like, resnet_like
from convbench import workload
from convbench.errors import ConvbenchError
from convbench.problem.notation import parse
from convbench.reference import definition as reference
from support.strategies import seeds


def found(module, shape, **options):
    layers = workload.from_torch(module, shape, **options).layers
    return [(layer.name, str(layer.problem), layer.count) for layer in layers]


# ---- networks


@pytest.mark.parametrize("network", [resnet_like, mobilenet_like])
def test_a_network_has_the_layers_that_hooks_see(network):
    """A second opinion: PyTorch's own hooks on a real run, and sizes read off the tensors."""
    module, shape = network()
    seen = []

    def note(name):
        def hook(part, inputs, output):
            (x,) = inputs
            seen.append((name, tuple(x.shape), tuple(part.weight.shape), tuple(output.shape), part.bias is not None))

        return hook

    hooks = [
        part.register_forward_hook(note(name)) for name, part in module.named_modules() if isinstance(part, nn.Conv2d)
    ]
    module.eval()(torch.zeros(shape))
    for hook in hooks:
        hook.remove()
    layers = workload.from_torch(module, shape).layers
    assert [
        (layer.name, layer.problem.x_shape, layer.problem.w_shape, layer.problem.y_shape, layer.problem.bias)
        for layer in layers
    ] == seen
    assert all(layer.count == 1 for layer in layers)
    assert sum(layer.problem.k * layer.problem.terms for layer in layers) == sum(
        part.weight.numel() for part in module.modules() if isinstance(part, nn.Conv2d)
    )


def test_a_workload_says_where_it_is_from():
    module, shape = resnet_like()
    taken = workload.from_torch(module, shape)
    assert (taken.name, taken.source) == ("Sequential", "torch.nn.modules.container.Sequential, input (1, 3, 64, 64)")
    assert workload.from_torch(module, shape, name="mine").name == "mine"


# ---- one layer


@st.composite
def layers(draw):
    """A Conv1d or Conv2d, and the shape of an input that it takes."""
    axes = draw(st.integers(1, 2))
    kind = (nn.Conv1d, nn.Conv2d)[axes - 1]
    groups, channels, filters = (draw(st.integers(1, 3)) for _ in range(3))
    stride = draw(st.integers(1, 3))
    padding = draw(
        st.tuples(*[st.integers(0, 3)] * axes) | st.sampled_from(("valid", "same") if stride == 1 else ("valid",))
    )
    mode = draw(st.sampled_from(("zeros", "reflect", "replicate", "circular")))
    module = kind(
        groups * channels, groups * filters, tuple(draw(st.integers(1, 4)) for _ in range(axes)), stride, padding,
        draw(st.integers(1, 2)), groups, draw(st.booleans()), mode,
    ).double()  # fmt: skip
    batch = draw(st.sampled_from(((), (1,), (2,))))
    return module, (*batch, groups * channels, *(draw(st.integers(7, 10)) for _ in range(axes)))


@given(layers(), seeds)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even")
def test_a_layer_is_the_problem_that_pytorch_computes(drawn, seed):
    """Integers in float64, so that both are exact; an even "same", paddings that are not zeros, and no batch."""
    module, shape = drawn
    (layer,) = workload.from_torch(module, shape).layers
    problem, generator = layer.problem, torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randint(-4, 5, parameter.shape, generator=generator))
        x = torch.randint(-4, 5, shape, generator=generator).double()
        expected = module(x)
    bias = None if module.bias is None else module.bias.detach().numpy()
    actual = reference.convolve(
        problem, x.numpy().reshape(problem.x_shape), module.weight.detach().numpy().reshape(problem.w_shape), bias
    )
    assert torch.equal(torch.from_numpy(actual).reshape(expected.shape), expected)


def test_the_padding_of_a_layer_is_the_layers_own():
    """PyTorch pads these inputs before it convolves them."""
    assert found(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (1, 2, 6, 6)) == [
        ("Conv2d", "n1c2h6w6-k3r3s3-pad1-bias-circular", 1)
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same' with even")
        assert found(nn.Conv1d(2, 3, 4, padding="same"), (1, 2, 6)) == [("Conv1d", "n1c2h1w6-k3r1s4-pad0x1.2-bias", 1)]


@pytest.mark.parametrize("dtype", ["float64", "float16", torch.bfloat16])
def test_the_dtype_may_be_another_than_the_modules(dtype):
    text = f"n1c2h6w6-k3r3s3-bias-{str(dtype).removeprefix('torch.')}"
    assert found(nn.Conv2d(2, 3, 3), (1, 2, 6, 6), dtype=dtype) == [("Conv2d", text, 1)]
    assert found(nn.Conv2d(2, 3, 3).to(getattr(torch, text.split("-")[-1])), (1, 2, 6, 6)) == [("Conv2d", text, 1)]


# ---- what runs


def test_repeated_calls_count_and_other_sizes_are_other_layers():
    def forward(self, x):
        x = self.conv(self.conv(x))
        return self.conv(x[:, :, ::2])

    assert found(Calling(forward, conv=nn.Conv2d(2, 2, 3, padding=1)), (1, 2, 6, 6)) == [
        ("conv", "n1c2h6w6-k2r3s3-pad1-bias", 2),
        ("conv", "n1c2h3w6-k2r3s3-pad1-bias", 1),
    ]


def test_what_does_not_run_is_not_there():
    assert found(
        Calling(lambda self, x: self.used(x), used=nn.Conv2d(2, 2, 1), idle=nn.Conv2d(2, 2, 3)), (1, 2, 6, 6)
    ) == [("used", "n1c2h6w6-k2r1s1-bias", 1)]


def test_convolutions_that_are_no_modules_are_found_under_who_calls_them():
    def forward(self, x):
        x = F.conv2d(x, torch.ones(4, 1, 3, 1), stride=(2, 1), padding=(1, 0), groups=2)
        x = torch.conv1d(self.inside(x).flatten(2), torch.ones(3, 4, 3), torch.ones(3), dilation=2)
        return torch.ops.aten.convolution(x, torch.ones(1, 3, 1), None, [1], [0], [1], False, [0], 1)

    module = Calling(forward, inside=nn.Sequential(Standardised(4, 4, 3, 2, padding=7), nn.ReLU()))
    assert found(module, (2, 2, 9, 8)) == [
        ("Calling", "n2c2h9w8-k4r3s1-pad1x0-stride2x1-g2", 1),
        ("inside.0", "n2c4h6w9-k4r3s3-stride2", 1),
        ("Calling", "n2c4h1w8-k3r1s3-dil1x2-bias", 1),
        ("Calling", "n2c3h1w4-k1r1s1", 1),
    ]


def test_a_module_of_several_inputs_gets_one_of_each_shape():
    module = Calling(lambda self, x, y: self.a(x) + self.b(y), a=nn.Conv2d(1, 1, 1), b=nn.Conv2d(2, 1, 3, padding=1))
    assert [name for name, *_ in found(module, [(1, 1, 5, 5), (1, 2, 5, 5)])] == ["a", "b"]


def test_convolutions_that_cannot_be_computed_are_named_in_a_warning():
    def forward(self, x):
        x = self.plain(self.up(x))
        self.cube(x[:, :, None].expand(-1, -1, 3, -1, -1))
        F.conv_tbc(torch.ones(5, 1, 2), torch.ones(3, 2, 2), torch.ones(2))
        F.conv2d(x.to(torch.int64), torch.ones(1, 2, 3, 3, dtype=torch.int64))
        return F.conv_transpose1d(x.flatten(2), torch.ones(2, 2, 2))

    module = Calling(forward, up=nn.ConvTranspose2d(2, 2, 2), plain=nn.Conv2d(2, 2, 1), cube=nn.Conv3d(2, 1, 1))
    with pytest.warns(UserWarning, match="Calling: skipped") as warned:
        taken = workload.from_torch(module, (1, 2, 4, 4))
    assert [layer.name for layer in taken.layers] == ["plain"]
    transposed = "the direction backward_data of its convolution computes it"
    assert list(taken.skipped) == [
        f"transposed convolution in 'up': {transposed}",
        "convolution in 'cube': it has 3 spatial axes, and a problem one or two",
        "aten.conv_tbc.default in 'Calling': another operator than aten.convolution",
        "convolution in 'Calling': its numbers are int64, and a problem's float32, float64, float16, bfloat16",
        f"transposed convolution in 'Calling': {transposed}",
    ]
    told = [str(warning.message) for warning in warned if "skipped" in str(warning.message)]
    assert told == [f"Calling: skipped {what}" for what in taken.skipped]
    assert {warning.filename for warning in warned if "skipped" in str(warning.message)} == {__file__}


# ---- nothing is changed


class Counting(nn.Module):
    """A module that keeps books: a buffer, and a running mean in either mode."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.frozen = nn.BatchNorm2d(4, momentum=0.5).eval()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        with torch.no_grad():
            self.conv.weight.mul_(2)
        return self.frozen(self.norm(self.conv(x)))


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("shape", [(3, 2, 6, 6), (3, 7, 6, 6)])
def test_a_module_is_left_as_it_was(device, shape):
    """Weights, buffers, gradients, modes, hooks and the generator, whether it ran or failed."""
    module = Counting()
    module(torch.ones(1, 2, 5, 5)).sum().backward()

    def condition():
        return (
            {name: value.clone() for name, value in module.state_dict().items()},
            {name: value.grad.clone() for name, value in module.named_parameters()},
        )

    before, random = condition(), torch.get_rng_state()
    identities = {name: id(value) for name, value in module.named_parameters()}
    if shape[1] == 2:
        assert len(workload.from_torch(module, shape, device=device).layers) == 1
    else:
        with pytest.raises(ConvbenchError, match="expected input"):
            workload.from_torch(module, shape, device=device)
    for old, new in zip(before, condition(), strict=True):
        assert old.keys() == new.keys()
        assert all(torch.equal(old[name], new[name]) for name in old)
    assert identities == {name: id(value) for name, value in module.named_parameters()}
    assert torch.equal(random, torch.get_rng_state())
    assert [part.training for part in module.modules()] == [True, True, True, False]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_a_way_that_depends_on_values_needs_a_device_that_has_some():
    module = Calling(lambda self, x: self.conv(x) if x.sum() == 0 else x, conv=nn.Conv2d(2, 2, 3))
    with pytest.raises(ConvbenchError, match=r'does not run on \'meta\'.*needs device="cpu"'):
        workload.from_torch(module, (1, 2, 6, 6))
    assert found(module, (1, 2, 6, 6), device="cpu") == [("conv", "n1c2h6w6-k2r3s3-bias", 1)]


def test_a_network_of_any_size_is_read_without_its_values():
    """On "meta" nothing is computed: this convolution alone would be 10^18 multiplications."""
    (layer,) = workload.from_torch(
        nn.Conv2d(1000, 1000, 3, padding=1, device="meta"), (10_000, 1000, 3000, 3000)
    ).layers
    assert layer.problem == parse("n10000c1000h3000w3000-k1000r3s3-pad1-bias")


# ---- mistakes


@pytest.mark.parametrize(
    ("module", "shape", "options", "parts"),
    [
        (nn.Conv2d(2, 3, 3), (1, 4, 6, 6), {}, ["in 'Conv2d': expected input (N, 2, H, W)", "got (1, 4"]),
        (nn.Conv2d(2, 3, 3), (1, 2, 2, 6), {}, ["in 'Conv2d': the filter spans 3 in height"]),
        (nn.MaxPool2d(7), (1, 2, 6, 6), {}, ["MaxPool2d does not run on 'meta' with an input of (1, 2, 6, 6)"]),
        (nn.Conv2d(2, 3, 3), (1, 2, 0, 6), {}, ["input_shape is (1, 2, 0, 6)", "at least 1"]),
        (nn.Conv2d(2, 3, 3), (), {}, ["input_shape is ()"]),
        (nn.Conv2d(2, 3, 3), "wide", {}, ["input_shape is 'wide'"]),
        (nn.Conv2d(2, 3, 3), 7, {}, ["input_shape is 7"]),
        (nn.Conv2d(2, 3, 3), (1, 2, 6, 6), {"dtype": "int8"}, ["dtype is 'int8'", "float32"]),
        (nn.Conv2d(2, 3, 3), (1, 2, 6, 6), {"device": "tpu"}, ["'tpu'"]),
        (nn.LazyConv2d(3, 3), (1, 2, 2, 6), {}, ["in 'LazyConv2d': the filter spans 3 in height"]),
        (nn.Conv2d(2, 3, 3), None, {}, ["Conv2d: give input_shape, such as (1, 3, 224, 224)"]),
        (nn.Conv2d(2, 3, 3), [], {}, ["input_shape is []"]),
        (nn.Conv2d(2, 3, 3), np.zeros((1, 2, 9, 9)), {}, ["input_shape is a ndarray; it must be sizes"]),
        (nn.Conv2d, (1, 2, 6, 6), {}, ["not a type", "call the class to get a module: Conv2d(…)"]),
        (nn.Conv2d(2, 3, 3), {1: (1, 2, 6, 6)}, {}, ["input_shape is {1: (1, 2, 6, 6)}", "names"]),
        (nn.Conv2d(2, 3, 3), (True, 2, 6, 6), {}, ["input_shape is (True, 2, 6, 6)"]),
        (nn.Linear(2, 2), (1, 2), {}, ["runs no convolution that can be computed"]),
        (nn.ConvTranspose2d(2, 3, 3), (1, 2, 6, 6), {}, ["runs no convolution", "transposed convolution in"]),
        (Calling(lambda self, x: 1 / 0), (1, 2), {}, ["Calling does not run", "ZeroDivisionError"]),
        ("resnet18", (1, 2), {}, ["a module is a torch.nn.Module, and not a str"]),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_mistake_is_explained(module, shape, options, parts):
    with pytest.raises(ConvbenchError) as caught:
        workload.from_torch(module, shape, **options)
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_pytorch_says_what_to_do(monkeypatch):
    monkeypatch.delitem(sys.modules, "convbench.workload.torch_module", raising=False)
    monkeypatch.delattr("convbench.workload.torch_module", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConvbenchError, match=r'pip install "convbench\[torch\]"'):
        workload.from_torch(object(), (1, 2))
