"""Arrays of other libraries are read without a copy, and results are arrays of the same library."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from numba import cuda

from convbench import conv2d, conv2d_backward, devices
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import DeviceError, TensorError
from convbench.layer import exchange, torch_tensors
from convbench.layer.exchange import GpuPlace, HostPlace, contiguous_strides, is_contiguous
from convbench.problem.notation import parse
from layer.test_functional import OTHERS, TORCH_DTYPES, drawn, options_of
from support.strategies import any_problems

X, W = np.ones((1, 2, 4, 4), np.float32), np.ones((3, 2, 3, 3), np.float32)


def as_tensor(value: np.ndarray) -> torch.Tensor:
    """The same values in the same order of memory."""
    wide = value if value.dtype == np.float64 else value.astype(np.float32)
    return torch.from_numpy(wide).to(TORCH_DTYPES[value.dtype.name])


@pytest.mark.parametrize("text", [*OTHERS, "n1c2h4w5-k3r3s2-bias", "n1c2h4w5-k3r3s2-float64"])
def test_tensors_of_torch_give_the_same_bits_as_tensors(device, text):
    problem = parse(text)
    arrays = drawn(problem, seed=0)
    expected = [conv2d(arrays["x"], arrays["w"], arrays.get("bias"), **options_of(problem), device=device)]
    expected += conv2d_backward(arrays["dy"], arrays["x"], arrays["w"], **options_of(problem), device=device)
    of_torch = {name: as_tensor(value) for name, value in arrays.items()}
    actual = [conv2d(of_torch["x"], of_torch["w"], of_torch.get("bias"), **options_of(problem), device=device)]
    actual += conv2d_backward(of_torch["dy"], of_torch["x"], of_torch["w"], **options_of(problem), device=device)
    for result, wanted in zip(actual, expected, strict=True):
        assert isinstance(result, torch.Tensor)
        assert result.dtype == TORCH_DTYPES[problem.dtype]
        assert result.double().numpy().tobytes() == wanted.astype(np.float64).tobytes()


@pytest.mark.parametrize("text", OTHERS)
def test_the_order_of_memory_changes_no_value_that_is_exact(device, text):
    """Integers through views that are transposed, reversed, strided, repeated and in the other byte order."""
    problem, rng = parse(text), np.random.default_rng(0)
    x, w = (rng.integers(-3, 4, shape).astype(problem.dtype) for shape in (problem.x_shape, problem.w_shape))
    wanted = conv2d(x, w, **options_of(problem), device=device, algorithm="direct")
    reverse = np.s_[::-1, ::-1, ::-1, ::-1]
    spread = np.zeros((*x.shape[:3], 2 * x.shape[3]), x.dtype)
    spread[..., ::2] = x
    views = [np.asfortranarray(x), x[reverse].copy()[reverse], spread[..., ::2]]
    if problem.dtype != "bfloat16":  # which NumPy has in one byte order alone
        views.append(x.astype(x.dtype.newbyteorder()))
    for view in views:
        np.testing.assert_array_equal(
            conv2d(view, np.asfortranarray(w), **options_of(problem), device=device, algorithm="direct"), wanted
        )
    broadcast = np.broadcast_to(x[:1, :1, :1, :1], x.shape)
    np.testing.assert_array_equal(
        conv2d(broadcast, w, **options_of(problem), device=device, algorithm="direct"),
        conv2d(broadcast.copy(), w, **options_of(problem), device=device, algorithm="direct"),
    )


def test_channels_last_stays_so():
    x = torch.randn(2, 4, 6, 5).to(memory_format=torch.channels_last)
    y = conv2d(x, torch.ones(3, 4, 2, 2))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert conv2d(x.contiguous(), torch.ones(3, 4, 2, 2)).is_contiguous()


# ---- autograd


@pytest.mark.parametrize(
    "asked", [(True, True, True), (True, False, False), (False, True, False), (False, False, True)]
)
def test_autograd_goes_through(asked):
    generator = torch.Generator().manual_seed(0)
    arrays = [
        torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(wanted)
        for shape, wanted in zip(((1, 2, 3, 3), (4, 1, 2, 1), (4,)), asked, strict=True)
    ]
    options = {"stride": (2, 1), "padding": 1, "groups": 2, "padding_mode": "circular"}
    assert torch.autograd.gradcheck(lambda *given: conv2d(*given, **options), arrays)


def test_autograd_takes_weights_of_numpy_too():
    x = torch.ones(1, 2, 4, 4, requires_grad=True)
    conv2d(x, W).sum().backward()
    assert x.grad[0, 0, 1, 1] == 3 * 4  # three filters, in each four windows that hold it


def test_autograd_that_is_off_stays_off():
    x = torch.ones(1, 2, 4, 4, requires_grad=True)
    with torch.no_grad():
        assert not conv2d(x, torch.from_numpy(W)).requires_grad
    assert conv2d(x, torch.from_numpy(W)).requires_grad
    assert not conv2d(x.detach(), torch.from_numpy(W)).requires_grad


def test_a_second_derivative_is_refused_and_not_wrong():
    x = torch.ones(1, 2, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(conv2d(x, torch.from_numpy(W)).pow(2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


# ---- stand-ins


class OfALibrary:
    """An array of a library that has DLPack and the array API standard."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()

    def __array_namespace__(self):
        return SimpleNamespace(asarray=OfALibrary)


class WithoutNamespace:
    """An array that has DLPack alone."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    __dlpack__, __dlpack_device__ = OfALibrary.__dlpack__, OfALibrary.__dlpack_device__


class OnAGpu:
    """What says that it is on a GPU, where there may be none."""

    __cuda_array_interface__ = {"shape": (1, 2, 4, 4), "typestr": "<f4", "data": (0, True), "version": 3}


class OnAGpuByDlpack:
    def __dlpack__(self, **options):
        raise AssertionError("no one may ask before the device is known")

    def __dlpack_device__(self):
        return (2, 0)


def test_an_array_of_a_library_comes_back_as_one():
    y = conv2d(OfALibrary(X), W)
    assert isinstance(y, OfALibrary)
    np.testing.assert_array_equal(y.values, np.full((1, 3, 2, 2), 18))
    assert type(conv2d(X, OfALibrary(W))) is np.ndarray  # the result is what x is


def test_an_array_of_a_library_without_namespace_comes_back_by_its_asarray_or_as_numpys(monkeypatch):
    monkeypatch.setattr(WithoutNamespace, "__module__", "a_library.arrays")
    monkeypatch.setitem(sys.modules, "a_library", SimpleNamespace())
    assert type(conv2d(WithoutNamespace(X), W)) is np.ndarray
    monkeypatch.setitem(sys.modules, "a_library", SimpleNamespace(asarray=OfALibrary))
    assert isinstance(conv2d(WithoutNamespace(X), W), OfALibrary)


def test_what_cannot_be_read_is_said():
    with pytest.raises(TensorError, match=r"x, a Tensor, cannot be read: .*Sparse layout"):
        conv2d(torch.ones(1, 2, 4, 4).to_sparse(), W)
    with pytest.raises(TensorError, match="weight, a Tensor, cannot be read"):
        conv2d(X, torch.ones(3, 2, 3, 3, device="meta"))


@pytest.mark.parametrize("stand_in", [OnAGpu, OnAGpuByDlpack])
def test_an_array_on_a_gpu_where_none_can_be_used_is_an_error(here, monkeypatch, stand_in):
    monkeypatch.setattr(exchange, "_selected", devices.select)
    with pytest.raises(
        DeviceError, match="x is on a GPU: device cuda was asked for, but CUDA cannot be used: no driver"
    ):
        conv2d(stand_in(), stand_in())
    with pytest.raises(DeviceError, match="x is on a GPU, and device emulator works on the host's memory"):
        conv2d(stand_in(), stand_in(), device="emulator")
    with pytest.raises(TensorError, match="x is on a GPU, weight is on the host: they must be in one memory"):
        conv2d(stand_in(), W)


@pytest.mark.parametrize("dtype", TORCH_DTYPES)
def test_a_gpus_array_is_described_to_numba_as_it_lies(monkeypatch, dtype):
    """With the host's memory in the place of a GPU's, which cuda.core numbers −1."""
    here = SimpleNamespace(id=-1)
    monkeypatch.setattr(cuda, "get_current_device", lambda: here)
    monkeypatch.setattr(cuda, "from_cuda_array_interface", lambda described, owner, sync: (described, owner, sync))
    tensor = torch.ones(2, 3, 4, 5, dtype=TORCH_DTYPES[dtype], requires_grad=True)[:, :, ::2].transpose(1, 3)
    described, owner, sync = GpuPlace(EmulatorDevice()).view(tensor)
    assert described["data"] == (tensor.data_ptr(), False)
    assert np.dtype(described["typestr"]) == dtype
    assert (described["shape"], described["version"], sync) == ((2, 5, 2, 3), 3, False)
    assert described["strides"] == tuple(step * tensor.element_size() for step in tensor.stride())
    assert owner.exporting_obj.data_ptr() == tensor.data_ptr()  # which keeps the memory
    here.id = 1
    with pytest.raises(TensorError, match="it is on GPU -1; Numba works on GPU 1"):
        GpuPlace(EmulatorDevice()).view(tensor)


@pytest.mark.parametrize("dtype", TORCH_DTYPES)
def test_a_result_on_the_gpu_becomes_a_tensor_in_the_same_memory(dtype):
    view = np.arange(6).reshape(2, 3).astype(dtype)
    tensor = torch_tensors.of_gpu(view, torch.device("cpu"))
    assert tensor.dtype == TORCH_DTYPES[dtype]
    assert tensor.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tensor.data_ptr() == view.ctypes.data


class Resident(GpuPlace):
    """A GPU's place whose memory is the host's: the emulator works on NumPy arrays where they are."""

    view, restrided, leave = (lambda self, array: array), HostPlace.restrided, lambda self, array: array
    entered: list

    def enter(self, view):
        array = super().enter(view)
        self.entered.append(np.shares_memory(array, view))
        return array

    def returned(self, view, like):
        return view


@pytest.fixture
def resident(monkeypatch):
    place = Resident(EmulatorDevice())
    monkeypatch.setattr(exchange, "place_of", lambda arrays, device: place)
    place.entered = []
    return place


@pytest.mark.parametrize("text", OTHERS)
def test_what_lies_on_the_device_in_a_known_order_is_not_copied(text, resident, monkeypatch):
    problem = parse(text)
    arrays = drawn(problem, seed=0)
    actual = [conv2d(arrays["x"], arrays["w"], arrays.get("bias"), **options_of(problem))]
    assert resident.entered == [True] * (2 + problem.bias)
    actual += conv2d_backward(arrays["dy"], arrays["x"], arrays["w"], **options_of(problem))
    assert all(resident.entered)
    monkeypatch.undo()
    expected = [conv2d(arrays["x"], arrays["w"], arrays.get("bias"), **options_of(problem))]
    expected += conv2d_backward(arrays["dy"], arrays["x"], arrays["w"], **options_of(problem))
    assert [a.tobytes() for a in actual] == [e.tobytes() for e in expected]


def test_what_lies_there_in_another_order_is_packed_there(resident):
    rng = np.random.default_rng(0)
    x, w, bias = (rng.integers(-5, 6, shape).astype(np.float32) for shape in ((2, 4, 6, 5), (3, 4, 2, 3), (6,)))
    scattered = x.transpose(3, 1, 0, 2).copy().transpose(2, 1, 3, 0), np.repeat(w, 2, axis=3)[..., ::2], bias[::2]
    actual = conv2d(*scattered)
    assert resident.entered == [False, False, False]
    expected = torch.nn.functional.conv2d(*map(torch.from_numpy, (x, w, bias[::2].copy())))
    np.testing.assert_array_equal(actual, expected.numpy())  # of integers: exact


def test_one_dimension_there_is_neither_copied(resident):
    x, w = np.arange(8, dtype=np.float32).reshape(1, 1, 8), np.ones((1, 1, 3), np.float32)
    np.testing.assert_array_equal(conv2d(x, w)[0, 0], 3 * np.arange(1, 7))
    assert resident.entered == [True, True]


@given(problem=any_problems())
def test_contiguous_is_what_numpy_calls_so(problem):
    array = np.zeros(problem.x_shape, problem.dtype)
    for view in (array, array.transpose(0, 2, 3, 1), array[:, :, ::2], array[..., ::-1]):
        assert is_contiguous(view.shape, view.strides, view.itemsize) == view.flags.c_contiguous
    assert contiguous_strides(array.shape, array.itemsize) == np.zeros(array.shape, array.dtype).strides
