"""Which values are the same for all lanes, which blocks some lanes skip, and what may be assumed."""

import pytest

from convbench.emulator.wide import NotWideError, plain, widened
from convbench.emulator.wide.code import read
from convbench.emulator.wide.flow import EXIT, Flow
from convbench.emulator.wide.shapes import Shapes

TID = "call i32 @emu.nvvm.read.ptx.sreg.tid.{}()"
THREAD = f"""entry:
  %x = {TID.format("x")}
  %y = {TID.format("y")}
  %block = call i32 @emu.nvvm.read.ptx.sreg.ctaid.x()
  %worker = call ptr @emu.worker()
  %base = load ptr, ptr %worker, align 8
  %t = zext i32 %x to i64
  %b = sext i32 %block to i64
  %o = shl i64 %b, 8
  %i = add i64 %o, %t
"""


def shapes_of(text, *, block=(64, 1, 1), assumes=False):
    return Shapes(Flow(read(text.splitlines())), 16, block, assumes=assumes)


@pytest.mark.parametrize(
    ("line", "stride"),
    [
        ("add i64 %i, 5", 1),
        ("sub i64 %o, %i", -1),
        ("mul i64 %i, 12", 12),
        ("mul i64 %i, %o", None),
        ("shl i64 %i, 2", 4),
        ("lshr i64 %i, 4", 0),  # the first of 16 is a multiple of 16
        ("lshr i64 %i, 3", None),
        ("and i64 %i, 15", 1),
        ("and i64 %i, 7", None),
        ("and i64 %i, -16", 0),
        ("urem i64 %i, 32", 1),
        ("and i64 %i, 31", 1),
        ("lshr i64 %i, 5", 0),
        ("urem i64 %i, 28", None),
        ("udiv i64 %i, 28", None),
        ("trunc i64 %i to i32", 1),
        ("icmp eq i64 %i, %t", 0),  # their difference is the same for all
        ("icmp ult i64 %i, 100", None),
        ("xor i64 %i, 1", None),
        ("getelementptr [3 x float], ptr %base, i64 %i", 12),
        ("getelementptr i8, ptr %base, i64 %o", 0),
        ("load float, ptr %base, align 4", 0),
        ("fadd float 1.0, 2.0", 0),
    ],
)
def test_a_value_grows_by_its_stride(line, stride):
    assert shapes_of(f"{THREAD}  %v = {line}\n  ret void\n").of["%v"].stride == stride


@pytest.mark.parametrize(
    ("block", "x", "y"),
    [
        ((64, 2, 1), 1, 0), ((16, 4, 1), 1, 0), ((8, 8, 1), None, None), ((4, 4, 4), None, None),
        ((24, 2, 1), None, None), ((4, 8, 4), None, None),
    ],
)  # fmt: skip
def test_indices_of_threads_follow_from_the_shape_of_the_block(block, x, y):
    found = shapes_of(f"{THREAD}  ret void\n", block=block)
    assert (found.of["%x"].stride, found.of["%y"].stride) == (x, y)


def test_a_wider_number_may_have_an_overflow_between_the_lanes():
    wide = "  %w = add nsw i32 %x, %block\n  %v = sext i32 %w to i64\n  %u = zext nneg i32 %w to i64\n  ret void\n"
    found = shapes_of(THREAD + wide)
    assert (found.of["%t"].stride, found.of["%v"].stride, found.of["%u"].stride) == (1, None, None)
    found = shapes_of(THREAD + wide, assumes=True)
    assert (found.of["%v"].stride, found.assumed) == (1, {"%v", "%u"})


def test_a_quotient_is_assumed_to_be_the_same_until_something_is_written():
    text = THREAD + "  %q = udiv i64 %i, 28\n  %r = urem i64 %i, 28\n  br label %late\n"
    text += "late:\n  store i64 %q, ptr %base\n  br label %later\nlater:\n  %s = udiv i64 %i, 30\n  ret void\n"
    found = shapes_of(text, assumes=True)
    assert [found.of[name].stride for name in ("%q", "%r", "%s")] == [0, 1, None]
    assert found.assumed == {"%q", "%r"}


@pytest.mark.parametrize(("factor", "strides"), [(1, (0, 1, 0)), (16, (None, None, None))])
def test_nothing_is_assumed_of_a_number_that_has_no_room_to_rise(factor, strides):
    text = f"{THREAD}  %m = trunc i64 %i to i8\n  %n = mul i8 %m, {factor}\n"  # 15 steps of 16 are more than 127
    text += "  %q = udiv i8 %n, 28\n  %r = urem i8 %n, 28\n  %s = icmp slt i8 %n, 0\n  ret void\n"
    found = shapes_of(text, assumes=True)
    assert tuple(found.of[name].stride for name in ("%q", "%r", "%s")) == strides


@pytest.mark.parametrize(("memory", "stride"), [("%own", 0), ("%inside", 0), ("%base", None)])
def test_local_memory_may_be_filled_before_something_is_assumed_and_other_memory_not(memory, stride):
    text = THREAD.replace("entry:", "entry:\n  %own = alloca [8 x i32], align 16")
    text += "  %inside = getelementptr i8, ptr %own, i64 16\n"
    text += f"  call void @llvm.memset.p0.i64(ptr nonnull align 16 {memory}, i8 0, i64 16, i1 false)\n"
    text += "  %q = udiv i64 %i, 28\n  ret void\n"
    assert shapes_of(text, assumes=True).of["%q"].stride == stride


def test_lanes_may_skip_what_a_test_of_their_own_number_decides():
    text = THREAD + "  %c = icmp ult i64 %i, 100\n  br i1 %c, label %in, label %out\n"
    text += "in:\n  %v = add i64 %o, 1\n  br label %out\nout:\n  %p = phi i64 [ 0, %entry ], [ %v, %in ]\n  ret void\n"
    found = shapes_of(text)
    assert found.partial == {"in"}
    assert (found.of["%v"].stride, found.of["%p"].stride) == (0, None)
    even = shapes_of(text.replace("icmp ult i64 %i", "icmp ult i64 %o"))
    assert (even.partial, even.of["%p"].stride) == (set(), 0)
    assumed = shapes_of(text, assumes=True)
    assert (assumed.partial, assumed.of["%p"].stride, assumed.assumed) == (set(), 0, {"entry"})


LOOP = """  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %next, %head ]
  %next = add i64 %k, 1
  %more = icmp ult i64 %next, {}
  br i1 %more, label %head, label %out
out:
  %last = add i64 %k, 5
  ret void
"""


def test_a_loop_that_lanes_leave_at_different_times_gives_them_different_numbers():
    uneven = shapes_of(THREAD + LOOP.format("%t"))
    assert uneven.partial == {"head"}
    assert [loop.head for loop in uneven.uneven] == ["head"]
    assert uneven.of["%last"].stride is None
    even = shapes_of(THREAD + LOOP.format("%o"))
    assert (even.partial, even.of["%last"].stride) == (set(), 0)


def test_what_lies_behind_an_early_return_is_for_some_lanes():
    text = THREAD + "  %c = icmp ult i64 %i, 100\n  br i1 %c, label %go, label %leave\n"
    text += "go:\n  br label %more\nmore:\n  br label %leave\nleave:\n  ret void\n"
    assert shapes_of(text).partial == {"go", "more"}


def test_a_fault_is_no_way_that_lanes_take():
    text = THREAD + "  %c = icmp ult i64 %i, 100\n  br i1 %c, label %good, label %bad\ngood:\n  ret void\n"
    text += "bad:\n  call void @emu.fault(i64 1, i64 1, i64 0, i64 0, i64 0)\n  unreachable\n"
    found = shapes_of(text)
    assert (found.partial, found.flow.after) == (set(), {"entry": ["good"], "good": [EXIT]})


def test_the_blocks_of_a_loop_follow_each_other():
    edges = {"a": "br label %h", "h": "br i1 %c, label %i, label %z", "i": "br i1 %c, label %j, label %k",
             "j": "br label %i", "k": "br label %h", "z": "ret void"}  # fmt: skip
    text = "first:\n  %c = icmp eq i32 0, 0\n  br label %a\n" + "".join(f"{a}:\n  {b}\n" for a, b in edges.items())
    flow = Flow(read(text.splitlines()))
    assert flow.order == ["first", "a", "h", "i", "j", "k", "z"]
    assert {head: loop.blocks for head, loop in flow.loops.items()} == {"h": {"h", "i", "j", "k"}, "i": {"i", "j"}}
    assert (flow.meeting("h"), flow.meeting("i")) == ("z", "k")
    assert flow.controls()["j"] == {"i"}


def test_a_loop_with_two_beginnings_is_refused():
    text = "a:\n  %c = icmp eq i32 0, 0\n  br i1 %c, label %b, label %d\nb:\n  br i1 %c, label %d, label %e\n"
    text += "d:\n  br label %b\ne:\n  ret void\n"
    with pytest.raises(NotWideError, match="two beginnings"):
        Flow(read(text.splitlines()))


@pytest.mark.parametrize(
    ("cut", "now"),
    [
        ("  %m = call i64 @llvm.smax.i64(i64 %w, i64 -1)", "%w"),
        ("  %s = call i64 @llvm.smax.i64(i64 %w, i64 -2)\n  %m = add i64 %s, 1", "%emu.plain.1"),
        ("  %s = call i64 @llvm.smax.i64(i64 %w, i64 -1)\n  %m = select i1 %c, i64 %s, i64 -1", "%w"),
        ("  %m = call i64 @llvm.smax.i64(i64 %w, i64 1)", "%m"),  # one that is cut off above zero is another number
        ("  %s = call i64 @llvm.smax.i64(i64 %w, i64 -1)\n  %m = add i64 %s, 1", "%m"),  # 0 may be either
    ],
)
def test_a_number_that_is_cut_off_below_zero_is_itself_where_it_is_not(cut, now):
    text = f"""entry:
  %c = icmp slt i64 %w, 28
{cut}
  %n = icmp slt i64 %m, 0
  br i1 %n, label %out, label %in
in:
  %v = mul i64 %m, 4
  br label %out
out:
  %p = phi i64 [ 0, %entry ], [ %v, %in ]
  %u = add i64 %m, 1
  ret void"""
    found = plain(text.splitlines())
    assert f"  %v = mul i64 {now}, 4" in found
    assert "  %u = add i64 %m, 1" in found


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("%other = select i1 %c, ptr %row, ptr %base", "thread's row is computed"),
        ("%result = load i64, ptr %row, align 8", "reads its thread's row"),
        ("store i64 10, ptr %row, align 8", "to the scheduler"),  # a tensor instruction
        ("%v = call <2 x float> @__nv_two(<2 x float> %pair)", "__nv_two"),
        ("%v = atomicrmw add ptr %base, i32 1 seq_cst, align 4", "atomicrmw"),
    ],
)
def test_what_cannot_be_done_for_several_threads_is_refused(line, why):
    text = (
        THREAD
        + f"""  %row = call ptr @emu.thread()
  %c = icmp ult i64 %i, 100
  %at = getelementptr float, ptr %base, i64 %i
  %f = load float, ptr %at, align 4
  %pair = insertelement <2 x float> poison, float %f, i64 0
  {line}
  ret void"""
    )
    with pytest.raises(NotWideError, match=why):
        widened(text.splitlines(), 16, (64, 1, 1))
