"""Checked mode on PTX reports planted bugs where PTX shows them, and reports nothing in kernels without a bug."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from cases.planted import copies as planted_copies  # noqa: F401
from cases.planted import fences as planted_fences  # noqa: F401  (enters its kernels into the table)
from cases.planted import global_races as planted_global_races  # noqa: F401
from cases.planted import indices as planted_indices  # noqa: F401
from cases.planted import memory as planted_memory  # noqa: F401
from cases.planted import pointers as planted_pointers  # noqa: F401
from cases.planted import races as planted_races  # noqa: F401
from cases.planted import turns as planted_turns  # noqa: F401
from cases.planted import unset as planted_unset  # noqa: F401
from cases.planted import waits as planted_waits  # noqa: F401
from cases.planted import warpgroups as planted_warpgroups  # noqa: F401
from cases.planted.bugs import RACES, TABLE
from convbench.emulator import Emulator, FaultKind, KernelFault, compiler_fault, load_ptx

nvvm = pytest.mark.skipif(compiler_fault() is not None, reason=f"{compiler_fault()}")

CHECKED = Emulator(code="ptx", checked=True, budget=10_000, seed=5)
STRICT = Emulator(code="ptx", checked=True, budget=10_000, seed=5, strict_index=True)
ASYNCHRONOUS = FaultKind.COPY_TARGET, FaultKind.COPY_SOURCE, FaultKind.OPERAND
OUTSIDE = {FaultKind.READ_OUTSIDE, FaultKind.WRITE_OUTSIDE}
# PTX has no axes: a bad index is an access outside its array
CLEARED = "numba-cuda has filled the local array with zeros"
NOT_SEEN = {
    "local_element_that_nobody_wrote": CLEARED,
    "accumulator_that_nobody_cleared": CLEARED,
    "sums_cleared_before_the_wait": "the zeros are in other registers than the sums",
}
# beyond one axis and inside the array is no fault, so that a later thread is the first to leave the array
LATER = {
    "index_beyond_axis_1_inside_the_buffer",
    "index_beyond_axis_2",
    "shared_index_beyond_its_axis_inside_the_tile",
    # and lanes of one warp may store one value together
    "all_threads_write_one_shared_element",
}


@nvvm
@pytest.mark.parametrize("name", [name for name in TABLE if name not in NOT_SEEN])
def test_a_planted_bug_is_reported_where_it_is_and_nothing_without_it(name):
    row = TABLE[name]
    with pytest.raises(KernelFault) as caught:
        row.launch(STRICT if row.strict_index else CHECKED, bug=True)
    fault = caught.value
    kinds = OUTSIDE if row.kind is FaultKind.INDEX else {row.kind}
    file = Path((row.beside or row.make).__code__.co_filename)
    assert fault.kind in kinds, str(fault)
    assert Path(fault.file) == file, str(fault)
    assert fault.line == row.line(), str(fault)
    if row.array and row.kind is not FaultKind.INDEX and fault.kind is not FaultKind.MISALIGNED:
        assert fault.array == row.array, str(fault)
    assert bool(fault.array) == (
        fault.kind in {*OUTSIDE, *RACES, *ASYNCHRONOUS, FaultKind.UNWRITTEN, FaultKind.MISALIGNED}
    )
    assert name in LATER or row.thread in (None, fault.thread), str(fault)
    row.launch(CHECKED, bug=False)


@nvvm
@pytest.mark.parametrize("name", NOT_SEEN)
def test_what_numba_cuda_has_made_harmless_is_no_fault_in_ptx(name):
    TABLE[name].launch(CHECKED, bug=True)


@nvvm
@pytest.mark.parametrize("name", {row.kind: name for name, row in TABLE.items() if row.kind in RACES}.values())
@pytest.mark.parametrize("order", ["reverse", "random"])
def test_a_race_is_found_in_every_order(name, order):
    row = TABLE[name]
    with pytest.raises(KernelFault) as caught:
        row.launch(Emulator(code="ptx", checked=True, orders=[order]), bug=True)
    assert caught.value.kind in row.others


# ---- anyone's PTX

HEAD = ".version 9.0\n.target sm_90\n.address_size 64\n"
REGISTERS = """
    .reg .b32 %t<8>; .reg .b64 %a<8>; .reg .pred %p<4>;
    mov.u32 %t1, %tid.x; mov.u32 %t6, tile; shl.b32 %t7, %t1, 2; add.u32 %t6, %t6, %t7;
    ld.param.u64 %a1, [out]; mul.wide.u32 %a2, %t1, 4; add.u64 %a2, %a1, %a2;
"""
SYNC, STORE = "bar.sync 0;", "st.global.u32 [%a2], %t5;"
FLIP = "xor.b32 %t7, %t7, 252; mov.u32 %t6, tile; add.u32 %t6, %t6, %t7;"  # the place of thread 63 - i


def launch(text, *args, head="", parameters=".param .u64 out", block=64, shared=256):
    source = (
        f"{HEAD}{head}.visible .entry k({parameters})\n{{.shared .align 16 .b8 tile[{shared}];\n"
        f".local .align 16 .b8 depot[16];\n{REGISTERS}{text}\nret;\n}}\n"
    )
    out = np.zeros(64, np.uint32)
    load_ptx(source)["k"].launch(1, block, out, *args, checked=True)
    return out


RACE_READ, RACE_WRITE = FaultKind.RACE_READ, FaultKind.RACE_WRITE
OVERWRITE, UNWRITTEN, MISALIGNED = FaultKind.RACE_OVERWRITE, FaultKind.UNWRITTEN, FaultKind.MISALIGNED
WRITTEN = f"st.shared.u32 [%t6], %t1; {SYNC}"
VECTOR = f"and.b32 %t7, %t7, 240; {WRITTEN} mov.u32 %t6, tile; add.u32 %t6, %t6, %t7;"
GENERIC = "cvt.u64.u32 %a3, %t6; cvta.shared.u64 %a3, %a3;"
LOCAL = "mov.u64 %a3, depot; cvta.local.u64 %a4, %a3;"
COPY = "cp.async.ca.shared.global [%t6], [%a2], 4; cp.async.commit_group;"


ONE, FOUR = "st.shared.u32 [%t6], %t2;", "st.shared.v4.u32 [%t6], {%t3, %t3, 1, 2};"


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        (f"st.shared.u32 [%t6], %t1; {FLIP} ld.shared.u32 %t5, [%t6]; {STORE}", OVERWRITE, "byte 128 of tile"),
        (f"{GENERIC} st.u32 [%a3], %t1; {FLIP} ld.shared.u32 %t5, [%t6]; {STORE}", OVERWRITE, "byte 128 of tile"),
        ("st.global.u32 [%a1], %t1;", RACE_WRITE, r"number 0\[0\]"),
        ("st.shared.u32 [tile], %t1;", RACE_WRITE, "byte 0 of tile"),
        ("st.shared.u32 [tile], 7;", RACE_WRITE, r"byte 0 of tile, which thread \(\d+, 0, 0\) wrote"),
        ("st.global.u32 [%a1], 7;", RACE_WRITE, r"number 0\[0\]"),
        ("st.global.u32 [%a2], %t1; atom.global.add.u32 %t5, [%a1], 1;", RACE_WRITE, r"number 0\[0\]"),
        ("st.global.u32 [%a2], %t1; ld.volatile.global.u32 %t5, [%a1];", RACE_READ, r"number 0\[0\]"),
        (f"ld.shared.u32 %t5, [%t6]; {STORE}", UNWRITTEN, "byte 0 of tile, which was never written"),
        (f"{LOCAL} ld.local.u32 %t5, [%a3]; {STORE}", UNWRITTEN, "local array depot"),
        (f"{LOCAL} st.u32 [%a4], %t1; ld.u32 %t5, [%a4+4]; {STORE}", UNWRITTEN, "local array depot"),
        (f"{LOCAL} st.local.u32 [%a3+16], %t1;", FaultKind.WRITE_OUTSIDE, "local memory depot, at its byte 16"),
        (f"{LOCAL} st.local.u32 [%a3+2], %t1;", MISALIGNED, "byte 2 of local memory depot"),
        (f"{WRITTEN} ld.shared.v4.u32 {{%t1, %t2, %t3, %t4}}, [%t6];", MISALIGNED, "multiple of 16 bytes"),
        (f"{WRITTEN} ld.shared.u32 %t5, [tile+256];", FaultKind.READ_OUTSIDE, "0 bytes behind the end of tile"),
        ("st.global.v2.u32 [%a1+256], {%t1, %t1};", FaultKind.WRITE_OUTSIDE, "0 bytes behind the end of number 0"),
        (f"{COPY} ld.shared.u32 %t5, [%t6]; cp.async.wait_all;", UNWRITTEN, "of tile"),
        (f"{COPY} cp.async.wait_all; {FLIP} ld.shared.u32 %t5, [%t6];", OVERWRITE, "byte 128 of tile"),
        ("setp.lt.u32 %p1, %t1, 32; @%p1 ret; bar.sync 0;", FaultKind.EARLY_EXIT, "returned before a barrier"),
        (
            "setp.lt.u32 %p1, %t1, 16; @%p1 bra A; bar.sync 0; ret; A: bar.sync 0;",
            FaultKind.DIVERGENT_BARRIER,
            "different barriers",
        ),
        ("shfl.sync.idx.b32 %t5, %t1, 0, 31, 0xfffffffe;", FaultKind.MASK_WITHOUT_SELF, "does not name the lane"),
        ("A: add.u32 %t5, %t5, 1; setp.ge.u32 %p1, %t5, 0; @%p1 bra A;", FaultKind.STEPS, "may never end"),
    ],
)
def test_each_kind_of_access_is_watched(text, kind, told):
    with pytest.raises(KernelFault, match=told) as caught:
        launch(text)
    assert caught.value.kind is kind, str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"{WRITTEN} {FLIP} ld.shared.u32 %t5, [%t6]; {STORE}",
        f"{VECTOR} ld.shared.v4.u32 {{%t2, %t3, %t4, %t5}}, [%t6]; {STORE}",
        f"{GENERIC} st.u32 [%a3], %t1; bar.sync 0; ld.u32 %t5, [%a3]; {STORE}",
        f"{LOCAL} st.u32 [%a4+4], %t1; ld.local.u32 %t5, [%a3+4]; {STORE}",
        f"{LOCAL} st.u8 [%a4], %t1; ld.local.u64 %a5, [%a3]; {STORE}",  # a structure with gaps
        f"st.shared.u32 [%t6], %t1; bar.sync 1, 64; {FLIP} ld.shared.u32 %t5, [%t6]; {STORE}",  # a named barrier
        f"{COPY} cp.async.wait_all; bar.sync 0; {FLIP} ld.shared.u32 %t5, [%t6]; {STORE}",
        # lanes of a warp store one value in one place together, as Triton's reductions do
        f"shr.u32 %t2, %t1, 5; shl.b32 %t3, %t2, 2; mov.u32 %t6, tile; add.u32 %t6, %t6, %t3; {ONE} {SYNC} {STORE}",
        f"and.b32 %t3, %t1, 32; mov.u32 %t6, tile; add.u32 %t6, %t6, %t3; {FOUR} {SYNC} ld.shared.u32 %t5, [%t6];",
        "atom.global.add.u32 %t5, [%a1], 1; ld.relaxed.gpu.global.u32 %t5, [%a1];",
        (
            "ld.volatile.global.u32 %t5, [%a1]; A: atom.global.cas.b32 %t4, [%a1], %t5, 7; setp.ne.u32 %p1, %t4, %t5; "
            "mov.u32 %t5, %t4; @%p1 bra A;"
        ),
    ],
)
def test_correct_accesses_are_no_fault(text):
    launch(text)


@pytest.mark.parametrize("used", [0, 4, 16])
def test_a_copy_of_a_part_lands_at_the_wait(used):
    text = """
    mov.u32 %t6, tile; ld.param.u64 %a2, [source]; ld.param.u32 %t5, [used];
    cp.async.cg.shared.global [%t6], [%a2], 16, %t5;
    cp.async.wait_all;
    ld.shared.v4.b32 {%t1, %t2, %t3, %t4}, [%t6];
    st.global.v4.b32 [%a1], {%t1, %t2, %t3, %t4};
    """
    source = np.arange(1, 5, dtype=np.uint32)
    out = launch(text, source, used, parameters=".param .u64 out, .param .u64 source, .param .u32 used", block=1)
    assert out[:4].tolist() == [*source[: used // 4], *[0] * (4 - used // 4)]


def test_variables_of_a_module_are_watched_and_restored_between_orders():
    head = ".global .align 4 .u32 counter;\n"
    address = "mov.u64 %a3, counter; cvta.global.u64 %a3, %a3;"
    out = launch(f"{address} atom.global.add.u32 %t5, [%a3], 1; bar.sync 0; ld.u32 %t5, [%a3]; {STORE}", head=head)
    assert np.all(out == 64)
    with pytest.raises(KernelFault, match=r"data race: writes counter\[0\]"):
        launch(f"{address} st.global.u32 [%a3], %t1;", head=head)


def test_memory_behind_a_structure_is_watched():
    class Given(ctypes.Structure):
        _fields_ = (("at", ctypes.c_void_p),)

    source = f"{HEAD}.visible .entry k(.param .align 8 .b8 given[8])\n{{.reg .b32 %t<2>; .reg .b64 %a<2>;\n"
    source += "mov.u32 %t1, %tid.x; ld.param.u64 %a1, [given]; st.global.u32 [%a1], %t1;\nret;\n}\n"
    pointed = np.zeros(4, np.uint32)
    kernel = load_ptx(source)["k"]
    kernel.launch(1, 1, Given(pointed.ctypes.data), memory=[pointed], checked=True)
    with pytest.raises(KernelFault, match=r"data race: writes memory\[0\]\[0\]"):
        kernel.launch(1, 2, Given(pointed.ctypes.data), memory=[pointed], checked=True)
    with pytest.raises(KernelFault, match="writes 4 bytes outside"):
        kernel.launch(1, 1, Given(pointed.ctypes.data), checked=True)


def test_a_function_reads_what_its_caller_wrote_to_local_memory_and_no_more():
    text = """.version 9.0
    .target sm_90
    .address_size 64
    .func (.param .b32 r) second(.param .b64 pair)
    {
        .reg .b64 %a<2>; .reg .b32 %t<2>;
        ld.param.u64 %a1, [pair]; ld.u32 %t1, [%a1+4]; st.param.b32 [r], %t1;
        ret;
    }
    .visible .entry k(.param .u64 out)
    {
        .local .align 4 .b8 pair[8]; .reg .b64 %a<3>; .reg .b32 %t<2>;
        mov.u32 %t1, 3; st.local.u32 [pair+4], %t1;
        mov.u64 %a1, pair; cvta.local.u64 %a2, %a1;
        { .param .b64 p; .param .b32 q; st.param.b64 [p], %a2; call.uni (q), second, (p); ld.param.b32 %t1, [q]; }
        ld.param.u64 %a1, [out]; st.global.u32 [%a1], %t1;
        ret;
    }"""
    out = np.zeros(1, np.uint32)
    load_ptx(text)["k"].launch(1, 1, out, checked=True)
    assert out[0] == 3
    with pytest.raises(KernelFault) as caught:
        load_ptx(text.replace("[pair+4]", "[pair]"))["k"].launch(1, 1, out, checked=True)
    assert caught.value.kind is FaultKind.UNWRITTEN
