"""Modules of PTX: variables that all kernels share, several modules linked into one, and exceptions of kernels."""

import re

import numpy as np
import pytest
from numba import cuda

from convbench.emulator import Emulator, KernelFault, UnsupportedError, compiler_fault, load_ptx
from convbench.emulator.ptx.memory import Places
from convbench.emulator.ptx.parser import parse

nvvm = pytest.mark.skipif(compiler_fault() is not None, reason=f"{compiler_fault()}")
HEAD = ".version 9.0\n.target sm_90\n.address_size 64\n"
COUNT = (
    HEAD
    + """
.visible .global .align 4 .u32 total = 7;
.global .align 8 .u64 where = generic(total);
.global .align 4 .f32 halves[3] = {0f3F000000, 1.5};
.visible .entry add(.param .u32 amount)
{
    .reg .b32 %a; .reg .b64 %p;
    ld.param.u32 %a, [amount];
    ld.global.u64 %p, [where];
    red.global.add.u32 [%p], %a;
    ret;
}
.visible .entry get(.param .u64 out)
{
    .reg .b32 %v; .reg .b64 %p;
    ld.param.u64 %p, [out];
    ld.global.u32 %v, [total];
    st.global.u32 [%p], %v;
    ret;
}
"""
)


def test_kernels_of_a_module_share_its_variables_with_the_host():
    module, out = load_ptx(COUNT), np.zeros(1, np.uint32)
    module["add"].launch(1, 32, 2)  # 64 in all
    module["add"].launch(2, 1, 100)  # blocks of another shape are other machine code
    module["get"].launch(1, 1, out)
    assert out[0] == 7 + 64 + 200
    total = module.variable("total").view(np.uint32)
    assert total[0] == out[0]
    total[0] = 5
    module["get"].launch(1, 1, out)
    assert out[0] == 5
    np.testing.assert_array_equal(module.variable("halves").view(np.float32), [0.5, 1.5, 0])


def test_two_modules_of_the_same_text_have_variables_of_their_own():
    one, other = load_ptx(COUNT), load_ptx(COUNT)
    one["add"].launch(1, 1, 1)
    assert other.variable("total").view(np.uint32)[0] == 7


def test_checked_launches_see_the_same_variables():
    module, out = load_ptx(COUNT), np.zeros(1, np.uint32)
    module.variable("total").view(np.uint32)[0] = 40
    module["get"].launch(1, 1, out, checked=True)
    assert out[0] == 40


def test_a_variable_that_is_not_there_is_named():
    with pytest.raises(KeyError, match="sum: the module has total, where, halves"):
        load_ptx(COUNT).variable("sum")


def test_a_pointer_is_compared_with_the_variables_that_a_kernel_can_reach():
    # headers of C++ declare hundreds that no instruction names; `total` is named by the value of `where`, too
    assert set(Places(parse(COUNT.replace("red.global", "// red"))).reachable) == {"where", "total"}


LIBRARY = (
    HEAD
    + """
.global .align 4 .u32 factor = 10;
.visible .global .align 4 .u32 calls;
.func (.param .b32 r) helper(.param .b32 v)
{
    .reg .b32 %v, %f;
    ld.param.b32 %v, [v];
    ld.global.u32 %f, [factor];
    mul.lo.u32 %v, %v, %f;
    st.param.b32 [r], %v;
    ret;
}
.visible .func (.param .b32 r) tenfold(.param .b32 v)
{
    .reg .b32 %v;
    ld.param.b32 %v, [v];
    red.global.add.u32 [calls], 1;
    { .param .b32 p; .param .b32 q; st.param.b32 [p], %v; call (q), helper, (p); ld.param.b32 %v, [q]; }
    st.param.b32 [r], %v;
    ret;
}
"""
)
CALLER = (
    HEAD
    + """
.extern .func (.param .b32 r) tenfold(.param .b32 v);
.extern .global .align 4 .u32 calls;
.global .align 4 .u32 factor = 3;
.func (.param .b32 r) helper(.param .b32 v)
{
    .reg .b32 %v;
    ld.param.b32 %v, [v];
    add.u32 %v, %v, 1;
    st.param.b32 [r], %v;
    ret;
}
.visible .entry run(.param .u64 out)
{
    .reg .b32 %v, %f; .reg .b64 %p;
    ld.param.u64 %p, [out];
    ld.global.u32 %f, [factor];
    { .param .b32 p; .param .b32 q; st.param.b32 [p], %f; call (q), tenfold, (p); ld.param.b32 %v, [q]; }
    { .param .b32 p; .param .b32 q; st.param.b32 [p], %v; call (q), helper, (p); ld.param.b32 %v, [q]; }
    st.global.u32 [%p], %v;
    ld.global.u32 %v, [calls];
    st.global.u32 [%p+4], %v;
    ret;
}
"""
)


@pytest.mark.parametrize("texts", [(CALLER, LIBRARY), (LIBRARY, CALLER)])
def test_modules_are_linked_and_keep_names_of_their_own_apart(texts):
    out = np.zeros(2, np.uint32)
    load_ptx(*texts)["run"].launch(1, 1, out)
    assert list(out) == [3 * 10 + 1, 1]


@pytest.mark.parametrize("turn", [1, -1])
def test_a_name_of_one_module_is_not_a_visible_one_of_another(turn):
    public = LIBRARY.replace(".func (.param .b32 r) helper", ".visible .func (.param .b32 r) helper")
    out = np.zeros(2, np.uint32)
    load_ptx(*(CALLER, public)[::turn])["run"].launch(1, 1, out)
    assert list(out) == [3 * 10 + 1, 1]


def test_what_no_module_defines_is_refused_by_name():
    out = np.zeros(2, np.uint32)
    with pytest.raises(UnsupportedError, match="the function tenfold has no body"):
        load_ptx(CALLER)["run"].launch(1, 1, out)
    only_function = LIBRARY.replace(".visible .global .align 4 .u32 calls;", ".extern .global .align 4 .u32 calls;")
    with pytest.raises(UnsupportedError, match="the external variable calls is not linked"):
        load_ptx(CALLER, only_function)["run"].launch(1, 1, out)


@cuda.jit(debug=True, opt=False)
def careful(x, y):
    i = cuda.grid(1)
    if i >= x.size:
        raise IndexError("no such element")
    y[i] = 8 // x[i]


@nvvm
@pytest.mark.parametrize("checked", [False, True])
def test_exceptions_of_a_kernel_reach_the_host(checked):
    emulator, y = Emulator(code="ptx", checked=checked), np.zeros(8, np.int32)
    x = np.arange(1, 9, dtype=np.int32)
    emulator.launch(careful, 2, 4, x, y)
    np.testing.assert_array_equal(y, 8 // x)
    x[6] = 0
    with pytest.raises(ZeroDivisionError, match=re.escape("tid=[0, 0, 2] ctaid=[0, 0, 1]: integer division by zero")):
        emulator.launch(careful, 2, 4, x, y)
    x[6] = 7
    with pytest.raises(IndexError) as caught:
        emulator.launch(careful, 9, 1, x, y)
    line = careful.py_func.__code__.co_firstlineno + 4
    assert caught.value.args[0].endswith(f"{__file__}, line {line}, tid=[0, 0, 0] ctaid=[0, 0, 8]: no such element")
    emulator.launch(careful, 2, 4, x, y)  # the exception is told once


@nvvm
def test_without_debug_there_is_no_exception():
    @cuda.jit
    def divided(x, y):
        y[0] = 8 // x[0]

    Emulator(code="ptx").launch(divided, 1, 1, np.zeros(1, np.int32), np.zeros(1, np.int32))


@nvvm
@pytest.mark.parametrize("options", [{}, {"debug": True, "opt": False}])
def test_a_kernel_is_linked_with_cuda_source(options):
    source = 'extern "C" __device__ int tripled(int *result, int x) { *result = 3 * x; return 0; }'
    tripled = cuda.declare_device("tripled", "int32(int32)", link=cuda.CUSource(source))

    @cuda.jit(**options)
    def kernel(x):
        x[cuda.threadIdx.x] = tripled(x[cuda.threadIdx.x])

    x = np.arange(4, dtype=np.int32)
    Emulator(code="ptx").launch(kernel, 1, 4, x)
    assert list(x) == [0, 3, 6, 9]


@cuda.jit
def reversed_rows(m):
    grid, column = cuda.cg.this_grid(), cuda.grid(1)
    for row in range(1, m.shape[0]):
        m[row, column] = m[row - 1, m.shape[1] - column - 1] + 1
        grid.sync()


@nvvm
@pytest.mark.parametrize("checked", [False, True])
def test_a_grid_synchronises(checked):
    emulator, m = Emulator(code="ptx", checked=checked), np.zeros((4, 32), np.int32)
    m[0] = np.arange(32)
    for blocks in (1, 2):
        m[1:] = 0
        emulator.launch(reversed_rows, blocks, 32 // blocks, m)
        np.testing.assert_array_equal(m, [np.arange(32)[:: (-1) ** row] + row for row in range(4)])


@nvvm
@pytest.mark.parametrize("checked", [False, True])
def test_an_element_that_a_vector_load_has_too_much_is_no_access(checked):
    @cuda.jit
    def kernel(x):
        tile = cuda.shared.array(0, dtype=np.int32)
        for i in range(7):
            tile[i] = i
        cuda.syncthreads()
        for i in range(7):  # NVVM reads 4 and 4 elements
            x[i] = tile[i]

    x = np.zeros(7, np.int32)
    Emulator(code="ptx", checked=checked).launch(kernel, 1, 1, x, shared_bytes=28)
    assert list(x) == list(range(7))


GAPS = """
.visible .entry gaps(.param .u64 x, .param .u64 y)
{
    .reg .b32 %a, %b, %c, %d; .reg .b64 %p, %q;
    ld.param.u64 %p, [x]; ld.param.u64 %q, [y];
    ld.global.v4.u32 {%a, %b, %c, %d}, [%p];
    STORES
    ret;
}
"""


@pytest.mark.parametrize(
    ("used", "behind"),
    [("a", 4), ("ab", 8), ("abc", 12), ("c", 12), ("bc", 12), ("ac", 12), ("b", 8), ("bd", 16), ("abcd", 16)],
)
def test_a_vector_load_reads_up_to_its_last_used_element(used, behind):
    stores = " ".join(f"st.global.u32 [%q+{4 * place}], %{name};" for place, name in enumerate(used))
    kernel, y = load_ptx(HEAD + GAPS.replace("STORES", stores))["gaps"], np.zeros(4, np.uint32)
    x = np.arange(10, 14, dtype=np.uint32)
    kernel.launch(1, 1, x[: behind // 4], y)
    assert [int(value) for value in y[: len(used)]] == [10 + "abcd".index(name) for name in used]
    with pytest.raises(KernelFault, match="outside every array"):
        kernel.launch(1, 1, x[: behind // 4 - 1], y)
