"""Profiles of small kernels, whose counts are worked out by hand."""

import numpy as np
import pytest
from numba import cuda, float32, float64, int32

from convbench.emulator import LaunchError, load_ptx, profile


@cuda.jit
def transpose(x, y):
    tile = cuda.shared.array((32, 32), float64)
    i, j = cuda.threadIdx.x, cuda.threadIdx.y
    row, column = cuda.blockIdx.x * 32, cuda.blockIdx.y * 32
    tile[i, j] = x[row + j, column + i]  # rows are read, columns of the tile are written
    cuda.syncthreads()
    y[column + j, row + i] = tile[j, i]


@cuda.jit
def transpose_padded(x, y):
    tile = cuda.shared.array((32, 33), float64)
    i, j = cuda.threadIdx.x, cuda.threadIdx.y
    row, column = cuda.blockIdx.x * 32, cuda.blockIdx.y * 32
    tile[i, j] = x[row + j, column + i]
    cuda.syncthreads()
    y[column + j, row + i] = tile[j, i]


@cuda.jit
def transpose_by_columns(x, y):
    i, j = cuda.grid(2)
    y[i, j] = x[j, i]


@cuda.jit
def products(a, b, c):
    i, j = cuda.grid(2)  # threads along x walk the rows
    total = float32(0)
    for k in range(a.shape[1]):
        total += a[i, k] * b[k, j]
    c[i, j] = total


@cuda.jit
def loops_of_each_lane(x):
    i = cuda.grid(1)
    k = 0
    while k < i % 32 + 1:
        k += 1 + (cuda.atomic.add(x, i, 1) < 0)  # compilers do not unroll this
    x[i] += 1


@cuda.jit
def either(x):
    i = cuda.grid(1)
    if i % 32 < 8:
        x[i] = x[i] * 3
    else:
        x[2 * i] = 5
    cuda.syncthreads()
    x[i + 4096] = 1


@cuda.jit(device=True, inline="never")
def helped(x, i):
    if x[i] > 5:
        return x[i + 1]
    return x[i + 2]


@cuda.jit
def helping(x, y):
    i = cuda.grid(1)
    y[i] = helped(x, i) + helped(x, i + 3)


@cuda.jit
def long_loop(x, y):
    i = cuda.grid(1)
    total = int32(0)
    k = 0
    while k < 5000:
        total += x[(i + k) % 64]
        k += 1 + (total < 0)
    y[i] = total


@cuda.jit
def local_table(x, y):
    table = cuda.local.array(64, float32)
    i = cuda.grid(1)
    for k in range(64):
        table[(k * x[0]) % 64] = k
    y[i] = table[x[i] % 64]


def lines_of(found, kernel):
    first = kernel.py_func.__code__.co_firstlineno
    return lambda number: found.at_line(first + number)


# 4096 by 4096 elements in blocks of 32 by 32 have this many times the blocks of 64 by 64, and all blocks are alike
WHOLE = 128 * 128 // (2 * 2)


@pytest.mark.parametrize(("kernel", "wavefronts"), [(transpose, 16_777_216), (transpose_padded, 1_048_576)])
def test_a_transposition_of_float64_has_the_published_counts(kernel, wavefronts):
    x = np.arange(4096.0).reshape(64, 64)
    y = np.zeros_like(x)
    found = profile(kernel, (2, 2), (32, 32), x, y, blocks="all")
    assert (y == x.T).all()
    assert not found.is_scaled
    at = lines_of(found, kernel)
    assert at(5).shared_requests * WHOLE == at(5).global_requests * WHOLE == 524_288
    assert at(5).wavefronts * WHOLE == wavefronts
    assert at(5).ideal_wavefronts * WHOLE == at(7).wavefronts * WHOLE == 1_048_576
    assert at(5).sectors * WHOLE == at(7).sectors * WHOLE == at(7).ideal_sectors * WHOLE == 4_194_304
    assert at(5).conflict == (16 if wavefronts > 1_048_576 else 1)
    marks = [i.marks for i in found.instructions if i.opcode.startswith("st.shared")]
    assert marks == ([["bank conflict"]] if wavefronts > 1_048_576 else [[]])


def test_a_transposition_without_a_tile_is_uncoalesced_on_one_side():
    x, y = np.arange(4096.0).reshape(64, 64), np.zeros((64, 64))
    found = profile(transpose_by_columns, (2, 2), (32, 32), x, y, blocks="all")
    assert (y == x.T).all()
    assert found.by_array["y"].sectors * WHOLE == 16_777_216
    assert found.by_array["x"].sectors * WHOLE == found.by_array["y"].ideal_sectors * WHOLE == 4_194_304
    assert [i.marks for i in found.instructions if i.array == "y"] == [["uncoalesced"]]


def test_threads_along_x_that_walk_the_rows_touch_a_sector_each():
    a = np.ones((64, 64), np.float32)
    c = np.zeros_like(a)
    found = profile(products, (2, 2), (32, 32), a, a.copy(), c, blocks="all")
    assert (c == 64).all()
    by = found.by_array
    assert by["a"].global_requests == by["b"].global_requests == 4 * 32 * 64
    assert by["a"].sectors == 32 * by["a"].global_requests  # 32 rows
    assert by["b"].sectors == by["b"].global_requests  # one element for all lanes
    assert by["a"].used_bytes == 128 * by["a"].global_requests
    assert by["b"].used_bytes == 4 * by["b"].global_requests
    assert found.total == sum(found.by_line.values(), start=type(found.total)())
    assert found.by_pipe["fma"].instructions >= 4 * 32 * 64


def test_lanes_leave_a_loop_one_by_one():
    x = np.zeros(64, np.int32)
    found = profile(loops_of_each_lane, 2, 32, x, blocks="all")
    assert (x == np.arange(64) % 32 + 2).all()
    (atomic,) = [i for i in found.instructions if i.opcode.startswith(("atom", "red"))]
    assert atomic.counters.instructions == atomic.counters.atomics == 2 * 32
    assert atomic.counters.lanes == 2 * sum(range(1, 33))
    assert atomic.counters.contention == atomic.counters.atomics  # every lane has its own address
    stores = [i.counters for i in found.instructions if i.opcode.startswith("st.global")]
    assert [(c.instructions, c.lanes) for c in stores] == [(2, 64)]  # they meet again behind the loop


def test_lanes_that_part_are_counted_apart_and_meet_again():
    x = np.arange(8192, dtype=np.int32)
    found = profile(either, 1, 64, x, blocks="all")
    at = lines_of(found, either)
    assert (at(4).global_requests, at(4).sectors) == (4, 4)  # 2 warps, a load and a store, 8 lanes side by side
    assert (at(6).global_requests, at(6).sectors) == (2, 2 * 6)  # 24 lanes with a gap of 4 bytes each
    assert (at(8).global_requests, at(8).sectors) == (2, 2 * 4)
    stores = [i.counters.lanes for i in found.instructions if i.opcode.startswith("st.global")]
    assert sorted(stores) == [16, 48, 64]


def test_lanes_part_and_meet_inside_a_device_function():
    x, y = np.arange(64, dtype=np.int32) % 11, np.zeros(32, np.int32)
    found = profile(helping, 1, 32, x, y, blocks="all")
    want = [x[k + 1] if x[k] > 5 else x[k + 2] for k in range(35)]
    assert (y == np.array(want[:32]) + want[3:]).all()
    loads = sum(i.counters.lanes for i in found.instructions if i.array == "x")
    assert loads == 2 * 2 * 32
    (store,) = [i for i in found.instructions if i.array == "y"]
    assert (store.counters.instructions, store.counters.lanes) == (1, 32)


def test_a_loop_that_is_longer_than_the_buffer_of_a_thread_is_counted_whole():
    x, y = np.arange(64, dtype=np.int32), np.zeros(64, np.int32)
    found = profile(long_loop, 1, 64, x, y, blocks="all")
    assert (y == [sum((i + k) % 64 for k in range(5000)) for i in range(64)]).all()
    assert found.by_array["x"].global_requests == 2 * 5000
    assert found.by_array["x"].lanes == 64 * 5000
    # lanes read 128 bytes around the end of 256: 4 sectors where they begin with one, 5 else
    begins = [(32 * warp + k) % 64 for warp in range(2) for k in range(5000)]
    places = [{(begin + lane) % 64 // 8 for lane in range(32)} for begin in begins]
    assert found.by_array["x"].sectors == sum(map(len, places))


def test_local_memory_is_apart():
    x, y = np.ones(32, np.int32), np.zeros(32, np.float32)
    found = profile(local_table, 1, 32, x, y, blocks="all")
    assert (y == 1).all()
    c = found.total
    assert c.local_requests > 0
    assert found.by_array["y"].sectors == 4
    assert c.global_requests == found.by_array["x"].global_requests + 1


def test_a_sample_of_blocks_that_are_alike_is_scaled_to_the_exact_counts():
    x, y = np.zeros((256, 256)), np.zeros((256, 256))
    whole = profile(transpose, (8, 8), (32, 32), x, y, blocks="all")
    some = profile(transpose, (8, 8), (32, 32), x, y, blocks=10)
    assert whole.total == some.total
    assert some.is_scaled
    assert 9 <= some.counted_blocks < 20
    assert "of 64 blocks were counted" in some.sampled
    again = profile(transpose, (8, 8), (32, 32), x, y, blocks=10)
    assert again == some


@pytest.mark.parametrize("blocks", [0, -1, 2.5, True, "some"])
def test_a_wrong_number_of_blocks_is_refused(blocks):
    with pytest.raises(LaunchError, match="a profile counts a positive number of blocks, or 'all', and not"):
        profile(transpose, 1, 32, np.zeros((4, 4)), np.zeros((4, 4)), blocks=blocks)


PREDICATED = """
.version 9.0
.target sm_90
.address_size 64
.visible .entry predicated(.param .u64 x)
{
    .reg .b32 %i, %v;
    .reg .b64 %x, %offset;
    .reg .pred %p;
    ld.param.u64 %x, [x];
    mov.u32 %i, %tid.x;
    mul.wide.u32 %offset, %i, 8;
    add.u64 %x, %x, %offset;
    setp.lt.u32 %p, %i, 20;
    @%p ld.global.u32 %v, [%x];
    @!%p st.global.u32 [%x+4], %i;
    ret;
}
"""


def test_an_instruction_with_a_predicate_counts_its_lanes():
    found = profile(load_ptx(PREDICATED)["predicated"], 1, 32, np.zeros(64, np.uint32))
    counts = {i.opcode: i.counters for i in found.instructions}
    assert (counts["ld.global.u32"].lanes, counts["ld.global.u32"].sectors) == (20, 5)
    assert (counts["st.global.u32"].lanes, counts["st.global.u32"].sectors) == (12, 3)
    assert counts["setp.lt.u32"].lanes == 32
    assert counts["ld.global.u32"].splits == 0


def test_the_cache_of_a_block_keeps_what_its_warps_share():
    a = np.ones((64, 64), np.float32)
    found = profile(products, (2, 2), (32, 32), a, a.copy(), a.copy(), blocks="all", l1_bytes=64 * 1024)
    by = found.by_array
    # each block misses its 32 rows of a, of 8 sectors each, and of b its 64 rows of 4 sectors
    assert by["a"].sectors - by["a"].l1_hits == 4 * 32 * 8
    assert by["b"].sectors - by["b"].l1_hits == 4 * 64 * 4
    assert by["c"].l1_hits == 0
    tiny = profile(products, (2, 2), (32, 32), a, a.copy(), a.copy(), blocks="all", l1_bytes=2048)
    assert tiny.total.l1_hits < found.total.l1_hits
    assert tiny.total.sectors == found.total.sectors


@cuda.jit
def uneven(x, times):
    total = float32(0)
    for _ in range(times if cuda.threadIdx.x < 32 else 0):  # only the first warp
        total = total * x[0] + x[0]
    cuda.syncthreads()
    x[cuda.grid(1)] = total


@cuda.jit
def one_returns(x):
    if cuda.threadIdx.x >= 96:
        return
    if cuda.threadIdx.x < 32:
        x[cuda.threadIdx.x] += 1
    cuda.syncthreads()


def waits_of(kernel, grid, block, *args):
    found = profile(kernel, grid, block, *args, blocks="all")
    by = {i.opcode.partition(".")[0]: i.counters.barrier_waits for i in found.instructions}
    assert sum(by.values()) == by.get("bar", 0) + by.get("barrier", 0) == found.total.barrier_waits
    return found.total.barrier_waits


def test_warps_wait_at_a_barrier_for_the_slowest():
    x = np.zeros(1024, np.float32)
    short, long, longer = (waits_of(uneven, 2, 128, x, times) for times in (0, 400, 800))
    assert short < 2 * 3 * 40  # what differs beside the loop
    assert longer - long == pytest.approx(long - short, rel=0.05)
    assert long - short >= 2 * 3 * 400 * 2  # three warps of two blocks wait for at least two instructions a turn
    assert waits_of(uneven, 2, 32, x, 400) == 0  # a warp alone waits for nobody


@cuda.jit
def in_turns(x, times):
    total = float32(0)
    for turn in range(4):
        for _ in range(times if cuda.threadIdx.x // 32 == turn else 0):  # one warp after another
            total = total * x[0] + x[0]
        cuda.syncthreads()
    x[cuda.grid(1)] = total


def test_barriers_make_the_chain_of_a_block_that_of_its_slowest_warps():
    x = np.zeros(1024, np.float32)
    assert profile(uneven, 2, 32, x, 400, blocks="all").slowest == 1
    assert profile(uneven, 2, 128, x, 0, blocks="all").slowest == pytest.approx(1, abs=0.01)
    assert 3.7 < profile(uneven, 2, 128, x, 400, blocks="all").slowest < 4  # of 4 warps, one works
    assert 3.5 < profile(in_turns, 2, 128, x, 400, blocks="all").slowest < 4  # each in its turn
    sampled = profile(in_turns, 8, 128, x, 400, blocks=2).slowest
    assert sampled == pytest.approx(profile(in_turns, 8, 128, x, 400, blocks="all").slowest)


def test_warps_that_have_returned_are_not_waited_for():
    x = np.zeros(1024, np.float32)
    once, twice = waits_of(one_returns, 1, 128, x), waits_of(one_returns, 2, 128, x)
    assert 0 < once < 2 * 20  # two warps skip a sum
    assert twice == 2 * once


LABELLED = """.version 9.0
.target sm_90
.address_size 64
.visible .entry f(.param .u64 x)
{
    .reg .b32 %i, %v;
    .reg .pred %p;
    mov.u32 %i, %tid.x;
    setp.lt.u32 %p, %i, 7;
    @%p bra DONE;
ELSE:
    add.u32 %v, %i, 1;
DONE:
    ret;
}
"""


def test_a_split_is_told_at_the_branch_even_if_a_label_follows():
    found = profile(load_ptx(LABELLED)["f"], 3, 32, np.zeros(32, np.uint32), blocks="all")
    assert {i.opcode: i.counters.splits for i in found.instructions if i.counters.splits} == {"bra": 3}
