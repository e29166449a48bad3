"""A kernel becomes a coroutine: basic blocks are split, faults leave the kernel, and markers are replaced."""

import re

import numpy as np
import pytest
from numba import cuda, float32

from convbench.emulator import UnsupportedError
from convbench.emulator.arguments import types_of
from convbench.emulator.building import build, link
from convbench.emulator.machine import Machine
from convbench.emulator.weave import Layout, Weaver, find_kernel

DEFINE = 'define void @kernel(ptr nocapture readonly %x, i64 %n, ptr %"y.4", float %scale) local_unnamed_addr #0 {'
BODY = """entry:
  %first = load float, ptr %x, align 4, !dbg !5
  br label %loop, !dbg !6

loop:
  %turn = phi i64 [ 0, %entry ], [ %next, %loop ]
  call void @emu.suspend(), !dbg !7
  %next = add i64 %turn, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %"after.loop"

"after.loop":
  %total = phi i64 [ %next, %loop ]
  %wrong = icmp eq i64 %total, 7
  br i1 %wrong, label %bad, label %end

bad:
  call void @emu.fault(i64 1, i64 3, i64 %total, i64 8, i64 0)
  unreachable

end:
  %last = phi i64 [ %total, %"after.loop" ]
  ret void
"""


def woven(body=BODY, *, define=DEFINE, shared=None, block=(4, 1, 1)):
    """The kernel's own lines, after weaving."""
    weaver = Weaver(define, body.splitlines(), Layout(shared or {}, {}), block)
    text = weaver.weave()
    return text[: text.index("\n}\n")], weaver


def block_of(text, label):
    """The lines of one block."""
    return text.split(f"\n{label}:\n")[1].split("\n\n")[0].splitlines()


def test_behind_a_suspension_a_block_goes_on_under_another_name():
    text, weaver = woven()
    assert weaver.suspends
    assert "presplitcoroutine" in text
    assert re.search(
        r"suspend\(token none, i1 false\)\n  switch i8 %\S+, label %emu\.exit \[i8 0, label %emu\.1\]", text
    )
    assert "\nemu.1:\n  %next = add i64 %turn, 1" in text


def test_successors_of_a_split_block_name_its_last_part():
    text, _ = woven()
    assert '%turn = phi i64 [ 0, %entry ], [ %next, %"emu.1" ]' in text
    assert '%total = phi i64 [ %next, %"emu.1" ]' in text
    assert '%last = phi i64 [ %total, %"after.loop" ]' in text  # which was not split


def test_a_block_that_is_split_twice_is_named_by_its_last_part():
    text, _ = woven(BODY.replace("  %next = add", "  call void @emu.suspend()\n  %next = add"))
    assert '%total = phi i64 [ %next, %"emu.2" ]' in text


def test_a_fault_reports_and_leaves_by_the_only_exit():
    text, _ = woven()
    assert block_of(text, "bad") == [
        "  call void @emu.report(ptr %emu.thread, i64 1, i64 3, i64 %total, i64 8, i64 0)",
        "  br label %emu.exit",
    ]
    assert "unreachable" not in text


def test_a_return_says_that_the_thread_is_done():
    text, _ = woven()
    assert "ret void" not in text
    assert text.count("br label %emu.return") == 1
    assert re.search(r"emu\.return:\n.*\n  store i64 1, ptr %emu\.status\.at\n  br label %emu\.exit\n", text)
    assert text.count("\n  ret ptr ") == 2  # the size of the frame, and the handle


def test_a_kernel_without_suspension_is_no_coroutine():
    text, weaver = woven(BODY.replace("  call void @emu.suspend(), !dbg !7\n", ""))
    assert not weaver.suspends
    assert "presplitcoroutine" not in text
    assert "llvm.coro" not in text
    assert text.endswith("emu.exit:\n  ret ptr null")


def test_the_kernel_keeps_its_parameters_behind_the_thread():
    text, weaver = woven()
    assert weaver.parameters == [("ptr", "%x"), ("i64", "%n"), ("ptr", '%"y.4"'), ("float", "%scale")]
    assert 'ptr @emu.kernel(ptr %emu.thread, ptr %x, i64 %n, ptr %"y.4", float %scale)' in text


def test_attributes_with_arguments_of_their_own_are_no_parameters():
    define = "define void @k(ptr noalias captures(none) dereferenceable(8) %a, i32 range(i32 0, 9) %b) #0 {"
    assert woven(define=define)[1].parameters == [("ptr", "%a"), ("i32", "%b")]


def test_shared_arrays_have_their_places():
    marker = "entry:\n  %tile = tail call ptr @emu.shared.smem_1(), !dbg !9"
    text, _ = woven(BODY.replace("entry:", marker), shared={"smem_1": (512, 64)})
    assert "  %tile = getelementptr i8, ptr %emu.shared, i64 512" in text


def test_the_extent_of_a_block_is_a_constant():
    marker = "entry:\n  %wide = call i32 @emu.nvvm.read.ptx.sreg.ntid.y()"
    text, _ = woven(BODY.replace("entry:", marker), block=(4, 6, 1))
    assert "  %wide = add i32 6, 0" in text


def test_no_reference_to_debug_information_is_left():
    assert "!dbg" not in woven()[0]


# ---- kernels of numba-cuda's


@cuda.jit
def with_barrier(x, y):
    tile = cuda.shared.array(8, float32)
    i = cuda.threadIdx.x
    tile[i] = x[i]
    cuda.syncthreads()
    y[i] = tile[7 - i]


@cuda.jit
def without_barrier(x, y):
    i = cuda.threadIdx.x
    y[i] = x[i]


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize(("kernel", "suspends"), [(with_barrier, True), (without_barrier, False)])
def test_only_kernels_that_wait_are_coroutines(kernel, suspends, checked):
    args = np.zeros(8, np.float32), np.zeros(8, np.float32)
    linked = link(kernel, types_of(kernel, args), Machine(), (9, 0), checked=checked)
    assert build(linked, Machine(), (8, 1, 1)).suspends is suspends


# ---- finding the kernel


def test_a_kernel_is_found_by_its_name():
    lines = ["declare void @g()", 'define void @"a.b"() {', "entry:", "  ret void", "}", "declare void @h()"]
    assert find_kernel(lines, "a.b") == (1, 4)


def test_a_device_function_that_calls_itself_is_refused_by_its_name():
    lines = ["define void @kernel() {", "}", "define internal i64 @_ZN8__main__5depthB2v1E() {", "}"]
    with pytest.raises(UnsupportedError, match=r"depth.* calls itself"):
        find_kernel(lines, "kernel")
