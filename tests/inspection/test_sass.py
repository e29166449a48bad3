"""Reading machine code: instructions, loops, the hot loop and its rare blocks, and each instruction's purpose."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.machine_code import LOOP, code_of
from convbench.errors import KernelError
from convbench.inspection.bound import precision_of
from convbench.inspection.mix import Mix, kind_of
from convbench.inspection.resources import Resources, read_log
from convbench.inspection.sass import Instruction, Loop, read


def test_a_loop_is_read_with_its_rare_block_apart():
    code = read(LOOP, "kernel")
    assert len(code.instructions) == 16
    assert code.instructions[3] == Instruction(0x30, "@!P0", "BRA", "0x60")
    assert code.loops == (Loop(0x20, 0xC0),)
    assert code.hot_loop == Loop(0x20, 0xC0)
    assert code.rare == 2
    hot = Mix(code.hot)
    assert hot.total == 9
    assert hot.counts == {
        "FFMA": 2, "control": 2, "global memory": 2, "barriers": 1, "shared memory": 1, "integer and address": 1,
    }  # fmt: skip
    assert hot.share("FFMA") == 2 / 9
    assert hot.accesses == {"LDG": {8: 1}, "LDGSTS": {16: 1}, "LDS": {16: 1}}
    assert hot.shared_bytes == 32  # the copy writes what the load reads
    assert hot.ffma_per_wide_load == 2
    of_pairs = [replace(each, opcode="FFMA2") if each.base == "FFMA" else each for each in hot.instructions]
    assert Mix(of_pairs).ffma_per_wide_load == 4


def test_a_kernel_is_found_by_its_name_alone():
    assert [each.base for each in read(LOOP, "first").instructions] == ["EXIT"]
    with pytest.raises(KernelError, match="no function second; it has first, kernel"):
        read(LOOP, "second")


@pytest.mark.parametrize(("outside", "is_inner"), [(0, True), (3, True), (4, False), (9, False)])
def test_the_hot_loop_is_the_inner_one_only_if_most_of_the_work_is_there(outside, is_inner):
    inner = ["FFMA R0, R1, R2, R0"] * 4 + ["@P0 BRA 0x10"]
    lines = ["IADD3 R3, R3, 0x1, RZ", *inner, *["FFMA R4, R1, R2, R4"] * outside, "@P1 BRA 0x0"]
    assert code_of(*lines, "EXIT").hot_loop == (Loop(0x10, 0x50) if is_inner else Loop(0x0, 16 * (len(lines) - 1)))


def test_of_loops_behind_each_other_the_hot_one_multiplies_most():
    lines = ["FADD R0, R0, R1", "@P0 BRA 0x0", "FFMA R0, R1, R2, R0", "FFMA R3, R1, R2, R3", "@P1 BRA 0x20", "EXIT"]
    assert code_of(*lines).loops == (Loop(0x0, 0x10), Loop(0x20, 0x40))
    assert code_of(*lines).hot_loop == Loop(0x20, 0x40)


def test_branches_back_to_one_place_are_one_loop():
    lines = ["FFMA R0, R1, R2, R0", "@P0 BRA 0x0", "FFMA R3, R1, R2, R3", "BRA.U UP0, 0x0", "EXIT"]
    assert code_of(*lines).loops == (Loop(0x0, 0x30),)


def test_without_a_loop_that_computes_the_kernel_itself_is_hot_but_for_subroutines():
    lines = [
        "LDG.E R0, desc[UR4][R2.64]", "CALL.REL.NOINC 0x60", "FADD R0, R0, R1", "EXIT", "BRA 0x40", "NOP",
        "MUFU.RCP R3, R4", "RET.REL.NODEC R2 0x0",
    ]  # fmt: skip
    code = code_of(*lines)
    assert code.hot_loop is None
    assert [each.base for each in code.hot] == ["LDG", "CALL", "FADD", "EXIT", "BRA"]


@pytest.mark.parametrize(
    ("skipped", "rare"),
    [
        (["IADD3 R1, R1, 0x1, RZ"], 1),
        (["IADD3 R1, R1, 0x1, RZ", "FFMA R0, R1, R2, R0"], 0),
        (["LDS R1, [R2]"], 0),
        (["LDGSTS.E [R2], desc[UR4][R6.64]"], 0),
        (["BAR.SYNC.DEFER_BLOCKING 0x0"], 0),
        (["MUFU.RCP R1, R2"], 0),  # a division
        (["IADD3 R1, R1, 0x1, RZ", "BRA 0x60"], 0),  # one of two arms
    ],
)
def test_what_a_branch_skips_is_rare_only_if_no_work_is_there(skipped, rare):
    lines = ["FFMA R0, R1, R2, R0", f"@P0 BRA {16 * (2 + len(skipped)):#x}", *skipped, *["IMAD R3, R4, R5, RZ"] * 4]
    assert code_of(*lines, "@P1 BRA 0x0", "EXIT").rare == rare


def test_a_block_is_not_rare_if_nothing_skips_it_on_a_condition():
    assert code_of("FFMA R0, R1, R2, R0", "BRA 0x30", "MOV R1, R2", "@P1 BRA 0x0", "EXIT").rare == 0


@pytest.mark.parametrize(("text", "kind", "width", "multiply_adds"), [
    ("FFMA R0, R1, R2, R0", "FFMA", 0, 1),
    ("FFMA2 R0, R2, R4, R0", "FFMA", 0, 2),
    ("FADD R0, R1, R2", "FADD and FMUL", 0, 1),
    ("FMNMX R0, R1, R2, PT", "other arithmetic", 0, 0),
    ("FSETP.GT.AND P0, PT, R1, RZ, PT", "other arithmetic", 0, 0),
    ("DFMA R0, R2, R4, R0", "other arithmetic", 0, 1),
    ("HFMA2 R0, R1, R2, R0", "other arithmetic", 0, 2),
    ("HFMA2.MMA R5, -RZ, RZ, 0, 0", "moves", 0, 0),
    ("HFMA2 R5, -RZ, RZ, 1.875, 0", "moves", 0, 0),
    ("I2F.RP R0, R1", "other arithmetic", 0, 0),
    ("HMMA.1688.F32.TF32 R0, R4, R8, R0", "tensor", 0, 32),
    ("HMMA.16816.F32.BF16 R0, R4, R8, R0", "tensor", 0, 64),
    ("HMMA.16816.F32 R0, R4, R8, R0", "tensor", 0, 64),
    ("HGMMA.64x128x8.F32.TF32 R24, R104, gdesc[UR16], R24", "tensor", 0, 512),
    ("IMAD.MOV.U32 R0, RZ, RZ, R1", "moves", 0, 0),
    ("IMAD.WIDE.U32 R0, R1, R2, R4", "integer and address", 0, 0),
    ("UIADD3 UR4, UR4, 0x1, URZ", "integer and address", 0, 0),
    ("LEA.HI.X R0, R1, R2, R3, 0x2, P0", "integer and address", 0, 0),
    ("LDS R0, [R1]", "shared memory", 4, 0),
    ("LDS.U16 R0, [R1]", "shared memory", 2, 0),
    ("LDS.128 R0, [R1+0x10]", "shared memory", 16, 0),
    ("STS.64 [R1], R2", "shared memory", 8, 0),
    ("LDSM.16.M88.4 R0, [R1]", "shared memory", 16, 0),
    ("LDSM.16.MT88.2 R0, [R1]", "shared memory", 8, 0),
    ("LDSM.16.M88 R0, [R1]", "shared memory", 4, 0),
    ("LDG.E.128.CONSTANT R0, desc[UR4][R2.64]", "global memory", 16, 0),
    ("LDG.E.U8 R0, desc[UR4][R2.64]", "global memory", 1, 0),
    ("LDGSTS.E.LTC128B [R2], desc[UR4][R6.64], P0", "global memory", 4, 0),
    ("LDGSTS.E.BYPASS.LTC128B.128 [R2], desc[UR4][R6.64]", "global memory", 16, 0),
    ("STG.E.64 desc[UR4][R2.64], R4", "global memory", 8, 0),
    ("LDL.LU R0, [R1]", "local memory", 4, 0),
    ("STL.128 [R1], R4", "local memory", 16, 0),
    ("ULDC.64 UR4, c[0x0][0x208]", "constants", 0, 0),
    ("LDGDEPBAR", "barriers", 0, 0),
    ("WARPGROUP.DEPBAR.LE gsb0, 0x0", "barriers", 0, 0),
    ("CALL.REL.NOINC 0x100", "control", 0, 0),
])  # fmt: skip
def test_every_instruction_counts_for_what_it_is(text, kind, width, multiply_adds):
    (one,) = code_of(text).instructions
    assert (kind_of(one), one.bytes, one.multiply_adds) == (kind, width, multiply_adds)


@pytest.mark.parametrize(("text", "precision"), [
    ("FFMA R0, R1, R2, R0", "float32"), ("DFMA R0, R2, R4, R0", "float64"), ("HFMA2 R0, R1, R2, R0", "float16"),
    ("HMMA.1688.F32.TF32 R0, R4, R8, R0", "tf32"), ("HMMA.16816.F32.BF16 R0, R4, R8, R0", "bfloat16"),
    ("HMMA.16816.F32 R0, R4, R8, R0", "float16"), ("DMMA.884 R0, R4, R8, R0", "float64"),
])  # fmt: skip
def test_arithmetic_is_told_by_the_precision_of_its_factors(text, precision):
    assert precision_of(code_of(text).instructions[0]) == precision


def test_a_tensor_core_instruction_of_another_shape_is_not_guessed():
    with pytest.raises(KernelError, match=r"HMMA\.123\.F32 is not known"):
        _ = code_of("HMMA.123.F32 R0, R4, R8, R0").instructions[0].multiply_adds


LINES = st.sampled_from(
    ["FFMA R0, R1, R2, R0", "LDS.128 R4, [R8]", "IADD3 R1, R1, 0x1, RZ", "MOV R2, R3", "BAR.SYNC 0x0", "STG.E [R2], R0"]
)


@given(lines=st.lists(LINES, min_size=1, max_size=30))
def test_the_kinds_share_all_instructions(lines):
    mix = Mix(code_of(*lines).instructions)
    assert mix.total == len(lines) == sum(mix.counts.values())
    assert mix.share(*mix.counts) == pytest.approx(1)  # a sum of rounded shares
    assert sum(sum(widths.values()) for widths in mix.accesses.values()) == sum(
        line.startswith(("LDS", "STG")) for line in lines
    )


LOG = """INFO: NVVM70 LTOIR Container created (20540 bytes)
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'kernel' for 'sm_90a'
ptxas info    : Function properties for helper
ptxas         .     8 bytes stack frame, 1 bytes spill stores, 2 bytes spill loads
ptxas info    : Function properties for kernel
ptxas         .     144 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 54 registers, used 1 barriers, 144 bytes cumulative stack size, 2048 bytes smem, 96 bytes cmem[2]
ptxas info    : Compile time = 44.873 ms
"""


def test_the_assemblers_log_tells_what_a_kernel_takes():
    expected = Resources(
        registers=54, stack_bytes=144, spill_store_bytes=12, spill_load_bytes=16, static_shared_bytes=2048, barriers=1
    )
    assert read_log(LOG, "kernel") == expected
    assert expected.spill_bytes == 28
    bare = LOG.replace(", used 1 barriers, 144 bytes cumulative stack size, 2048 bytes smem, 96 bytes cmem[2]", "")
    assert (read_log(bare, "kernel").static_shared_bytes, read_log(bare, "kernel").barriers) == (0, 0)


def test_a_log_without_the_kernel_is_an_error_and_no_zero():
    for log in ("", LOG.replace("for kernel", "for another"), LOG.replace("Used 54", "Used many")):
        with pytest.raises(KernelError, match="does not say what kernel takes"):
            read_log(log, "kernel")


def test_the_assemblers_warnings_are_kept():
    lost = (
        "(C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to insufficient registers"
    )
    log = f"ptxas info    : {lost} in the function 'kernel'\nptxas warning : Value of threads is too large\n{LOG}"
    assert read_log(log, "kernel").warnings == (f"{lost} in the function 'kernel'", "Value of threads is too large")
