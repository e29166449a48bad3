"""Loads from shared memory that ptxas merges, and the longest chains of a block."""

import pytest

from convbench.emulator.counting.chains import Chain
from convbench.emulator.ptx.counts.dependences import longest_chain
from convbench.emulator.ptx.counts.merging import find_merged
from convbench.emulator.ptx.parser import parse


def function_of(body):
    text = f""".version 9.0
.target sm_90
.address_size 64
.visible .entry f(.param .u64 x)
{{
    .reg .b32 %r<9>;
    .reg .f32 %f<9>;
    .reg .b64 %d<9>;
    .reg .pred %p<3>;
    .shared .align 4 .b8 tile[4096];
{body}
    ret;
}}
"""
    module = parse(text)
    return module.functions["f"], module


BASE = """
    mov.u32 %r1, %tid.x;
    shl.b32 %r2, %r1, SHIFT;
    mov.u32 %r3, tile;
    add.s32 %r4, %r3, %r2;
    add.s32 %r5, %r4, MORE;
"""


def load(number, offset, base="%r5"):
    return f"    ld.shared.f32 %f{number}, [{base}+{offset}];\n"


@pytest.mark.parametrize(
    ("shift", "more", "loads", "widths"),
    [
        (4, 0, (0, 4, 8, 12), [16, 16, 16, 16]),
        (4, 0, (12, 0, 8, 4), [16, 16, 16, 16]),  # in any order
        (4, 8, (0, 4, 8, 12), [8, 8, 8, 8]),  # 8 bytes behind a multiple of 16
        (4, 8, (-8, -4, 0, 4), [16, 16, 16, 16]),
        (3, 0, (0, 4, 8, 12), [8, 8, 8, 8]),
        (2, 0, (0, 4, 8, 12), []),
        (4, 0, (0, 4, 8), [8, 8]),
        (4, 0, (4, 8), []),
        (4, 4, (0, 4, 8), [8, 8]),
        (4, 0, (0, 128, 256, 384), []),
    ],
)
def test_neighbouring_loads_are_merged_if_their_whole_is_aligned(shift, more, loads, widths):
    begin = BASE.replace("SHIFT", str(shift)).replace("MORE", str(more))
    function, module = function_of(begin + "".join(load(n, offset) for n, offset in enumerate(loads)))
    found = find_merged(function, [range(len(function.body))], {**module.variables, **function.variables})
    assert sorted(merged.width for merged in found.values()) == sorted(widths)
    if widths == [16] * 4:
        leader = min(found)
        assert {merged.leader for merged in found.values()} == {leader}
        assert sorted(merged.back for merged in found.values()) == [0, 4, 8, 12]


@pytest.mark.parametrize(
    "between", ["    bar.sync 0;\n", "    st.shared.f32 [%r4], %f7;\n", "    add.s32 %r5, %r5, 16;\n"]
)
def test_loads_on_both_sides_of_a_write_are_not_merged(between):
    begin = BASE.replace("SHIFT", "4").replace("MORE", "0")
    function, module = function_of(begin + load(0, 0) + between + load(1, 4))
    found = find_merged(function, [range(len(function.body))], {**module.variables, **function.variables})
    assert found == {}


@pytest.mark.parametrize(
    ("body", "chain"),
    [
        ("add.f32 %f1, %f0, %f0; add.f32 %f2, %f1, %f0;", Chain(arithmetic=2)),
        ("add.f32 %f1, %f0, %f0; add.f32 %f2, %f0, %f0;", Chain(arithmetic=1)),
        ("ld.global.f32 %f1, [%d1]; ld.global.f32 %f2, [%d2]; add.f32 %f3, %f1, %f2;", Chain(arithmetic=1, memory=1)),
        ("ld.global.u64 %d2, [%d1]; ld.global.f32 %f2, [%d2];", Chain(memory=2)),
        ("ld.shared.f32 %f1, [%r1]; ex2.approx.f32 %f2, %f1; mov.f32 %f3, %f2;", Chain(shared=1, functions=1)),
        ("st.shared.f32 [%r1], %f1; bar.sync 0; ld.shared.f32 %f1, [%r1];", Chain(shared=2, barriers=1)),
    ],
)
def test_the_longest_chain_of_a_block(body, chain):
    function, _ = function_of(body)
    assert longest_chain(function.body) == chain
