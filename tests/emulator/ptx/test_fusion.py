"""Sums of products are fused where ptxas 13.5.37 fuses them in machine code for sm_90; each row was read from there."""

import pytest

from convbench.emulator.ptx.fusion import fused
from convbench.emulator.ptx.parser import parse
from convbench.emulator.ptx.syntax import Instruction

HEAD = ".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 out)\n{\n"
REGISTERS = ".reg .f32 %f<20>; .reg .f64 %d<20>; .reg .b16 %h<20>; .reg .b32 %r<20>; .reg .b64 %o; .reg .pred %p;\n"
STORE = " st.global.f32 [%o], %f12;"
ROWS = {
    # sums of one product
    "mul.f32 %f10, %f1, %f2; add.f32 %f12, %f10, %f3;": ["fma.rn.f32 %f12, %f1, %f2, %f3"],
    "mul.f32 %f10, %f1, %f2; add.f32 %f12, %f3, %f10;": ["fma.rn.f32 %f12, %f1, %f2, %f3"],
    "mul.f32 %f10, %f1, %f2; sub.f32 %f12, %f10, %f3;": ["fma.rn.f32 %f12, %f1, %f2, -%f3"],
    "mul.f32 %f10, %f1, %f2; sub.f32 %f12, %f3, %f10;": ["fma.rn.f32 %f12, -%f1, %f2, %f3"],
    "mul.f32 %f10, %f1, %f2; neg.f32 %f11, %f10; add.f32 %f12, %f11, %f3;": ["fma.rn.f32 %f12, -%f1, %f2, %f3"],
    "mul.f32 %f10, %f1, %f2; mov.f32 %f11, %f10; add.f32 %f12, %f11, %f3;": ["fma.rn.f32 %f12, %f1, %f2, %f3"],
    "mul.f64 %d10, %d1, %d2; add.f64 %d12, %d10, %d3;": ["fma.rn.f64 %d12, %d1, %d2, %d3"],
    "mul.f16 %h10, %h1, %h2; add.f16 %h12, %h10, %h3;": ["fma.rn.f16 %h12, %h1, %h2, %h3"],
    "mul.f16x2 %r10, %r1, %r2; add.f16x2 %r12, %r10, %r3;": ["fma.rn.f16x2 %r12, %r1, %r2, %r3"],
    "mul.f32 %f10, %f1, %f2; add.sat.f32 %f12, %f10, %f3;": ["fma.rn.sat.f32 %f12, %f1, %f2, %f3"],
    "mul.f32 %f10, %f1, 0f40000000; add.f32 %f12, %f10, 0f3F800000;": ["fma.rn.f32 %f12, %f1, 0f40000000, 0f3F800000"],
    "mul.f32 %f10, %f1, %f2; @%p add.f32 %f12, %f10, %f3;": ["@%p fma.rn.f32 %f12, %f1, %f2, %f3"],
    "mul.f32 %f10, %f1, %f2; bar.sync 0; add.f32 %f12, %f10, %f3;": ["fma.rn.f32 %f12, %f1, %f2, %f3"],
    "mul.f32 %f10, %f1, %f2; NOBODY: add.f32 %f12, %f10, %f3;": ["fma.rn.f32 %f12, %f1, %f2, %f3"],
    # of two products: the first operand's is fused, unless it is used in another way
    "mul.f32 %f10, %f1, %f2; mul.f32 %f11, %f3, %f4; add.f32 %f12, %f10, %f11;": ["fma.rn.f32 %f12, %f1, %f2, %f11"],
    "mul.f32 %f10, %f1, %f2; mul.f32 %f11, %f3, %f4; add.f32 %f12, %f11, %f10;": ["fma.rn.f32 %f12, %f3, %f4, %f10"],
    "mul.f32 %f10, %f1, %f2; mul.f32 %f11, %f3, %f4; sub.f32 %f12, %f10, %f11;": ["fma.rn.f32 %f12, %f1, %f2, -%f11"],
    "mul.f32 %f10, %f1, %f2; mul.f32 %f11, %f3, %f4; add.f32 %f12, %f10, %f11; st.global.f32 [%o+4], %f10;": [
        "fma.rn.f32 %f12, %f3, %f4, %f10"
    ],
    # a product of many sums is fused in all of them or in none
    "mul.f32 %f10, %f1, %f2; add.f32 %f12, %f10, %f3; add.f32 %f13, %f10, %f4; st.global.f32 [%o+4], %f13;": [
        "fma.rn.f32 %f12, %f1, %f2, %f3",
        "fma.rn.f32 %f13, %f1, %f2, %f4",
    ],
    "mul.f32 %f10, %f1, %f2; mul.f32 %f11, %f3, %f4; add.f32 %f12, %f10, %f11; add.f32 %f13, %f11, %f5;"
    " st.global.f32 [%o+4], %f13;": ["fma.rn.f32 %f12, %f1, %f2, %f11", "add.f32 %f13, %f11, %f5"],
    # what is not fused
    "mul.f32 %f10, %f1, %f2; add.f32 %f12, %f10, %f10;": ["add.f32 %f12, %f10, %f10"],
    "mul.f32 %f10, %f1, %f2; abs.f32 %f11, %f10; add.f32 %f12, %f11, %f3;": ["add.f32 %f12, %f11, %f3"],
    "mul.f32 %f10, %f1, %f2; add.f32 %f12, %f10, %f3; st.global.f32 [%o+4], %f10;": ["add.f32 %f12, %f10, %f3"],
    "mul.rn.f32 %f10, %f1, %f2; add.f32 %f12, %f10, %f3;": ["add.f32 %f12, %f10, %f3"],
    "mul.f32 %f10, %f1, %f2; add.rn.f32 %f12, %f10, %f3;": ["add.rn.f32 %f12, %f10, %f3"],
    "mul.ftz.f32 %f10, %f1, %f2; add.f32 %f12, %f10, %f3;": ["add.f32 %f12, %f10, %f3"],
    "mul.f32 %f10, %f1, %f2; add.ftz.f32 %f12, %f10, %f3;": ["add.ftz.f32 %f12, %f10, %f3"],
    "mul.sat.f32 %f10, %f1, %f2; add.f32 %f12, %f10, %f3;": ["add.f32 %f12, %f10, %f3"],
    "mul.f32 %f10, %f1, %f2; @%p bra L; st.global.f32 [%o+8], %f5; L: add.f32 %f12, %f10, %f3;": [
        "add.f32 %f12, %f10, %f3"
    ],
    "mov.f32 %f10, %f7; @%p bra L; mul.f32 %f10, %f1, %f2; L: add.f32 %f12, %f10, %f3;": ["add.f32 %f12, %f10, %f3"],
}


def sums(text):
    function = fused(parse(f"{HEAD}{REGISTERS}{text}{STORE} ret;\n}}\n").functions["k"])
    found = [i for i in function.body if isinstance(i, Instruction) and i.opcode in ("add", "sub", "fma")]
    return [str(i).rstrip(";") for i in found], function


@pytest.mark.parametrize("text", ROWS)
def test_sums_are_fused_as_ptxas_fuses_them(text):
    assert sums(text)[0] == ROWS[text]


def test_an_operand_that_is_written_between_is_copied():
    found, function = sums("mul.f32 %f10, %f1, %f2; ld.global.f32 %f1, [%o]; add.f32 %f12, %f10, %f3;")
    assert found == ["fma.rn.f32 %f12, %fused.0.1, %f2, %f3"]
    assert function.copies == {0: {"%fused.0.1": "%f1"}}


def test_the_parsed_function_stays_as_it_is():
    module = parse(f"{HEAD}{REGISTERS}mul.f32 %f10, %f1, %f2; add.f32 %f12, %f10, %f3;{STORE} ret;\n}}\n")
    before = [str(i) for i in module.functions["k"].body]
    fused(module.functions["k"])
    assert [str(i) for i in module.functions["k"].body] == before
