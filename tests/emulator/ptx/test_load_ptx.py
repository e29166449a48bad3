"""Anyone's PTX is parsed, launched on NumPy arrays, and refused or stopped with words where it cannot run."""

import ctypes

import numpy as np
import pytest
from numba import cuda, types
from numba.cuda.extending import intrinsic

from convbench.emulator import (
    CompilationError,
    Emulator,
    FaultKind,
    KernelFault,
    LaunchError,
    UnsupportedError,
    load_ptx,
)

HEAD = ".version 9.0\n.target sm_90\n.address_size 64\n"
INDEX = """
    .reg .b32 %t<8>; .reg .b64 %a<8>; .reg .f32 %f<8>; .reg .pred %p<4>;
    mov.u32 %t1, %tid.x; mov.u32 %t2, %ntid.x; mov.u32 %t3, %ctaid.x;
    mad.lo.s32 %t1, %t2, %t3, %t1;
"""
SCALE = (
    HEAD
    + """
.visible .entry scale(.param .u64 x, .param .u64 y, .param .f32 factor, .param .u32 count)
{"""
    + INDEX
    + """
    ld.param.u64 %a1, [x]; ld.param.u64 %a2, [y]; ld.param.f32 %f1, [factor]; ld.param.u32 %t4, [count];
    setp.ge.u32 %p1, %t1, %t4;
    @%p1 bra DONE;
    cvta.to.global.u64 %a1, %a1;
    mul.wide.u32 %a3, %t1, 4;
    add.s64 %a1, %a1, %a3;
    add.s64 %a2, %a2, %a3;
    ld.global.f32 %f2, [%a1];
    mul.f32 %f3, %f2, %f1;
    st.f32 [%a2], %f3;      // a generic address
DONE:
    ret;
}
"""
)


def test_a_kernel_runs_on_arrays_and_numbers():
    x, y = np.arange(100, dtype=np.float32), np.zeros(100, np.float32)
    load_ptx(SCALE)["scale"].launch(4, 32, x, y, 2.5, 100)
    np.testing.assert_array_equal(actual=y, desired=2.5 * x)


def test_a_file_is_read_and_its_kernels_are_listed(tmp_path):
    file = tmp_path / "scale.ptx"
    file.write_text(SCALE)
    module = load_ptx(file)
    assert list(module) == ["scale"]
    assert len(module) == 1
    with pytest.raises(KeyError, match="double: the module has scale"):
        module["double"]


def test_a_mangled_name_is_found_by_the_part_that_people_know():
    assert load_ptx(SCALE.replace("entry scale", "entry _Z5scalePfS_fi"))["scale"]


def test_a_view_with_a_negative_stride_is_bounded_by_all_its_bytes():
    x, y = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    kernel = load_ptx(SCALE)["scale"]
    kernel.launch(1, 32, x[32:][::-1][31:], y, 1.0, 1)  # one element, x[32]
    assert y[0] == 32
    with pytest.raises(KernelFault, match="writes 4 bytes outside every array, 0 bytes behind the end of number 1"):
        kernel.launch(1, 64, x, y[:32], 1.0, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "scale takes 4 arguments, not 0"),
        ((1.5, 0, 1.0, 1), r"argument number 0 is \.u64 and cannot take the number 1\.5"),
        ((np.zeros(1), np.zeros(1), np.zeros(1), 1), r"argument number 2 is \.f32 and cannot take an array"),
        ((np.zeros(1), np.zeros(1), 1.0, "3"), r"argument number 3 is \.u32 and cannot take '3'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(CompilationError, match=message):
        load_ptx(SCALE)["scale"].launch(1, 1, *arguments)


def test_accesses_outside_stop_the_kernel():
    x, y = np.zeros(10, np.float32), np.zeros(32, np.float32)
    with pytest.raises(KernelFault) as caught:
        load_ptx(SCALE)["scale"].launch(1, 32, x, y, 1.0, 32)
    assert caught.value.kind is FaultKind.READ_OUTSIDE
    assert caught.value.thread == (10, 0, 0)
    with pytest.raises(KernelFault, match="reads 4 bytes outside"):
        load_ptx(SCALE)["scale"].launch(1, 32, 0, y, 1.0, 32)  # a null pointer


FEATURES = (
    HEAD
    + """
.const .align 4 .u32 table[4] = {10, 20, 30, 40};
.global .align 4 .b32 counter;
.func (.param .b32 result) twice(.param .b32 value)
{
    .reg .b32 %r<3>;
    ld.param.b32 %r1, [value];
    add.s32 %r2, %r1, %r1;
    st.param.b32 [result], %r2;
    ret;
}
.visible .entry features(.param .align 8 .b8 given[24], .param .u64 out)
{"""
    + INDEX
    + """
    .local .align 16 .b8 depot[32];
    .shared .align 4 .b8 tile[128];
    .reg .b32 %r<20>;
    { .reg .b32 %r1; .reg .pred q; mov.u32 %r1, 5; setp.eq.u32 q, %t1, 0;
      @q bra INSIDE; mov.u32 %r1, 6; INSIDE: mov.u32 %r2, %r1; }
    ld.param.u32 %r3, [given];            // a structure: int, float, pointer, double
    ld.param.u64 %a1, [given+8];
    ld.global.u32 %r4, [%a1];
    mov.u64 %a2, table; and.b32 %t5, %t1, 3; mul.wide.u32 %a3, %t5, 4; add.u64 %a2, %a2, %a3;
    ld.const.u32 %r5, [%a2];
    { .param .b32 p0; st.param.b32 [p0], %r5; .param .b32 r0; call.uni (r0), twice, (p0); ld.param.b32 %r6, [r0]; }
    mov.u64 %a4, depot; cvta.local.u64 %a5, %a4; st.u32 [%a5+8], %r6; ld.local.u32 %r7, [depot+8];
    mov.u32 %t6, tile; shl.b32 %t7, %t1, 2; add.u32 %t6, %t6, %t7; st.shared.u32 [%t6], %t1;
    bar.sync 0;
    xor.b32 %t7, %t7, 124; mov.u32 %t6, tile; add.u32 %t6, %t6, %t7; ld.shared.u32 %r8, [%t6];
    mov.u64 %a6, counter; cvta.global.u64 %a6, %a6; atom.add.u32 %r9, [%a6], 1;
    brx.idx %t5, TARGETS;
TARGETS: .branchtargets ZERO, ONE, ONE, ONE;
ZERO: mov.u32 %r10, 100; bra.uni END;
ONE: mov.u32 %r10, 200;
END:
    ld.param.u64 %a7, [out]; mul.wide.u32 %a3, %t1, 32; add.u64 %a7, %a7, %a3;
    st.global.v4.u32 [%a7], {%r2, %r3, %r4, %r7};
    st.global.v2.u32 [%a7+16], {%r8, %r10};
    ret;
}
"""
)


class Given(ctypes.Structure):
    _fields_ = (("number", ctypes.c_int), ("scale", ctypes.c_float), ("at", ctypes.c_void_p), ("wide", ctypes.c_double))


def test_structures_calls_tables_scopes_and_every_space():
    pointed, out = np.array([77], np.int32), np.zeros((32, 8), np.int32)
    given = Given(9, 1.0, pointed.ctypes.data, 2.0)
    kernel = load_ptx(FEATURES)["features"]
    kernel.launch(1, 32, given, out, memory=[pointed])
    i = np.arange(32)
    columns = np.where(i == 0, 5, 6), 9, 77, 2 * 10 * (i % 4 + 1), 31 - i, np.where(i % 4 == 0, 100, 200)
    for column, expected in enumerate(columns):
        assert np.all(out[:, column] == expected), column
    with pytest.raises(KernelFault, match="reads 4 bytes outside every array"):
        kernel.launch(1, 32, given, out)  # nobody told that the kernel may read `pointed`
    with pytest.raises(CompilationError, match="argument number 0 has 24 bytes, and was given 3"):
        kernel.launch(1, 32, b"abc", out)


def body(text: str, parameters: str = ".param .u64 out") -> str:
    return f"{HEAD}.visible .entry k({parameters})\n{{{INDEX}ld.param.u64 %a1, [out];\n{text}\nret;\n}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%a1, {%f1, %f2}];", "textures"),
        ("shfl.up.b32 %t1, %t2, 1, 0;", "does not exist since compute capability 7.0"),
        ("mma.sync.aligned.m8n8k4.row.col.f32.f32.f32.f32 {%f1,%f2}, {%f3}, {%f4}, {%f5,%f6};", "not known here"),
        ("frobnicate.b32 %t1, %t2;", r"`frobnicate\.b32 %t1, %t2;` is not emulated: it has no counterpart"),
        ("call.uni somewhere;", "the function somewhere has no body"),
        ("ld.global.u32 %t1, [unknown];", "unknown is not declared"),
    ],
)
def test_instructions_without_a_counterpart_are_refused_and_shown(text, message):
    with pytest.raises(UnsupportedError, match=message):
        load_ptx(body(text))["k"].launch(1, 1, np.zeros(4, np.int32))


def test_text_that_is_no_ptx_is_refused():
    with pytest.raises(CompilationError, match=r"no PTX, because it has no \.version"):
        load_ptx("hello\nworld\n")
    with pytest.raises(UnsupportedError, match="ends in the middle of a statement"):
        load_ptx(SCALE[: SCALE.index("mul.f32")])
    with pytest.raises(FileNotFoundError):
        load_ptx("no/such/file.ptx")


def test_a_trap_ends_the_launch():
    with pytest.raises(KernelFault, match="the kernel aborts itself") as caught:
        load_ptx(body("setp.eq.u32 %p1, %t1, 3; @%p1 trap;"))["k"].launch(1, 4, np.zeros(1, np.int32))
    assert caught.value.thread == (3, 0, 0)


def test_limits_of_the_module_are_kept():
    text = body("").replace("out)", "out)\n.maxntid 64, 1, 1")
    with pytest.raises(LaunchError, match="64"):
        load_ptx(text)["k"].launch(1, 65, np.zeros(1, np.int32))


def test_ptx_is_not_launched_by_an_emulator_of_other_code():
    kernel = load_ptx(SCALE)["scale"]._kernel
    with pytest.raises(UnsupportedError, match="launch it with Emulator"):
        Emulator(code="llvm").launch(kernel, 1, 1, 0, 0, 0.0, 0)


# ---- threads that wait for each other

PAIRS = """
    shr.u32 %t4, %t1, 6; add.u32 %t4, %t4, 1;
    mov.u32 %t6, tile; shl.b32 %t7, %t1, 2; add.u32 %t6, %t6, %t7; st.shared.u32 [%t6], %t1;
    bar.sync %t4, 64;
    xor.b32 %t7, %t7, 252; mov.u32 %t6, tile; add.u32 %t6, %t6, %t7; ld.shared.u32 %t5, [%t6];
    mul.wide.u32 %a2, %t1, 4; add.u64 %a1, %a1, %a2; st.global.u32 [%a1], %t5;
"""


def test_named_barriers_hold_the_threads_that_they_count():
    out = np.zeros(128, np.int32)
    text = body(PAIRS).replace("{\n", "{\n.shared .align 4 .b8 tile[512];\n", 1)
    load_ptx(text)["k"].launch(1, 128, out)
    np.testing.assert_array_equal(actual=out, desired=np.arange(128) ^ 63)


def test_a_barrier_that_too_few_threads_reach_is_told():
    with pytest.raises(KernelFault, match="a barrier waits for threads that never come"):
        load_ptx(body("bar.sync 1, 64;"))["k"].launch(1, 32, np.zeros(1, np.int32))


def test_threads_arrive_without_waiting():
    text = """
    setp.lt.u32 %p1, %t1, 32;
    mov.u32 %t6, tile;
    @%p1 bra CONSUMER;
    st.shared.u32 [%t6], 42;
    bar.arrive 1, 64;
    ret;
CONSUMER:
    bar.sync 1, 64;
    ld.shared.u32 %t5, [%t6];
    mul.wide.u32 %a2, %t1, 4; add.u64 %a1, %a1, %a2; st.global.u32 [%a1], %t5;
    """
    out = np.zeros(32, np.int32)
    load_ptx(body(text).replace("{\n", "{\n.shared .align 4 .b8 tile[4];\n", 1))["k"].launch(1, 64, out)
    assert np.all(out == 42)


def test_lanes_that_run_together_are_active_together():
    text = """
    and.b32 %t4, %t1, 1; setp.eq.u32 %p1, %t4, 0;
    @%p1 bra EVEN;
    activemask.b32 %t5; redux.sync.add.u32 %t6, %t1, %t5; bra.uni STORE;
EVEN:
    activemask.b32 %t5; redux.sync.max.u32 %t6, %t1, %t5;
STORE:
    mul.wide.u32 %a2, %t1, 8; add.u64 %a1, %a1, %a2; st.global.v2.u32 [%a1], {%t5, %t6};
    """
    out = np.zeros((32, 2), np.uint32)
    load_ptx(body(text))["k"].launch(1, 32, out)
    odd = np.arange(32) % 2 == 1
    assert np.all(out[:, 0] == np.where(odd, 0xAAAAAAAA, 0x55555555))
    assert np.all(out[:, 1] == np.where(odd, np.arange(1, 32, 2).sum(), 30))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("min.s32", -16),
        ("max.s32", 15),
        ("min.u32", 0),
        ("max.u32", 2**32 - 1),
        ("and.b32", 0),
        ("or.b32", -1),
        ("xor.b32", 0),
    ],
)
def test_redux_reduces_as_its_type_says(operation, expected):
    text = f"sub.s32 %t4, %t1, 16; redux.sync.{operation} %t5, %t4, -1; st.global.u32 [%a1], %t5;"
    out = np.zeros(1, np.int32)
    load_ptx(body(text))["k"].launch(1, 32, out)
    assert int(out[0]) & 0xFFFFFFFF == expected & 0xFFFFFFFF


@pytest.mark.parametrize("used", [0, 1, 5, 8, 15, 16])
def test_an_asynchronous_copy_of_a_part_fills_the_rest_with_zeros(used):
    text = """
    mov.u32 %t6, tile;
    ld.param.u64 %a2, [source]; ld.param.u32 %t5, [used];
    cp.async.cg.shared.global [%t6], [%a2], 16, %t5;
    cp.async.wait_all;
    ld.shared.v4.b32 {%t1, %t2, %t3, %t4}, [%t6];
    st.global.v4.b32 [%a1], {%t1, %t2, %t3, %t4};
    """
    parameters = ".param .u64 out, .param .u64 source, .param .u32 used"
    kernel = load_ptx(body(text, parameters).replace("{\n", "{\n.shared .align 16 .b8 tile[16];\n", 1))["k"]
    source, out = np.arange(1, used + 1, dtype=np.uint8), np.full(16, 99, np.uint8)
    kernel.launch(1, 1, out, source, used)
    assert out.tolist() == [*range(1, used + 1), *[0] * (16 - used)]
    if used > 1:
        with pytest.raises(KernelFault, match="reads 1 bytes outside" if used < 16 else "reads 16 bytes outside"):
            kernel.launch(1, 1, out, source[:-1], used)


@pytest.mark.parametrize("kind", ["f16", "bf16", "f16x2", "bf16x2"])
def test_halves_are_added_atomically(kind):
    width = 32 if kind.endswith("x2") else 16
    text = f"""
    .reg .b{width} %v, %old;
    ld.param.u64 %a2, [value];
    ld.global.b{width} %v, [%a2];
    atom.add.noftz.{kind} %old, [%a1], %v;
    """
    out, lanes = np.zeros(2, np.uint16), width // 16
    one = np.array([0x3C00, 0x4000] if kind.startswith("f16") else [0x3F80, 0x4000], np.uint16)  # 1 and 2
    load_ptx(body(text, ".param .u64 out, .param .u64 value"))["k"].launch(1, 3, out, one)
    sums = [0x4200, 0x4600] if kind.startswith("f16") else [0x4040, 0x40C0]  # 3 and 6
    assert out.tolist() == [*sums[:lanes], *[0] * (2 - lanes)]


def test_a_function_follows_pointers_into_its_callers_local_memory():
    """Code that NVVM does not inline, as with debug=True, returns its results so."""
    text = f"""{HEAD}
    .func fill(.param .b64 into)
    {{
        .local .align 4 .b8 own[8]; .reg .b64 %a<2>; .reg .b32 %t<2>;
        mov.u32 %t1, 7; st.local.u32 [own], %t1; ld.local.u32 %t1, [own];
        ld.param.u64 %a1, [into]; st.u32 [%a1], %t1;
        ret;
    }}
    .visible .entry k(.param .u64 out)
    {{
        .local .align 256 .b8 depot[8]; .reg .b64 %a<4>; .reg .b32 %t<3>;
        mov.u64 %a1, depot; cvta.local.u64 %a2, %a1; add.u64 %a2, %a2, 4;
        {{ .param .b64 p; st.param.b64 [p], %a2; call.uni fill, (p); }}
        ld.local.u32 %t1, [depot+4];
        and.b64 %a3, %a2, 255; cvt.u32.u64 %t2, %a3;
        ld.param.u64 %a1, [out]; st.global.v2.u32 [%a1], {{%t1, %t2}};
        ret;
    }}"""
    out = np.zeros(2, np.uint32)
    load_ptx(text)["k"].launch(1, 1, out)
    assert out.tolist() == [7, 4]


def test_memory_that_a_numba_kernel_reaches_through_a_pointer_alone_is_named():
    @cuda.jit
    def k(addresses, out):
        out[0] = as_pointer(addresses[0])[1]

    hidden, out = np.array([3, 5], np.float32), np.zeros(1, np.float32)
    addresses = np.array([hidden.ctypes.data], np.uint64)
    with pytest.raises(KernelFault, match="outside every array"):
        Emulator(code="ptx").launch(k, 1, 1, addresses, out)
    Emulator(code="ptx").launch(k, 1, 1, addresses, out, memory=[hidden])
    assert out[0] == 5
    with pytest.raises(CompilationError, match="memory"):
        Emulator(code="llvm").launch(k, 1, 1, addresses, out, memory=[hidden])


@intrinsic
def as_pointer(context, address):
    """A pointer to float32 from an address."""

    def cast(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(address), cast


def test_a_register_may_be_declared_without_a_space_before_its_type():
    """numba-cuda's inline assembly for halves is written so."""
    out = np.zeros(1, np.uint32)
    load_ptx(body("{.reg.b32 %mine; mov.u32 %mine, 5; st.global.u32 [%a1], %mine;}"))["k"].launch(1, 1, out)
    assert out[0] == 5


THROUGH = f"""{HEAD}
.func (.param .b32 r) twice(.param .b32 a)
{{
    .reg .b32 %t<2>; ld.param.u32 %t1, [a]; add.u32 %t1, %t1, %t1; st.param.b32 [r], %t1; ret;
}}
.func (.param .b32 r) next(.param .b32 a)
{{
    .reg .b32 %t<2>; ld.param.u32 %t1, [a]; add.u32 %t1, %t1, 1; st.param.b32 [r], %t1; ret;
}}
.visible .entry k(.param .u64 out, .param .u32 which)
{{
    .reg .b32 %t<4>; .reg .b64 %a<5>; .reg .pred %p<3>;
    ld.param.u32 %t1, [which];
    mov.u64 %a1, twice; mov.u64 %a2, next; setp.eq.u32 %p1, %t1, 0;
    selp.b64 %a3, %a1, %a2, %p1; setp.eq.u32 %p2, %t1, 2; selp.b64 %a3, 0, %a3, %p2;
    {{
        .param .b32 p; .param .b32 q;
        st.param.b32 [p], 20;
        shape : .callprototype (.param .b32 _) _ (.param .b32 _);
        call (q), %a3, (p), shape;
        ld.param.b32 %t2, [q];
    }}
    ld.param.u64 %a4, [out]; st.global.u32 [%a4], %t2;
    ret;
}}"""


def test_functions_are_called_through_registers():
    out = np.zeros(1, np.uint32)
    for which, result in ((0, 40), (1, 21)):
        load_ptx(THROUGH)["k"].launch(1, 1, out, which)
        assert out[0] == result
    with pytest.raises(KernelFault) as caught:
        load_ptx(THROUGH)["k"].launch(1, 1, out, 2)  # through address 0
    assert caught.value.kind is FaultKind.TRAP


HEAP = f"""{HEAD}
.extern .func (.param .b64 r) malloc(.param .b64 size);
.extern .func free(.param .b64 address);
.visible .entry get(.param .u64 places, .param .u64 size)
{{
    {INDEX}
    ld.param.u64 %a2, [size];
    {{
        .param .b64 p; .param .b64 q; st.param.b64 [p], %a2; call.uni (q), malloc, (p); ld.param.b64 %a3, [q];
    }}
    setp.ne.u64 %p1, %a3, 0; @%p1 st.u32 [%a3], %t1;
    ld.param.u64 %a1, [places]; mul.wide.u32 %a4, %t1, 8; add.u64 %a1, %a1, %a4; st.global.u64 [%a1], %a3;
    ret;
}}
.visible .entry give(.param .u64 places, .param .u64 out)
{{
    {INDEX}
    ld.param.u64 %a1, [places]; mul.wide.u32 %a4, %t1, 8; add.u64 %a1, %a1, %a4; ld.global.u64 %a3, [%a1];
    ld.u32 %t4, [%a3];
    ld.param.u64 %a2, [out]; mul.wide.u32 %a5, %t1, 4; add.u64 %a2, %a2, %a5; st.global.u32 [%a2], %t4;
    {{ .param .b64 p; st.param.b64 [p], %a3; call.uni free, (p); }}
    ret;
}}"""


def test_kernels_allocate_from_a_heap_that_lives_longer_than_they():
    kernels, places, out = load_ptx(HEAP), np.zeros(100, np.uint64), np.zeros(100, np.uint32)
    for _ in range(3):  # more than the heap would hold without `free`
        kernels["get"].launch(1, 100, places, 2**15)
        assert len(set(places.tolist())) == 100
        assert not (places % 16).any()
        kernels["give"].launch(1, 100, places, out)
        assert out.tolist() == list(range(100))
    with pytest.raises(KernelFault) as caught:
        kernels["give"].launch(1, 1, places, out)  # once more
    assert caught.value.kind is FaultKind.TRAP
    kernels["get"].launch(1, 1, places, 2**24)
    assert places[0] == 0
    with pytest.raises(UnsupportedError, match="checked mode does not watch memory from malloc"):
        kernels["get"].launch(1, 1, places, 16, checked=True)
