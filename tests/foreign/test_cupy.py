"""Kernels that CuPy writes and compiles compute what NumPy computes, without a GPU and without CuPy's arrays.

CuPy translates a Python function to CUDA C++, or fills a template of its own, and gives both to NVRTC with its headers.
"""

import ctypes
import warnings
from pathlib import Path

import cupy
import numpy as np
import pytest
from compilers import WHEELS
from cupy._core import _kernel
from cupy._core._carray import Indexer
from cupy.cuda import compiler
from cupyx import jit
from cupyx.jit import _compile, _cuda_types

from convbench.emulator import FaultKind, KernelFault, load_ptx

HEADERS = Path(cupy.__file__).parent / "_core" / "include"
FOLDERS = HEADERS, *(HEADERS / "cupy" / "_cccl" / name for name in ("thrust", "libcudacxx", "cub")), WHEELS / "include"
RNG = np.random.default_rng(11)


class Array1(ctypes.Structure):
    """CuPy's array of one axis, as a kernel receives it."""

    _fields_ = (
        ("data", ctypes.c_void_p), ("size", ctypes.c_int64), ("shape", ctypes.c_int64), ("strides", ctypes.c_int64),
    )  # fmt: skip


def given(array):
    return Array1(array.ctypes.data, array.size, array.size, array.strides[0])


@pytest.fixture
def compiled(monkeypatch):
    """Compile a source by CuPy for an architecture, to PTX."""
    # without this CuPy asks for machine code of the GPU that it finds
    monkeypatch.setattr(compiler, "_get_arch_for_options_for_nvrtc", lambda arch: (f"-arch=compute_{arch}", "ptx"))

    def compile_it(source, architecture, *options):
        options = "-std=c++17", "-lineinfo", *(f"-I{folder}" for folder in FOLDERS), *options
        ptx = compiler.compile_using_nvrtc(source, options=options, arch=architecture)[0]
        return load_ptx(ptx.decode() if isinstance(ptx, bytes) else ptx)

    return compile_it


def translated(function, *types):
    """The CUDA C++ that CuPy makes of a Python function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that the interface may change, for which CuPy is pinned
        kernel = jit.rawkernel()(function)
    return _compile.transpile(kernel._func, ['extern "C"', "__global__"], "cuda", types, _cuda_types.void).code


FLOATS = _cuda_types.CArray(np.dtype(np.float32), 1, True, True)
INTS = _cuda_types.CArray(np.dtype(np.int32), 1, True, True)


def reverse(x, y):
    tile = jit.shared_memory(np.float32, 128)
    i = jit.blockIdx.x * jit.blockDim.x + jit.threadIdx.x
    tile[jit.threadIdx.x] = x[i]
    jit.syncthreads()
    y[i] = tile[127 - jit.threadIdx.x]


def reverse_without_barrier(x, y):
    tile = jit.shared_memory(np.float32, 128)
    i = jit.blockIdx.x * jit.blockDim.x + jit.threadIdx.x
    tile[jit.threadIdx.x] = x[i]
    y[i] = tile[127 - jit.threadIdx.x]


def count(x, bins):
    i = jit.blockIdx.x * jit.blockDim.x + jit.threadIdx.x
    jit.atomic_add(bins, x[i], 1)


def block_sum(x, y):
    tile = jit.shared_memory(np.int32, 128)
    thread = jit.threadIdx.x
    tile[thread] = x[jit.blockIdx.x * jit.blockDim.x + thread]
    jit.syncthreads()
    for bit in range(7):
        half = np.uint32(64 >> bit)
        if thread < half:
            tile[thread] += tile[thread + half]
        jit.syncthreads()
    y[jit.blockIdx.x] = tile[0]


@pytest.mark.parametrize("checked", [False, True], ids=["fast", "checked"])
@pytest.mark.parametrize("architecture", ["80", "90", "120"])
def test_kernels_translated_from_python(compiled, architecture, checked):
    x, y = RNG.standard_normal(512).astype(np.float32), np.zeros(512, np.float32)
    module = compiled(translated(reverse, FLOATS, FLOATS), architecture)
    module["reverse"].launch(4, 128, given(x), given(y), memory=[x, y], checked=checked)
    np.testing.assert_array_equal(y, x.reshape(4, 128)[:, ::-1].ravel())

    numbers, bins = RNG.integers(0, 10, 512).astype(np.int32), np.zeros(10, np.int32)
    module = compiled(translated(count, INTS, INTS), architecture)
    module["count"].launch(4, 128, given(numbers), given(bins), memory=[numbers, bins], checked=checked)
    np.testing.assert_array_equal(bins, np.bincount(numbers, minlength=10))

    sums = np.zeros(4, np.int32)
    module = compiled(translated(block_sum, INTS, INTS), architecture)
    module["block_sum"].launch(4, 128, given(numbers), given(sums), memory=[numbers, sums])
    np.testing.assert_array_equal(sums, numbers.reshape(4, 128).sum(1))


def test_a_race_in_a_translated_kernel_is_found(compiled):
    x, y = RNG.standard_normal(128).astype(np.float32), np.zeros(128, np.float32)
    module = compiled(translated(reverse_without_barrier, FLOATS, FLOATS), "90")
    with pytest.raises(KernelFault) as found:
        module["reverse_without_barrier"].launch(1, 128, given(x), given(y), memory=[x, y], checked=True)
    assert found.value.kind in (FaultKind.RACE_READ, FaultKind.RACE_OVERWRITE)


COMPLEX = """
#include <cupy/complex.cuh>
#include <cupy/atomics.cuh>
extern "C" __global__ void products(const complex<float>* x, complex<float>* y, float a, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) y[i] = a * x[i] * exp(y[i]);
}
extern "C" __global__ void total(const float* x, double* sum, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(sum, (double)x[i]);
}
"""


@pytest.mark.parametrize("checked", [False, True], ids=["fast", "checked"])
def test_kernels_with_cupys_complex_numbers_and_atomics(compiled, checked):
    module = compiled(COMPLEX, "90")
    x, y = ((RNG.standard_normal(300) + 1j * RNG.standard_normal(300)).astype(np.complex64) for _ in range(2))
    wanted = np.float32(1.5) * x * np.exp(y)
    module["products"].launch(2, 64, x, y, 1.5, 300, checked=checked)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)
    whole, total = RNG.integers(0, 99, 300).astype(np.float32), np.zeros(1)
    module["total"].launch(2, 256, whole, total, 300, checked=checked)
    assert total[0] == whole.sum()


def test_a_kernel_of_elements(compiled):
    kernel = cupy.ElementwiseKernel("T x, T y", "T z", "z = (x - y) * (x - y)", "squared_difference")
    array, indexer, number = 1, 2, np.float32  # CuPy's numbers for the kinds of an argument
    kinds = (*(_kernel._ArgInfo(array, cupy.ndarray, number, 1, True, True) for _ in range(3)),)
    kinds += (_kernel._ArgInfo(indexer, Indexer, None, 1, True, True),)
    types = _kernel._TypeMap((("T", number),))
    code = _kernel._get_elementwise_kernel_code(kinds, types, kernel.params, kernel.operation, kernel.name, "")
    x, y, z = (RNG.standard_normal(300).astype(number) for _ in range(3))
    index = np.array([300, 300, 0])  # elements, the extent of the axis, and a place for the index
    module = compiled(f"#include <cupy/carray.cuh>\n{code}", "90")
    arguments = given(x), given(y), given(z), index.tobytes()
    for checked in (False, True):
        z[:] = 0
        module["squared_difference"].launch(2, 64, *arguments, memory=[x, y, z], checked=checked)
        np.testing.assert_array_equal(z, (x - y) * (x - y))
