"""Profiles of instructions beyond loads and stores: asynchronous copies, matrices, atomics, waits, float64."""

import numpy as np
import pytest
from numba import cuda, float32, int32

from convbench.emulator import Emulator, load_ptx, profile
from convbench.emulator.counting.tensor import matrix_bytes

PTX = """.version 9.0
.target sm_90
.address_size 64
.visible .entry f(.param .u64 x)
{{
    .reg .b32 %i, %to, %a, %b, %c, %d, %v;
    .reg .b64 %x, %at;
    .reg .pred %p;
    .shared .align 128 .b8 tile[8192];
    ld.param.u64 %x, [x];
    mov.u32 %i, %tid.x;
{body}
    ret;
}}
"""


def counted(body, size=4096):
    found = profile(load_ptx(PTX.format(body=body))["f"], 1, 32, np.zeros(size, np.uint32))
    return {i.opcode: i.counters for i in found.instructions}


@pytest.mark.parametrize(("pitch", "wavefronts"), [(16, 4), (128, 32), (144, 4), (64, 16)])
def test_ldmatrix_takes_a_phase_for_eight_rows(pitch, wavefronts):
    c = counted(f"""
    mul.lo.u32 %to, %i, {pitch};
    mov.u32 %v, tile;
    add.u32 %to, %to, %v;
    ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%a, %b, %c, %d}}, [%to];
    """)["ldmatrix.sync.aligned.m8n8.x4.shared.b16"]
    assert (c.shared_requests, c.wavefronts, c.ideal_wavefronts) == (1, wavefronts, 4)


@pytest.mark.parametrize(("matrices", "names"), [(1, "%a"), (2, "%a, %b")])
def test_ldmatrix_of_fewer_matrices_has_fewer_phases(matrices, names):
    c = counted(f"""
    shl.b32 %to, %i, 4;
    mov.u32 %v, tile;
    add.u32 %to, %to, %v;
    ldmatrix.sync.aligned.m8n8.x{matrices}.shared.b16 {{{names}}}, [%to];
    """)[f"ldmatrix.sync.aligned.m8n8.x{matrices}.shared.b16"]
    assert (c.wavefronts, c.ideal_wavefronts) == (matrices, matrices)


def test_an_asynchronous_copy_reads_sectors_and_writes_wavefronts():
    c = counted("""
    shl.b32 %to, %i, 4;
    mul.wide.u32 %at, %i, 32;
    add.u64 %x, %x, %at;
    mov.u32 %v, tile;
    add.u32 %to, %to, %v;
    cp.async.cg.shared.global [%to], [%x], 16;
    cp.async.wait_all;
    """)["cp.async.cg.shared.global"]
    assert (c.global_requests, c.sectors, c.ideal_sectors, c.used_bytes) == (1, 32, 16, 512)
    assert (c.shared_requests, c.wavefronts, c.ideal_wavefronts) == (1, 4, 4)


def test_a_copy_of_zeros_reads_nothing():
    c = counted("""
    shl.b32 %to, %i, 2;
    setp.lt.u32 %p, %i, 8;
    selp.b32 %a, 4, 0, %p;
    mul.wide.u32 %at, %i, 4;
    add.u64 %x, %x, %at;
    mov.u32 %v, tile;
    add.u32 %to, %to, %v;
    cp.async.ca.shared.global [%to], [%x], 4, %a;
    cp.async.wait_all;
    """)["cp.async.ca.shared.global"]
    assert (c.global_requests, c.sectors) == (1, 1)
    assert (c.shared_requests, c.wavefronts) == (1, 1)


@cuda.jit
def histogram(x, bins):
    i = cuda.grid(1)
    cuda.atomic.add(bins, x[i], 1)


@pytest.mark.parametrize(("values", "contention"), [(1, 32), (2, 16), (8, 4), (32, 1)])
def test_atomics_wait_for_lanes_with_the_same_address(values, contention):
    x, bins = np.arange(64, dtype=np.int32) % values, np.zeros(32, np.int32)
    found = profile(histogram, 1, 64, x, bins, blocks="all")
    assert bins.sum() == 64
    c = found.by_array["bins"]
    assert (c.atomics, c.contention) == (2, 2 * contention)


@cuda.jit
def waits_for_the_grid(x, y):
    grid = cuda.cg.this_grid()
    i = cuda.grid(1)
    cuda.atomic.max(y, 0, x[i])
    grid.sync()
    x[i] -= y[0]


def test_blocks_that_wait_for_each_other_all_run():
    x, y = np.arange(256, dtype=np.int32), np.zeros(1, np.int32)
    found = profile(waits_for_the_grid, 8, 32, x, y, blocks=2)
    assert x.max() == 0
    assert not found.is_scaled
    assert found.by_array["y"].atomics == 8
    stores = [i.counters for i in found.instructions if i.array == "x" and i.is_store]
    assert [c.sectors for c in stores] == [8 * 4]


@cuda.jit
def sum_of_a_warp(x, y):
    value = x[cuda.grid(1)]
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_down_sync(0xFFFFFFFF, value, distance)
    if cuda.laneid == 0:
        y[cuda.grid(1) // 32] = value


def test_shuffles_are_instructions_and_no_requests():
    x, y = np.ones(128, np.float32), np.zeros(4, np.float32)
    found = profile(sum_of_a_warp, 2, 64, x, y, blocks="all")
    assert (y == 32).all()
    shuffles = [i.counters for i in found.instructions if i.opcode.startswith("shfl")]
    assert sum(c.instructions for c in shuffles) == 4 * 5
    assert found.total.shared_requests == 0
    assert found.by_array["y"].lanes == 4
    assert found.total.splits == 4  # the first lane of each warp stores


@cuda.jit
def sums(x, y):
    total = 0.0
    for k in range(x.shape[0]):
        total += x[k]
    y[cuda.grid(1)] = total


def test_float64_that_no_argument_asks_for_is_named():
    x = np.ones(100, np.float32)
    found = profile(sums, 1, 32, x, np.zeros(32, np.float32))
    first = sums.py_func.__code__.co_firstlineno
    assert first + 4 in [line for _, line in found.float64_lines]
    assert found.by_pipe["fp64"].instructions >= 100
    asked = profile(sums, 1, 32, np.ones(100), np.zeros(32))
    assert asked.float64_lines == []


@cuda.jit
def stencil(x, y, n):
    tile = cuda.shared.array(66, float32)
    own = cuda.local.array(3, float32)
    t, i = cuda.threadIdx.x, cuda.grid(1)
    tile[t + 1] = x[i] if i < n else float32(0)
    if t < 2:
        at = i - 1 if t == 0 else cuda.blockIdx.x * 64 + 64
        tile[t * 65] = x[at] if 0 <= at < n else float32(0)
    cuda.syncthreads()
    for k in range(3):
        own[k] = tile[t + k]
    if i < n:
        total = float32(0)
        for k in range(int32(x[0]) % 3 + 1):
            total += own[k]
        y[i] = total


@pytest.mark.parametrize("kernel", [stencil])
@pytest.mark.parametrize("blocks", ["all", 4])
def test_sums_over_lines_arrays_and_units_are_the_kernels(kernel, blocks):
    n = 1000
    x, y = np.arange(n, dtype=np.float32), np.zeros(n, np.float32)
    grid = -(-n // 64)
    found = profile(kernel, grid, 64, x, y, n, blocks=blocks)
    for sums_of in (found.by_line, found.by_pipe):
        for name, number in found.total.by_name().items():
            if name != "conflict":
                assert sum(getattr(c, name) for c in sums_of.values()) == pytest.approx(number)
    assert sum(c.sectors for c in found.by_array.values()) == pytest.approx(found.total.sectors)
    assert sum(c.wavefronts for c in found.by_array.values()) == pytest.approx(found.total.wavefronts)
    again = np.zeros(n, np.float32)
    Emulator(code="ptx").launch(kernel, grid, 64, x, again, n)
    if blocks == "all":
        assert (again == y).all()


@cuda.jit
def one_lane_waits_for_another(flag, x, y):
    t = cuda.threadIdx.x
    if t == 0:
        while cuda.atomic.add(flag, 0, 0) == 0:
            pass
    total = int32(0)
    k = 0
    while k < 3000:
        total += x[k % 64]
        k += 1 + (total < 0)
    if t == 1:
        cuda.atomic.add(flag, 0, 1)
    y[t] = total


def test_lanes_that_wait_for_a_lane_ahead_of_them_are_counted_alone():
    # all lanes but the first are ahead of the place where they would meet it again, until their buffers are full
    flag, x, y = np.zeros(1, np.int32), np.ones(64, np.int32), np.zeros(32, np.int32)
    found = profile(one_lane_waits_for_another, 1, 32, flag, x, y, blocks="all")
    assert (y == 3000).all()
    assert found.by_array["x"].lanes == 32 * 3000
    assert found.by_array["x"].global_requests >= 2 * 3000  # the first lane comes later


def test_the_machine_has_no_instruction_of_its_own_for_what_another_one_does():
    body = """
    setp.lt.u32 %p, %i, 4;
    or.pred %p, %p, %p;
    mul.wide.u32 %at, %i, 4;
    add.u64 %at, %x, %at;
    add.u64 %x, %x, 4;
    @%p st.global.u32 [%at], %i;
    """
    found = profile(load_ptx(PTX.format(body=body))["f"], 1, 32, np.zeros(64, np.uint32)).instructions
    slots = [(i.opcode, i.slots) for i in found]
    for each in [("setp.lt.u32", 1), ("or.pred", 0), ("mul.wide.u32", 1), ("add.u64", 0), ("add.u64", 2)]:
        slots.remove(each)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (
            "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {%a, %b}, %x, %at, 1, 1, 1, 0, 0;",
            (64 + 128) * 16 * 2 / 4,
        ),
        ("wgmma.mma_async.sync.aligned.m64n64k8.f32.tf32.tf32 {%a}, {%b}, %at, 1, 1, 1;", 64 * 8 * 4 / 4),
        ("wmma.load.a.sync.aligned.row.m16n16k16.shared.f16 {%a}, [%x], %i;", 512),
        ("@%p wmma.load.b.sync.aligned.col.m8n32k16.shared.s8 {%a}, [%x], %i;", 512),
        ("wmma.store.d.sync.aligned.row.m16n16k16.global.f32 [%x], {%a}, %i;", 1024),
        ("wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%a}, {%b}, {%c}, {%d};", 0),
        ("ld.shared.f32 %a, [%x];", 0),
    ],
)
def test_the_bytes_of_matrices_follow_from_the_shape(text, size):
    assert matrix_bytes(text) == size


@pytest.mark.parametrize(("space", "requests", "wavefronts", "sectors"), [("shared", 1, 4, 0), ("global", 0, 0, 16)])
def test_a_matrix_is_loaded_by_wavefronts_or_sectors(space, requests, wavefronts, sectors):
    name = f"wmma.load.a.sync.aligned.row.m16n16k16.{space}.f16"
    registers = "%a, %b, %c, %d, %e, %f, %g, %h"
    c = counted(f"""
    .reg .b32 %e, %f, %g, %h;
    cvta.to.global.u64 %x, %x;
    mov.u32 %v, tile;
    {name} {{{registers}}}, [{"%v" if space == "shared" else "%x"}], 16;
    """)[name]
    assert (c.shared_requests, c.wavefronts, c.sectors) == (requests, wavefronts, sectors)


@pytest.mark.parametrize(("reads", "is_sampled"), [("", True), ("setp.eq.u32 %p, %a, 7;\n    @%p bra DONE;", False)])
def test_a_loop_with_atomics_waits_only_if_it_reads_their_results(reads, is_sampled):
    body = f"""
    mov.u32 %v, 0;
    LOOP:
    atom.global.add.u32 %a, [%x], 1;
    {reads}
    add.u32 %v, %v, 1;
    setp.lt.u32 %p, %v, 3;
    @%p bra LOOP;
    DONE:
    """
    found = profile(load_ptx(PTX.format(body=body))["f"], 100, 32, np.zeros(64, np.uint32), blocks=4)
    assert found.is_scaled == is_sampled
