"""The checked mode's analysis of a kernel's IR: the array behind a pointer, the accesses, and where loops begin."""

import pytest

from convbench.emulator import UnsupportedError
from convbench.emulator.analysis import (
    ACCESS,
    OWN,
    UNKNOWN,
    accessed_pointer,
    accessed_type,
    find_loop_heads,
    find_roots,
)

PARAMETERS = [("ptr", "%x"), ("i64", "%n"), ("ptr", '%"y.4"')]
X, Y, TILE, LOCAL = ("argument", "0"), ("argument", "2"), ("shared", "_cudapy_smem_1"), ("local", "0")
BEGIN = """
  %tile = call ptr @emu.shared._cudapy_smem_1()
  %scratch = tail call ptr @emu.local.0(), !dbg !3
  %slot = alloca [2 x i64], align 8
  %row = call ptr @emu.thread()
  %loaded = load ptr, ptr %slot, align 8
"""


def roots(*lines):
    return find_roots([*BEGIN.splitlines(), *(f"  {line}" for line in lines)], PARAMETERS)


def test_arguments_and_arrays_are_roots():
    found = roots()
    assert found["%x"] == X
    assert found['%"y.4"'] == Y
    assert found["%tile"] == TILE
    assert found["%scratch"] == LOCAL
    assert found["%slot"] == found["%row"] == OWN
    assert "%n" not in found


@pytest.mark.parametrize(
    ("line", "root"),
    [
        ("%p = getelementptr inbounds float, ptr %x, i64 %n", X),
        ('%p = getelementptr i8, ptr %"y.4", i64 4', Y),
        ("%p = getelementptr nuw [8 x float], ptr %tile, i64 0, i64 %n", TILE),
        ("%p = freeze ptr %scratch", LOCAL),
        ("%p = bitcast ptr %slot to ptr", OWN),
        ("%p = select i1 %c, ptr %x, ptr %x", X),
        ("%p = phi ptr [ %x, %a ], [ %x, %b ]", X),
        ("%p = getelementptr inbounds [4 x float], ptr @table, i64 0, i64 %n", OWN),
        # what cannot be told is found by its address
        ("%p = select i1 %c, ptr %x, ptr %tile", UNKNOWN),
        ('%p = phi ptr [ %x, %a ], [ %"y.4", %b ]', UNKNOWN),
        ("%p = phi ptr [ %x, %a ], [ %loaded, %b ]", UNKNOWN),
        ("%p = getelementptr float, ptr %loaded, i64 1", UNKNOWN),
    ],
)
def test_a_derived_pointer_leads_where_its_sources_do(line, root):
    assert roots(line)["%p"] == root


def test_a_chain_is_followed_whatever_its_order():
    found = roots(
        "%c = getelementptr i8, ptr %b, i64 1",
        "%b = phi ptr [ %a, %entry ], [ %c, %loop ]",  # itself, a turn before
        "%a = getelementptr i8, ptr %tile, i64 4",
    )
    assert found["%a"] == found["%b"] == found["%c"] == TILE


def test_a_loop_that_mixes_two_arrays_is_unknown():
    found = roots("%b = phi ptr [ %x, %entry ], [ %d, %loop ]", "%d = select i1 %c, ptr %b, ptr %tile")
    assert found["%b"] == found["%d"] == UNKNOWN


def test_numbers_have_no_root():
    assert "%p" not in roots("%p = phi i64 [ 0, %a ], [ %n, %b ]")
    assert "%loaded" not in roots()


# ---- loops


def body(**blocks):
    return [line for label, targets in blocks.items() for line in (f"{label}:", *(f"  br label %{t}" for t in targets))]


@pytest.mark.parametrize(
    ("blocks", "heads"),
    [
        ({"entry": ["end"], "end": []}, set()),
        ({"entry": ["loop"], "loop": ["loop", "end"], "end": []}, {"loop"}),
        ({"entry": ["a"], "a": ["b"], "b": ["a", "end"], "end": []}, {"a"}),
        (
            {"entry": ["o"], "o": ["i"], "i": ["i", "after"], "after": ["o", "end"], "end": []},
            {"o", "i"},  # one inside the other
        ),
        ({"entry": ["a", "b"], "a": ["c"], "b": ["c"], "c": []}, set()),  # two branches that meet
    ],
)
def test_every_cycle_has_a_head(blocks, heads):
    assert find_loop_heads(body(**blocks)) == heads


def test_labels_in_quotes_and_tables_of_branches_are_read():
    lines = ["entry:", '  br label %"B1.loop"', '"B1.loop":', '  switch i32 %k, label %end [ i32 0, label %"B1.loop" ]']
    assert find_loop_heads([*lines, "end:", "  ret void"]) == {"B1.loop"}


# ---- accesses


@pytest.mark.parametrize(
    ("line", "operation", "pointer", "kind"),
    [
        ("%v = load float, ptr %p, align 4, !dbg !1", "load", "%p", "float"),
        ('%v = load volatile i64, ptr %"p.1", align 8', "load", '%"p.1"', "i64"),
        ("%v = load atomic i32, ptr %p monotonic, align 4", "load", "%p", "i32"),
        ("%v = load <2 x float>, ptr %p, align 8", "load", "%p", "<2 x float>"),
        ("%v = load { float, float }, ptr %p", "load", "%p", "{ float, float }"),
        ("%v = load [2 x i64], ptr %p", "load", "%p", "[2 x i64]"),
        ("%v = load ptr, ptr %p", "load", "%p", "ptr"),
        ("store float %v, ptr %p, align 4", "store", "%p", "float"),
        ("store ptr %v, ptr %p, align 8", "store", "%p", "ptr"),
        ("store volatile <4 x i8> zeroinitializer, ptr %p", "store", "%p", "<4 x i8>"),
        ("%v = atomicrmw add ptr %p, i32 1 monotonic, align 4", "atomicrmw", "%p", "i32"),
        ("%v = atomicrmw volatile fadd ptr %p, float %w seq_cst", "atomicrmw", "%p", "float"),
        ("%v = cmpxchg weak ptr %p, i64 %a, i64 %b seq_cst seq_cst", "cmpxchg", "%p", "i64"),
        ("%v = cmpxchg ptr %p, i16 %a, i16 %b seq_cst monotonic", "cmpxchg", "%p", "i16"),
        ("%v = load float, ptr @table, align 4", "load", None, "float"),
    ],
)
def test_an_access_has_an_operation_a_pointer_and_a_type(line, operation, pointer, kind):
    match = ACCESS.match(f"  {line}")
    assert match["operation"] == operation
    assert accessed_pointer(match) == pointer
    assert accessed_type(match) == kind


@pytest.mark.parametrize("line", ["%v = add i64 %a, %b", "call void @emu.suspend()", "%v = getelementptr i8, ptr %p"])
def test_what_accesses_no_memory_is_no_access(line):
    assert ACCESS.match(f"  {line}") is None


def test_an_access_of_no_known_form_is_refused():
    with pytest.raises(UnsupportedError, match="cannot read this access: %v = atomicrmw add i32"):
        accessed_type(ACCESS.match("  %v = atomicrmw add i32 1"))
