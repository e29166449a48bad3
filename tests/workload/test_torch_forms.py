"""A module is read in each form that PyTorch gives it: exported, scripted, traced, compiled, lazy, under autocast."""

import copy
import re
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (PyTorch's own name for it)

from cases.torch_networks import Calling, TextNetwork, mobilenet_like, resnet_like, text_like, unet_like
from convbench import workload
from convbench.errors import ConvbenchError

CUDA = torch.cuda.is_available()


@pytest.fixture(autouse=True)
def _only_our_warnings(recwarn):
    """Skipped layers and PyTorch's deprecations are told as warnings; these tests look at the layers."""


def found(module, shape=None, **options):
    layers = workload.from_torch(module, shape, **options).layers
    return [(layer.name, str(layer.problem), layer.count) for layer in layers]


def example(given):
    return given if isinstance(given, torch.Tensor) else torch.zeros(given)


class Inferring(nn.Module):
    """A module that runs another in inference mode."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, *inputs):
        with torch.inference_mode():
            return self.part(*inputs)


FORMS = {
    "exported": lambda module, x: torch.export.export(module, (x,)),
    "decomposed": lambda module, x: torch.export.export(module, (x,)).run_decompositions(),
    "graph": lambda module, x: torch.export.export(module, (x,)).module(),
    "scripted": lambda module, x: torch.jit.script(module),
    "traced": lambda module, x: torch.jit.trace(module, (x,), check_trace=False),
    "compiled": lambda module, x: torch.compile(module),
    "parallel": lambda module, x: nn.DataParallel(module),
}


@pytest.mark.parametrize(
    ("form", "network"),
    [
        *product(("exported", "scripted", "traced"), (resnet_like, mobilenet_like, unet_like, text_like)),
        *product(("decomposed", "graph", "compiled", "parallel"), (unet_like,)),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_every_form_of_a_network_has_its_layers(form, network):
    """Names, problems, counts, and what is skipped are those of the module itself."""
    module, given = network()
    module = module.eval()
    plain = workload.from_torch(module, given)
    taken = workload.from_torch(FORMS[form](copy.deepcopy(module), example(given)), given)
    assert taken.layers == plain.layers
    assert taken.skipped == plain.skipped


@pytest.mark.parametrize("network", [resnet_like, mobilenet_like, unet_like, text_like])
@pytest.mark.filterwarnings("ignore:.*skipped")
def test_a_network_in_inference_mode_has_its_layers(network):
    module, given = network()
    taken, plain = workload.from_torch(Inferring(module), given), workload.from_torch(module, given)
    assert [(layer.name, layer.problem, layer.count) for layer in taken.layers] == [
        (f"part.{layer.name}", layer.problem, layer.count) for layer in plain.layers
    ]
    assert len(taken.skipped) == len(plain.skipped)
    with torch.inference_mode():
        assert workload.from_torch(module, given).layers == plain.layers


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even", "ignore:.*skipped")
def test_inference_mode_hides_no_kind_of_convolution(device):
    """Here, PyTorch calls conv2d.padding, conv1d and conv_transpose2d of aten, where it else calls aten.convolution."""

    def forward(self, x):
        with torch.inference_mode():
            x = self.reflect(F.conv2d(x, torch.ones(3, 2, 2, 2), padding="same"))
            self.up(x)
            return F.conv1d(x.flatten(2), torch.ones(1, 3, 3))

    module = Calling(
        forward, reflect=nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), up=nn.ConvTranspose2d(3, 1, 2)
    )
    taken = workload.from_torch(module, (1, 2, 6, 6), device=device)
    assert [str(layer.problem) for layer in taken.layers] == [
        "n1c2h7w7-k3r2s2", "n1c3h6w6-k3r3s3-pad1-bias-reflect", "n1c3h1w36-k1r1s3",
    ]  # fmt: skip
    assert re.match("transposed convolution in 'up'", *taken.skipped)


# ---- programs


def test_a_program_has_inputs_of_its_own_and_checks_those_that_are_given():
    program = torch.export.export(
        nn.Sequential(nn.Conv2d(2, 3, 3)).eval(), (torch.zeros(2, 2, 6, 6),),
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC},),
    )  # fmt: skip
    taken = workload.from_torch(program)
    assert (taken.name, [str(layer.problem) for layer in taken.layers]) == ("ExportedProgram", ["n2c2h6w6-k3r3s3-bias"])
    assert taken.source.endswith("input (2, 2, 6, 6) of float32")
    assert found(program, (7, 2, 9, 6), dtype="float64") == [("0", "n7c2h9w6-k3r3s3-bias-float64", 1)]
    with pytest.raises(ConvbenchError, match=r"ExportedProgram does not run .* of \(7, 2, 9, 9\): .*to be equal to 6"):
        found(program, (7, 2, 9, 9))


def test_a_program_has_named_inputs_and_inputs_of_integers():
    ids, mask = torch.zeros((1, 7), dtype=torch.int64), torch.ones(1, 6, 7)
    program = torch.export.export(TextNetwork().eval(), (ids,), {"mask": mask})
    assert found(program) == [("widths.0", "n1c6h1w7-k4r1s2-bias", 1), ("widths.1", "n1c6h1w7-k4r1s3-bias", 1)]


@pytest.mark.filterwarnings("ignore")
def test_a_scripted_module_is_left_as_it_was_and_may_be_a_part():
    inner = torch.jit.script(nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)))
    before = {name: value.clone() for name, value in inner.state_dict().items()}
    module = nn.Sequential(nn.Conv2d(2, 2, 1), inner)
    text = "n1c2h6w6-k2r1s1-bias-float64", "n1c2h6w6-k2r3s3-bias-float64"
    assert found(module, (1, 2, 6, 6), dtype="float64") == [("0", text[0], 1), ("1.0", text[1], 1)]
    assert workload.from_torch(inner, (1, 2, 6, 6)).name == "Sequential"
    assert all(torch.equal(before[name], value) for name, value in inner.state_dict().items())
    assert inner.training
    assert module.training


@pytest.mark.filterwarnings("ignore")
def test_a_traced_module_may_have_constants():
    module = Calling(lambda self, x: self.conv(x + 1) * torch.ones(1, 3, 1, 1) + 2, conv=nn.Conv2d(2, 3, 1)).eval()
    assert found(torch.jit.trace(module, (torch.zeros(1, 2, 6, 6),)), (1, 2, 6, 6)) == [
        ("conv", "n1c2h6w6-k3r1s1-bias", 1)
    ]


@pytest.mark.filterwarnings("ignore")
def test_a_frozen_module_needs_a_device_with_values():
    frozen = torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3)).eval()))
    with pytest.raises(ConvbenchError, match=r'a module that is frozen, .* needs device="cpu"'):
        found(frozen, (1, 2, 6, 6))
    assert [text for _, text, _ in found(frozen, (1, 2, 6, 6), device="cpu")] == [
        "n1c2h6w6-k2r3s3-bias", "n1c2h4w4-k2r3s3-bias",
    ]  # fmt: skip


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_lazy_module_is_read_and_stays_lazy(device):
    module = nn.Sequential(
        nn.LazyConv2d(3, 3), nn.LazyBatchNorm2d(), nn.Conv2d(3, 4, 1), nn.Flatten(), nn.LazyLinear(2)
    )
    random = torch.get_rng_state()
    assert found(module, (1, 2, 6, 6), device=device, dtype="float64") == [
        ("0", "n1c2h6w6-k3r3s3-bias-float64", 1), ("2", "n1c3h4w4-k4r1s1-bias-float64", 1),
    ]  # fmt: skip
    assert torch.equal(random, torch.get_rng_state())
    assert type(module[0]) is nn.LazyConv2d
    assert module[0].has_uninitialized_params()
    assert module[1].has_uninitialized_params()
    assert module[2].weight.dtype == torch.float32


# ---- inputs


def test_inputs_may_be_tensors_and_have_names():
    ids = torch.zeros((1, 7), dtype=torch.int32)
    layers = [("widths.0", "n1c6h1w7-k4r1s2-bias", 1), ("widths.1", "n1c6h1w7-k4r1s3-bias", 1)]
    for given in (ids, [ids], [ids, (1, 6, 7)], {"ids": ids}, {"mask": (1, 6, 7), "ids": ids}, [ids, None]):
        assert found(TextNetwork(), given) == layers
        assert found(TextNetwork(), given, device="cpu") == layers
    halves = [text for _, text, _ in found(TextNetwork(), [ids, torch.ones(1, 6, 7)], dtype="float16")]
    assert halves == ["n1c6h1w7-k4r1s2-bias-float16", "n1c6h1w7-k4r1s3-bias-float16"]
    assert workload.from_torch(TextNetwork(), {"mask": (1, 6, 7), "ids": ids}).source.endswith(
        "TextNetwork, input mask (1, 6, 7) and ids (1, 7) of int32"
    )


def test_sizes_may_be_of_numpy_and_torch():
    layer = [("Conv2d", "n1c2h6w6-k3r3s3-bias", 1)]
    for shape in (torch.Size((1, 2, 6, 6)), [np.int64(size) for size in (1, 2, 6, 6)]):
        assert found(nn.Conv2d(2, 3, 3), shape) == layer


def test_inputs_may_be_nested():
    module = Calling(lambda self, batch, more: self.conv(batch["x"] + more[0]), conv=nn.Conv2d(2, 3, 3))
    layer = [("conv", "n1c2h6w6-k3r3s3-bias", 1)]
    assert found(module, [{"x": (1, 2, 6, 6)}, [(1, 2, 6, 6)]]) == layer
    assert found(module, [{"x": (1, 2, 6, 6)}, [torch.zeros(1, 2, 6, 6)]], device="cpu") == layer


def test_a_tensor_has_its_values_where_values_are_computed():
    module = Calling(lambda self, x: self.conv(x) if x.sum() == 72 else x, conv=nn.Conv2d(2, 2, 3))
    assert found(module, torch.ones(1, 2, 6, 6), device="cpu") == [("conv", "n1c2h6w6-k2r3s3-bias", 1)]


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(
    ("function", "given", "hint"),
    [
        (lambda self, ids: self.part(ids), (1, 7), "an input of integers is given as a tensor"),
        (lambda self, ids: F.one_hot(ids), (1, 7), "an input of integers is given as a tensor"),
        (lambda self, ids: torch.ones(3, 4)[ids], (1, 7), "an input of integers is given as a tensor"),
        (lambda self: self.part, (1, 7), "several inputs are given as a list of shapes"),
        (lambda self, x: F.gelu(x, x, x), (1, 7), "several inputs are given as a list of shapes"),
    ],
)
def test_inputs_of_another_kind_are_advised(function, given, hint, device):
    module = Calling(function, part=nn.Embedding(10, 4))
    with pytest.raises(ConvbenchError, match=hint):
        workload.from_torch(module, given, device=device)


def test_an_operator_without_meta_tensors_is_told():
    module = Calling(lambda self, x: torch.ops.aten.thnn_conv2d(x, torch.ones(3, 2, 3, 3), [3, 3]))
    with pytest.raises(ConvbenchError, match=r'an operator that PyTorch has for .* needs device="cpu"'):
        workload.from_torch(module, (1, 2, 6, 6))
    with pytest.raises(ConvbenchError, match=r'missing the required "forward" function$'):
        workload.from_torch(nn.Module(), (1, 2, 6, 6))


def test_the_inputs_of_forward_are_told():
    for given in ((1, 2), {"idz": (1, 2)}, [(1, 2), (1, 2), (1, 2)]):
        with pytest.raises(ConvbenchError, match=r"idz|its forward takes \(ids: .*, mask: .*\)|integers"):
            workload.from_torch(TextNetwork(), given)


def test_a_tensor_that_is_no_buffer_is_told():
    def forward(self, x):
        with torch.autocast("mps"):
            return self.conv(x * self.scale)

    module = Calling(forward, conv=nn.Conv2d(2, 3, 3))
    module.scale = torch.ones(1, 2, 1, 1)
    with pytest.raises(ConvbenchError, match=r"make it a buffer \(register_buffer\)"):
        workload.from_torch(module, (1, 2, 6, 6))


# ---- autocast


def casting(kind, conv=lambda *sizes: nn.Conv2d(2, *sizes), **options):
    """A module with a convolution before an autocast, one inside, and one after it."""

    def forward(self, x):
        x = self.before(x)
        with torch.autocast(kind or x.device.type, **options):
            x = self.inside(self.norm(x))
        return self.after(x.float())

    parts = {name: conv(2, 1) for name in ("before", "inside", "after")}
    return Calling(forward, norm=nn.BatchNorm2d(2), **parts)


def dtypes(module, **options):
    return [layer.problem.dtype for layer in workload.from_torch(module, (1, 2, 6, 6), **options).layers]


@pytest.mark.parametrize("kind", ["cuda", "cpu", "mps", "xpu"])
@pytest.mark.filterwarnings("ignore:Lazy modules", "error:CUDA is not available")
def test_autocast_gives_the_dtype_that_runs(kind):
    """On "meta", autocast has no effect; with or without a GPU, that of "cuda" is read as on a GPU."""
    for inside in ("bfloat16", "float16"):
        lazy = casting(kind, nn.LazyConv2d, dtype=getattr(torch, inside))
        assert dtypes(lazy) == ["float32", inside, "float32"]
        assert lazy.inside.has_uninitialized_params()
        module = casting(kind, dtype=getattr(torch, inside))
        assert dtypes(module) == ["float32", inside, "float32"]
        assert dtypes(Inferring(module)) == ["float32", inside, "float32"]
    assert dtypes(casting(kind, dtype=torch.bfloat16, enabled=False)) == ["float32"] * 3
    taken = workload.from_torch(casting(kind), (1, 2, 6, 6))
    assert taken.source.endswith(f", autocast of {kind}")
    assert not torch.is_autocast_enabled(kind)


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_on_another_device_autocast_does_as_there():
    assert dtypes(casting("cpu"), device="cpu") == dtypes(casting(None), device="cpu") == [
        "float32", "bfloat16", "float32",
    ]  # fmt: skip
    assert dtypes(casting("cuda"), device="cpu") == ["float32"] * 3
    with torch.autocast("cpu"):
        assert dtypes(nn.Conv2d(2, 2, 1)) == dtypes(nn.Conv2d(2, 2, 1), device="cpu") == ["bfloat16"]


def test_an_autocast_that_cannot_be_known_is_refused():
    with pytest.raises(ConvbenchError, match=r"autocast of its input's device, .*device=\"cpu\""):
        dtypes(casting(None))
    both = nn.Sequential(casting("cpu"), casting("cuda"))
    with pytest.raises(ConvbenchError, match=r"several kinds of devices, cpu, cuda; .*device=\"cpu\""):
        dtypes(both)


@pytest.mark.skipif(CUDA, reason="with a GPU, PyTorch keeps the autocast")
@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_an_autocast_that_pytorch_switched_off_earlier_is_refused():
    made = torch.autocast("cuda", dtype=torch.bfloat16)
    module = Calling(made(lambda self, x: self.conv(x)), conv=nn.Conv2d(2, 2, 1))
    with pytest.raises(ConvbenchError, match=r"convolution in 'conv': it runs under an autocast of 'cuda' .*@torch"):
        dtypes(module)
    assert dtypes(module, device="cpu") == ["float32"]
    other = torch.autocast("cpu", dtype=torch.bfloat16)
    assert dtypes(Calling(other(lambda self, x: self.conv(x)), conv=nn.Conv2d(2, 2, 1))) == ["bfloat16"]


class ScriptedCast(nn.Module):
    """A module that can be scripted, with autocast."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1, bias=False)

    def forward(self, x):
        with torch.autocast("cpu"):
            return self.conv(x)


@pytest.mark.filterwarnings("ignore")
def test_autocast_in_a_scripted_module_is_read_where_it_runs():
    scripted = torch.jit.script(ScriptedCast())
    with pytest.raises(ConvbenchError, match=r"autocast inside a scripted module .*device=\"cpu\""):
        dtypes(scripted)
    assert dtypes(scripted, device="cpu") == ["bfloat16"]
    exported = torch.export.export(ScriptedCast().eval(), (torch.zeros(1, 2, 6, 6),))
    assert dtypes(exported) == ["bfloat16"]
