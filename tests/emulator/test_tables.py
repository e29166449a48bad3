"""Atomics, shuffles, votes and bit operations agree with tables by hand or by NumPy, in both modes and all orders."""

import numpy as np
import pytest
from numba import cuda, float32, int32
from numba.cuda.types import float16

from cases import atomic_tables
from convbench.emulator import Emulator
from convbench.emulator.orders import ORDERS

EMULATORS = {
    **{f"llvm-{order}": Emulator(orders=[order], workers=1, code="llvm") for order in ORDERS},
    "ptx": Emulator(code="ptx"),
    "checked": Emulator(checked=True),
}
LANES = np.arange(32)
EVERYBODY = 0xFFFFFFFF


@pytest.fixture(params=EMULATORS)
def emulator(request):
    return EMULATORS[request.param]


# ---- atomics: one kernel for each type, in which every thread does the row of its number


def atomics_of(dtype):
    rows = [row[1:] for row in atomic_tables.ROWS if row[0] is dtype]
    names = list(dict.fromkeys(name for name, *_ in rows))
    body = "\n".join(
        f"    if which[i] == {number}:\n        before[i] = cuda.atomic.{name}(values, i, operands[i])"
        for number, name in enumerate(names)
    )
    scope = {"cuda": cuda}
    exec(f"def kernel(which, values, operands, before):\n    i = cuda.grid(1)\n{body}\n", scope)
    which = np.array([names.index(name) for name, *_ in rows])
    columns = [np.array([row[column] for row in rows], dtype) for column in (1, 2, 3)]
    return cuda.jit(scope["kernel"]), which, *columns


ATOMICS = {dtype: atomics_of(dtype) for dtype in dict.fromkeys(row[0] for row in atomic_tables.ROWS)}


@pytest.mark.parametrize("dtype", ATOMICS, ids=lambda dtype: dtype.__name__)
def test_every_atomic_leaves_and_gives_back_what_cuda_says(emulator, dtype):
    kernel, which, old, operands, new = ATOMICS[dtype]
    values, before = old.copy(), np.zeros_like(old)
    emulator.launch(kernel, 1, which.size, which, values, operands, before)
    np.testing.assert_array_equal(actual=values, desired=new)
    np.testing.assert_array_equal(actual=before, desired=old)


@cuda.jit
def swaps(values, old, new, before):
    i = cuda.grid(1)
    before[i] = cuda.atomic.cas(values, i, old[i], new[i])


@cuda.jit
def swaps_first(values, old, new, before):
    before[0] = cuda.atomic.compare_and_swap(values, old[0], new[0])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.uint64])
@pytest.mark.parametrize("kernel", [swaps, swaps_first], ids=["cas", "compare_and_swap"])
def test_compare_and_swap_swaps_only_what_is_equal(emulator, kernel, dtype):
    for held, expected in ((7, 9), (8, 8)):
        values, before = np.array([held], dtype), np.zeros(1, dtype)
        emulator.launch(kernel, 1, 1, values, np.array([7], dtype), np.array([9], dtype), before)
        assert (values.tolist(), before.tolist()) == ([expected], [held])


@cuda.jit
def counts(x, histogram, total):
    tile = cuda.shared.array(4, int32)
    i = cuda.threadIdx.x
    if i < 4:
        tile[i] = 0
    cuda.syncthreads()
    cuda.atomic.add(tile, x[cuda.grid(1)], 1)
    cuda.syncthreads()
    if i < 4:
        cuda.atomic.add(histogram, (0, i), tile[i])
    cuda.atomic.max(total, 0, x[cuda.grid(1)])


def test_atomics_of_many_blocks_lose_nothing():
    x = np.random.default_rng(1).integers(0, 4, 64 * 500)
    histogram, most = np.zeros((1, 4), np.int32), np.zeros(1, np.int64)
    Emulator(workers=2).launch(counts, 500, 64, x, histogram, most)
    assert histogram[0].tolist() == np.bincount(x).tolist()
    assert most[0] == 3


# ---- shuffles


@cuda.jit
def shuffles(x, by, idx, up, down, xor):
    i = cuda.threadIdx.x
    idx[i] = cuda.shfl_sync(EVERYBODY, x[i], by[0])
    up[i] = cuda.shfl_up_sync(EVERYBODY, x[i], by[0])
    down[i] = cuda.shfl_down_sync(EVERYBODY, x[i], by[0])
    xor[i] = cuda.shfl_xor_sync(EVERYBODY, x[i], by[0])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("by", [0, 1, 5, 16, 31])
def test_a_shuffle_moves_values_between_lanes(emulator, dtype, by):
    x = (LANES * 3 + 2**40 * (np.dtype(dtype).itemsize == 8) - 7).astype(dtype)
    found = [np.zeros(32, dtype) for _ in range(4)]
    emulator.launch(shuffles, 1, 32, x, np.array([by], np.int32), *found)
    up, down = LANES - by, LANES + by
    sources = [np.full(32, by), np.where(up >= 0, up, LANES), np.where(down < 32, down, LANES), LANES ^ by]
    for actual, source in zip(found, sources, strict=True):
        np.testing.assert_array_equal(actual=actual, desired=x[source])


@cuda.jit
def partial_shuffle(x, y):
    i = cuda.threadIdx.x
    if i % 2 == 0:
        y[i] = cuda.shfl_xor_sync(0x55555555, x[i], 2)
    elif i < 16:
        y[i] = cuda.shfl_sync(0x0000AAAA, x[i], 15)


def test_lanes_outside_the_mask_take_no_part_in_a_shuffle(emulator):
    y = np.zeros(32, np.int32)
    emulator.launch(partial_shuffle, 1, 32, LANES.astype(np.int32), y)
    even, low = LANES % 2 == 0, LANES < 16
    assert y.tolist() == np.where(even, LANES ^ 2, np.where(low, 15, 0)).tolist()


def test_every_warp_of_a_block_shuffles_alone(emulator):
    x = np.arange(64, dtype=np.int32)
    found = [np.zeros(64, np.int32) for _ in range(4)]
    emulator.launch(shuffles, 1, 64, x, np.array([3], np.int32), *found)
    assert found[0].tolist() == [3] * 32 + [35] * 32
    assert found[3].tolist() == (x ^ 3).tolist()


# ---- votes and matches


@cuda.jit
def votes(x, everyone, anyone, same, ballot):
    i = cuda.threadIdx.x
    everyone[i] = cuda.all_sync(EVERYBODY, x[i])
    anyone[i] = cuda.any_sync(EVERYBODY, x[i])
    same[i] = cuda.eq_sync(EVERYBODY, x[i])
    ballot[i] = cuda.ballot_sync(EVERYBODY, x[i])


@pytest.mark.parametrize(
    ("bits", "everyone", "anyone", "same"),
    [(0, 0, 0, 1), (EVERYBODY, 1, 1, 1), (0x80000001, 0, 1, 0), (0x7FFFFFFF, 0, 1, 0)],
)
def test_a_vote_counts_every_lane(emulator, bits, everyone, anyone, same):
    x = (bits >> LANES & 1).astype(np.bool_)
    found = [np.zeros(32, np.int64) for _ in range(4)]
    emulator.launch(votes, 1, 32, x, *found)
    assert [set(actual.tolist()) for actual in found[:3]] == [{everyone}, {anyone}, {same}]
    assert {int(actual) & EVERYBODY for actual in found[3]} == {bits}


@cuda.jit
def matches(x, any_of, all_of, equal):
    i = cuda.threadIdx.x
    any_of[i] = cuda.match_any_sync(EVERYBODY, x[i])
    all_of[i], equal[i] = cuda.match_all_sync(EVERYBODY, x[i])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
def test_a_match_names_the_lanes_of_the_same_value(emulator, dtype):
    for x in (LANES % 3, np.full(32, 2**20)):
        any_of, all_of, equal = (np.zeros(32, np.int64) for _ in range(3))
        emulator.launch(matches, 1, 32, x.astype(dtype), any_of, all_of, equal)
        expected = [sum(1 << other for other in range(32) if x[other] == value) for value in x]
        assert (any_of & EVERYBODY).tolist() == expected
        is_one = len(set(x.tolist())) == 1
        assert (all_of & EVERYBODY).tolist() == [EVERYBODY if is_one else 0] * 32
        assert equal.tolist() == [is_one] * 32


@cuda.jit
def block_votes(x, count, both, either):
    i = cuda.threadIdx.x
    count[i] = cuda.syncthreads_count(x[i])
    both[i] = cuda.syncthreads_and(x[i])
    either[i] = cuda.syncthreads_or(x[i])


@pytest.mark.parametrize("number", [0, 1, 69, 70])
def test_a_barrier_that_votes_counts_the_whole_block(emulator, number):
    x = (np.arange(70) < number).astype(np.int32) * 5
    found = [np.zeros(70, np.int32) for _ in range(3)]
    emulator.launch(block_votes, 1, 70, x, *found)
    assert set(found[0].tolist()) == {number}
    assert {bool(value) for value in found[1]} == {number == 70}
    assert {bool(value) for value in found[2]} == {number > 0}


# ---- bits


@cuda.jit
def bits(x, ffs, clz, brev, popc):
    i = cuda.grid(1)
    ffs[i], clz[i], brev[i], popc[i] = cuda.ffs(x[i]), cuda.clz(x[i]), cuda.brev(x[i]), cuda.popc(x[i])


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64])
def test_bits_are_counted_as_python_writes_them(emulator, dtype):
    width = np.dtype(dtype).itemsize * 8
    values = [0, 1, 2, 3, 0x1234, 2 ** (width - 1), 2**width - 1, 2**width - 2, 2 ** (width - 1) + 8]
    x = np.array(values, f"u{width // 8}").view(dtype)
    found = [np.zeros(x.size, f"u{width // 8}") for _ in range(4)]
    emulator.launch(bits, 1, x.size, x, *found)
    written = [f"{value:0{width}b}" for value in values]
    expected = [
        [len(text) - text.rindex("1") if "1" in text else 0 for text in written],
        [len(text) - len(text.lstrip("0")) for text in written],
        [int(text[::-1], 2) for text in written],
        [text.count("1") for text in written],
    ]
    if dtype is np.int64:  # numba-cuda reverses the lower half alone: it takes the first signature, of 32 bits
        expected[2] = [int(text[:31:-1], 2) for text in written]
    assert [actual.tolist() for actual in found] == expected


@cuda.jit
def lanes(lane, below):
    i = cuda.grid(1)
    lane[i], below[i] = cuda.laneid, cuda.lanemask_lt()


def test_a_lane_knows_its_number_and_those_below(emulator):
    lane, below = np.zeros(40, np.int64), np.zeros(40, np.int64)
    emulator.launch(lanes, 1, 40, lane, below)
    assert lane.tolist() == [*range(32), *range(8)]
    assert [int(mask) & EVERYBODY for mask in below] == [2 ** (i % 32) - 1 for i in range(40)]


# ---- numbers


@cuda.jit
def halves(x, y, plus, minus, times, over):
    i = cuda.grid(1)
    plus[i], minus[i], times[i], over[i] = x[i] + y[i], x[i] - y[i], x[i] * y[i], x[i] / y[i]


@pytest.mark.parametrize("dtype", [np.float16, np.complex64])
def test_narrow_numbers_are_rounded_as_numpy_rounds_them(emulator, dtype):
    values = np.random.default_rng(2).integers(1, 50, (2, 2, 64)) / 8
    x, y = (part.astype(dtype) for part in values[0] + (1j * values[1] if dtype is np.complex64 else 0))
    found = [np.zeros(64, dtype) for _ in range(4)]
    emulator.launch(halves, 1, 64, x, y, *found)
    for actual, desired in zip(found, (x + y, x - y, x * y, x / y), strict=True):
        np.testing.assert_allclose(actual, desired, rtol=0 if dtype is np.float16 else 2**-22)


@cuda.jit
def fused(x, y, z, half):
    i = cuda.grid(1)
    y[i] = cuda.fma(x[i], x[i], z[i])
    half[i] = cuda.fp16.hfma(float16(x[i]), float16(2), float16(z[i]))


def test_a_fused_multiply_add_rounds_once(emulator):
    x, z = np.array([1 + 2**-12, 3], np.float32), np.array([-1, 1], np.float32)
    y, half = np.zeros(2, np.float32), np.zeros(2, np.float16)
    emulator.launch(fused, 1, 2, x, y, z, half)
    assert y.tolist() == [2**-11 + 2**-24, 10]  # rounded twice, the first would be 2 ** -11
    assert half.tolist() == [1, 7]


@cuda.jit
def dims(out):
    x, y, z = cuda.grid(3)
    nx, ny, _ = cuda.gridsize(3)
    out[z, y, x] = float32(x + nx * (y + ny * z))


def test_a_grid_of_three_dimensions_covers_every_element_once(emulator):
    out = np.full((4, 6, 10), -1, np.float32)
    emulator.launch(dims, (2, 3, 4), (5, 2, 1), out)
    assert out.ravel().tolist() == list(range(240))
