"""Short loops are marked, so that LLVM unrolls them and keeps the local arrays that they index in registers."""

import pytest

from convbench.emulator.nvvm.unrolling import marked
from convbench.emulator.sources import machine

LONG = 100
LOOP = """define i64 @f(i64 %n) {
entry:
  br label %loop

loop:                                             ; preds = %loop, %entry
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %next = add i64 %i, 1
  call void @g(i64 %next)
  %done = icmp eq i64 %next, TURNS
  br i1 %done, label %end, label %loop

end:                                              ; preds = %loop
  ret i64 %next
}

declare void @g(i64)

!known = !{!0}
!0 = !{i32 1}
"""


@pytest.mark.parametrize(("turns", "calls"), [("2", 2), ("16", 16), ("17", 1), ("%n", 1)])
def test_loops_of_at_most_16_turns_are_unrolled(turns, calls):
    call = "  call void @g(i64 %next)\n"
    long = LOOP.replace("TURNS", turns).replace(call, call * LONG)  # LLVM would not unroll it of itself
    module = machine().parse(marked(long))
    machine().optimise(module, 1, vectorise=False)
    assert str(module).count("call void @g(") == calls * LONG


def test_other_code_stays_as_it_is():
    text = LOOP.replace("label %loop\n\nend", "label %end\n\nend")
    assert marked(text) == text
