"""NVVM IR becomes IR for the host: address spaces, shared and local arrays, and refusals with file and line."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from llvmlite import ir
from numba import cuda, float32, float64, int8
from numba.cuda import types
from numba.cuda.extending import intrinsic

from convbench.emulator import Emulator, UnsupportedError
from convbench.emulator.arguments import types_of
from convbench.emulator.front_end import lower
from convbench.emulator.retarget import retarget

HERE = Path(__file__)


@cuda.jit
def everything(x, y):
    tile = cuda.shared.array((2, 8), float32)
    dynamic = cuda.shared.array(0, float64)
    scratch = cuda.local.array((3, 5), int8)
    i = cuda.threadIdx.x
    scratch[2, 4] = i
    tile[1, i] = x[i] + scratch[2, i % 5]
    dynamic[i] = x[i]
    cuda.syncthreads()
    y[i] = tile[1, 7 - i] + dynamic[7 - i]


def line_of(kernel, text):
    """Where a piece of source is, in this file."""
    lines, first = inspect.getsourcelines(kernel.py_func)
    return next(number for number, line in enumerate(lines, first) if text in line)


@pytest.fixture(params=[False, True])
def watched(request):
    return request.param


@pytest.fixture
def found(watched):
    args = np.zeros(8, np.float32), np.zeros(8, np.float32)
    lowered = lower(everything, types_of(everything, args), compute_capability=(9, 0), checked=watched, strict=watched)
    assert "addrspace" in "".join(lowered.modules)  # otherwise this test would check nothing
    return retarget(lowered.modules, watch_local=watched)


def test_no_address_space_and_nothing_of_nvvm_is_left(found):
    text = "\n".join(found.modules)
    assert "addrspace" not in text
    assert "llvm.nvvm" not in text
    assert "nvvm.annotations" not in text
    assert " asm " not in text
    assert "target triple" not in text


def test_shared_arrays_are_found_with_size_site_and_name(found):
    tile, dynamic = found.shared.values()
    assert (tile.variable, tile.count, tile.element, tile.dynamic) == ("tile", 16, "float", False)
    assert (dynamic.variable, dynamic.count, dynamic.element, dynamic.dynamic) == ("dynamic", 0, "double", True)
    assert (tile.align, dynamic.align) == (4, 8)
    for array in (tile, dynamic):
        assert Path(array.site.file) == HERE
        assert array.site.line == line_of(everything, f"{array.variable} = ")


def test_local_arrays_are_found_with_size_site_and_name(found):
    (scratch,) = found.local.values()
    assert (scratch.variable, scratch.count, scratch.element) == ("scratch", 15, "i8")
    assert (Path(scratch.site.file), scratch.site.line) == (HERE, line_of(everything, "scratch = "))


def test_local_arrays_become_places_only_where_they_are_watched(found, watched):
    text = "\n".join(found.modules)
    assert ("call i8* @emu.local.0()" in text) is watched
    assert ("= alloca [15 x i8]" in text) is not watched


def test_a_barrier_says_where_it_is(found):
    (number,) = re.findall(r'call void @"?emu\.nvvm\.barrier0"?\(i64 (\d+)\)', "\n".join(found.modules))
    site = found.sites[int(number)]
    assert (Path(site.file), site.line) == (HERE, line_of(everything, "syncthreads"))


def test_an_array_without_a_variable_is_named_by_its_line():
    @cuda.jit
    def kernel(y):
        i = cuda.threadIdx.x
        y[i] = cuda.shared.array(8, float32)[i]

    lowered = lower(kernel, types_of(kernel, (np.zeros(8),)), compute_capability=(9, 0), checked=True, strict=True)
    (array,) = retarget(lowered.modules, watch_local=True).shared.values()
    assert array.variable == f"of line {line_of(kernel, 'shared')}"


# ---- what is refused


@intrinsic
def clock(typingctx):
    """Inline PTX that the emulator does not have."""

    def generate(context, builder, signature, values):
        kind = ir.FunctionType(ir.IntType(32), [])
        return builder.call(ir.InlineAsm(kind, "mov.u32 $0, %clock;", "=r", side_effect=True), [])

    return types.uint32(), generate


@intrinsic
def prefetch(typingctx, x):
    """One of NVVM's functions that the emulator does not have."""

    def generate(context, builder, signature, values):
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32)])
        function = ir.Function(builder.module, kind, "llvm.nvvm.no.such.thing")
        return builder.call(function, [values[0]])

    return types.int32(types.int32), generate


NOT_THERE = "calls_what_is_not_there", "llvm.nvvm.no.such.thing"


@cuda.jit
def reads_the_clock(y):
    y[0] = clock()


@cuda.jit
def calls_what_is_not_there(y):
    y[0] = prefetch(y[0])


@pytest.mark.parametrize(
    ("kernel", "text", "words", "emulator"),
    [
        (reads_the_clock, "clock()", ("inline PTX 'mov.u32 $0, %clock;'",), Emulator(code="llvm")),
        (reads_the_clock, "clock()", ("inline PTX 'mov.u32 $0, %clock;'",), Emulator(checked=True)),
        (calls_what_is_not_there, "prefetch(", NOT_THERE, Emulator(code="llvm")),
        (calls_what_is_not_there, "prefetch(", NOT_THERE, Emulator(code="ptx")),
        (calls_what_is_not_there, "prefetch(", NOT_THERE, Emulator(checked=True)),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name_file_and_line(kernel, text, words, emulator):
    y = np.ones(1, np.int32)
    with pytest.raises(UnsupportedError) as caught:
        emulator.launch(kernel, 1, 1, y)
    for part in (*words, f"{HERE}:{line_of(kernel, text)}", "has no counterpart on the CPU"):
        assert part in str(caught.value)
    assert y[0] == 1


@cuda.jit
def through_half_precision(x, halves, y):
    i = cuda.threadIdx.x
    halves[i] = x[i]
    y[i] = halves[i]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32])
def test_words_narrower_than_those_of_ptx_keep_their_value(dtype):
    low = -100 if np.issubdtype(dtype, np.signedinteger) else 200
    x = np.array([0, 1, 100, 127, low], dtype)  # half precision holds these exactly
    halves, y = np.zeros(5, np.float16), np.zeros(5, dtype)
    Emulator().launch(through_half_precision, 1, 5, x, halves, y)
    np.testing.assert_array_equal(halves, x.astype(np.float16))
    np.testing.assert_array_equal(y, x)
