"""What the suite of numba-cuda is told of a kernel's registers and memory: the figures of a real assembler."""

import pytest

from convbench.emulator import compiler_fault
from convbench.emulator.cubin import Cubin, Properties

nvvm = pytest.mark.skipif(compiler_fault() is not None, reason=f"{compiler_fault()}")
TEXT = """
.version 9.0
.target sm_90
.address_size 64
.const .align 4 .u32 table[20] = {1, 2, 3};
.visible .entry kernel(.param .u64 out, .param .u32 index)
.maxntid 64, 2, 1
{
    .reg .b32 %i, %v, %w; .reg .b64 %p, %q, %r, %l;
    .shared .align 4 .b8 tile[400];
    .local .align 8 .b8 own[48];
    ld.param.u64 %p, [out];
    ld.param.u32 %i, [index];
    mul.wide.u32 %q, %i, 4;
    mov.u64 %l, own;
    add.u64 %l, %l, %q;
    st.local.u32 [%l], %i;
    mov.u64 %l, own;
    mov.u32 %w, %tid.x;
    mul.wide.u32 %r, %w, 4;
    add.u64 %l, %l, %r;
    ld.local.u32 %v, [%l];
    mov.u64 %l, table;
    add.u64 %l, %l, %q;
    ld.const.u32 %w, [%l];
    add.u32 %v, %v, %w;
    st.shared.u32 [tile], %v;
    bar.sync 0;
    ld.shared.u32 %v, [tile+4];
    st.global.u32 [%p], %v;
    ret;
}
"""


@nvvm
def test_properties_are_read_from_a_cubin():
    from cuda.core import Linker, LinkerOptions, ObjectCode

    linker = Linker(ObjectCode.from_ptx(TEXT.encode()), options=LinkerOptions(arch="sm_90"))
    found = Cubin(bytes(linker.link("cubin").code)).properties("kernel")
    assert (found.shared, found.local, found.constants, found.bound) == (400, 48, 80, 128)
    assert 4 <= found.registers <= 32
    assert found.most_threads == 128


@pytest.mark.parametrize(
    ("registers", "shared", "threads", "most", "blocks"),
    [
        (32, 0, 1024, 1024, 2),  # threads of a multiprocessor
        (64, 0, 256, 1024, 4),  # registers: 32 warps
        (255, 0, 256, 256, 1),  # 8 warps, in units of 256 registers
        (16, 0, 32, 1024, 32),  # blocks
        (16, 50 * 1024, 32, 1024, 4),  # shared memory, with 1 KiB for the system
    ],
)
def test_limits_follow_the_tables_of_the_programming_guide(registers, shared, threads, most, blocks):
    found = Properties(registers, shared, 0, 0, 0)
    assert found.most_threads == most
    assert found.blocks_per_multiprocessor(threads, 0) == blocks
