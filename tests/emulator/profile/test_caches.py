"""The caches of a profile: hits and bytes of the memory, worked out by hand, and against another cache."""

from collections import OrderedDict

import numpy as np
import pytest
from numba import cuda

from convbench.emulator import LaunchError, profile
from convbench.emulator.counting.caches import L2_FIELDS, empty, flush, look_up_l2
from convbench.profiling import chips, model

N = 1 << 14  # floats, which are 2,048 sectors
KIB = 1024


@cuda.jit
def add(a, b, c):
    i = cuda.grid(1)
    c[i] = a[i] + b[i]


@cuda.jit
def again(a, c):
    i = cuda.grid(1)
    c[i] = a[i % a.size]


@cuda.jit
def by_columns(a, c):
    column, row = cuda.grid(2)  # a block writes two words of each sector
    c[row, column] = 1


@cuda.jit
def counts(a, c):
    cuda.atomic.add(c, cuda.threadIdx.x, 1)


def floats(*shape):
    return np.zeros(shape or N, np.float32)


@pytest.mark.parametrize("l2_bytes", [32 * KIB, 256 * KIB])
def test_what_is_used_once_is_moved_once(l2_bytes):
    found = profile(add, N // 256, 256, floats(), floats(), floats(), blocks="all", l2_bytes=l2_bytes)
    by = found.by_array
    assert [(by[name].dram_reads, by[name].dram_writes) for name in "abc"] == [(2048, 0), (2048, 0), (0, 2048)]
    assert (found.l1_hit_rate, found.l2_hit_rate) == (0, 0)
    assert found.total.dram_bytes == 3 * 4 * N


@pytest.mark.parametrize(("l2_bytes", "reads"), [(256 * KIB, 2048), (32 * KIB, 4096)])
def test_a_second_pass_finds_what_fits(l2_bytes, reads):
    found = profile(again, 2 * N // 256, 256, floats(), floats(2 * N), blocks="all", l2_bytes=l2_bytes)
    assert found.total.dram_reads == reads
    assert found.total.l2_hits == 4096 - reads
    assert found.l2_hit_rate == (4096 - reads) / (3 * 2048 + 2048)
    assert found.total.dram_writes == 4096


@pytest.mark.parametrize(("l2_bytes", "writes"), [(1024 * KIB, 1), (4 * KIB, 4)])
def test_parts_of_a_sector_are_written_together_if_they_stay_long_enough(l2_bytes, writes):
    """Blocks of a row follow one another; those of the same sector do if the row of blocks is short."""
    c = floats(512, 512)
    found = profile(by_columns, (256, 4), (2, 128), floats(), c, blocks="all", l2_bytes=l2_bytes)
    assert found.total.dram_reads == 0
    assert found.total.dram_writes == pytest.approx(writes * c.nbytes / 32, rel=0.01)


def test_atomics_read_and_write():
    c = np.zeros(32, np.int32)
    found = profile(counts, 10, 32, floats(), c, blocks="all", l2_bytes=64 * KIB)
    assert (found.total.dram_reads, found.total.dram_writes, found.total.l2_hits) == (4, 4, 9 * 4)


@pytest.mark.parametrize("seed", range(3))
def test_a_cache_of_one_set_is_a_list_by_last_use(seed):
    generator = np.random.default_rng(seed)
    cache = empty(2 * 2048, L2_FIELDS)  # the clock, and a set of 16 lines
    written = np.zeros(2, np.int64)
    lines: OrderedDict[int, dict[int, bool]] = OrderedDict()  # sectors, and whether they are dirty
    hits = reads = writes = 0
    found = np.zeros(2, np.int64)
    for _ in range(2000):
        sector, is_store = int(generator.integers(100)), int(generator.integers(2))
        found += look_up_l2(cache, np.array([1, sector]), is_store, 0, 1, written)
        line = lines.pop(sector // 4, {})
        hits += sector in line
        reads += sector not in line and not is_store
        line[sector] = line.get(sector, False) or bool(is_store)
        lines[sector // 4] = line
        if len(lines) > 16:
            writes += sum(lines.popitem(last=False)[1].values())
    flush(cache, written)
    writes += sum(sum(line.values()) for line in lines.values())
    assert (*found, *written) == (hits, reads, 0, writes)


def test_a_time_takes_the_bytes_that_were_simulated():
    arguments = add, N // 256, 256, floats(), floats(), floats()
    for found in (profile(*arguments, blocks="all", l2_bytes=64 * KIB), profile(*arguments, blocks="all")):
        limits = model.predict(found, model.Resources(16, 0), chips.get("a100")).limits
        assert limits["DRAM"] == pytest.approx(3 * 4 * N / (0.92 * 1555e3))
    tiny = profile(again, 2 * N // 256, 256, floats(), floats(2 * N), blocks="all", l2_bytes=32 * KIB)
    limits = model.predict(tiny, model.Resources(16, 0), chips.get("a100")).limits
    assert limits["DRAM"] == pytest.approx(4 * 4 * N / (0.92 * 1555e3))  # the estimate would be three quarters


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l2_bytes": 64 * KIB}, "for all blocks, not for 32: pass blocks='all' or no l2_bytes"),
        ({"l2_bytes": -1, "blocks": "all"}, "no negative size: -1 bytes"),
    ],
)
def test_a_cache_that_cannot_be_simulated(options, message):
    with pytest.raises(LaunchError, match=message):
        profile(add, N // 256, 256, floats(), floats(), floats(), **options)
