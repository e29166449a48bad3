"""The model of time: laws that it must keep, and published times of kernels that have one clear limit."""

from dataclasses import replace

import numpy as np
import pytest
from numba import cuda, float32

from convbench.emulator import Counters, InstructionProfile, Profile, profile
from convbench.profiling import chips, model, resident
from convbench.profiling.network import balanced, most_of_groups
from support.products import tiled

TAKEN = resident.Resources(32, 8192)


@cuda.jit
def conflicted(x, y):
    tile = cuda.shared.array((32, 32), float32)
    i, j = cuda.threadIdx.x, cuda.threadIdx.y
    for _ in range(100):
        tile[i, j] = x[j, i]
        cuda.syncthreads()
    y[j, i] = tile[j, i]


@pytest.fixture(scope="module")
def product():
    a = np.zeros((1024, 1024), np.float32)
    return profile(tiled, (32, 32), (32, 32), a, a.copy(), a.copy(), blocks=1)


@pytest.mark.parametrize(("gpu", "gflops"), [("a6000", 2980), ("a100", 5452), ("rtx4090", 6481)])
def test_a_product_by_tiles_takes_about_the_published_time(product, gpu, gflops):
    found = model.predict(product, TAKEN, chips.get(gpu))
    assert found.bound == "shared memory"
    assert 2 * 1024**3 / found.us / 1e3 == pytest.approx(gflops, rel=0.25)
    assert found.caption == f"predicted for {chips.get(gpu).name}, not measured"


@pytest.mark.parametrize("gpu", chips.known())
def test_every_chip_predicts(product, gpu):
    found = model.predict(product, TAKEN, chips.get(gpu))
    assert 0 < found.low_us <= found.us <= found.high_us
    assert found.low_us >= max(found.limits.values()) + model.LAUNCH_US
    assert chips.get(gpu).source


@pytest.mark.parametrize(
    "change", [{"clock_mhz": 900}, {"multiprocessors": 20}, {"dram_gbytes": 1}], ids=lambda change: next(iter(change))
)
def test_a_slower_chip_is_not_faster(product, change):
    chip = chips.get("a100")
    assert model.predict(product, TAKEN, replace(chip, **change)).us > model.predict(product, TAKEN, chip).us


def test_a_conflict_is_named_with_its_line_and_what_it_costs():
    x = np.zeros((32, 32), np.float32)
    found = model.predict(profile(conflicted, 200, (32, 32), x, x.copy(), blocks=2), TAKEN, chips.get("a100"))
    assert found.bound == "shared memory"
    assert "`tile[i, j] = x[j, i]`" in found.sentence
    assert "is a 32-way conflict; without it" in found.sentence


@pytest.mark.parametrize("latency", [0.0, 1.0, 50.0])
@pytest.mark.parametrize("centres", [[5.0], [5.0, 3.0], [4.0, 4.0, 4.0]])
def test_the_bounds_of_a_network(centres, latency):
    work = sum(centres)
    assert balanced(centres, latency, 1) == pytest.approx((work + latency, work + latency))
    before = (np.inf, np.inf)
    for customers in (1, 2, 8, 64, 4096):  # who wait at once, so that the latency is a share of what one would wait
        low, high = balanced(centres, latency / customers, customers)
        assert max(max(centres), (work + latency) / customers) <= low * (1 + 1e-9)
        assert low <= high * (1 + 1e-9)
        assert low <= before[0] * (1 + 1e-9)
        assert high <= before[1] * (1 + 1e-9)
        before = low, high
    assert before == pytest.approx((max(centres), max(centres)), rel=0.01)


def test_a_common_resource_has_the_customers_of_all_networks():
    """It makes a customer wait for others, but serves it faster, so that a network alone has more time or the same."""
    alone = balanced([5.0, 3.0], 2.0, 4)
    for networks in (2, 28, 1000):
        low, high = balanced([5.0], 2.0, 4, [3.0], networks)
        assert max(5.0, 5.0 / 4 + 2) <= low <= alone[0]
        assert low <= high <= alone[1]
    assert balanced([5.0], 2.0, 4, [3.0], 1) == alone


def test_groups_take_longer_than_single_customers_and_less_than_if_their_members_did_nothing_at_once():
    centres, latency = [5.0, 3.0, 2.0], 1.0
    for groups, members in ((1, 16), (3, 16), (8, 4)):
        found = most_of_groups(centres, latency, groups, members)
        assert balanced(centres, latency, groups * members)[1] <= found <= balanced(centres, latency, groups)[1]
    assert most_of_groups(centres, latency, 3, 1) == pytest.approx(balanced(centres, latency, 3)[1])
    assert most_of_groups(centres, latency, 1, 16) == pytest.approx(balanced(centres, latency, 16)[1])
    assert most_of_groups([], 3.0, 8, 2) == 3.0


def test_a_network_without_work_takes_its_latency():
    assert balanced([], 3.0, 8) == (3.0, 3.0)


@cuda.jit
def counted_in_bins(x, bins):
    cuda.atomic.add(bins, x[cuda.grid(1)], 1)


@pytest.mark.parametrize(("bins", "of_one"), [(1, 1.0), (4096, 1 / 4096)])
def test_atomics_to_one_address_are_done_one_after_another(bins, of_one):
    x = np.arange(1 << 20, dtype=np.int32) % bins
    found = model.predict(
        profile(counted_in_bins, 4096, 256, x, np.zeros(bins, np.int32), blocks=8), TAKEN, chips.get("rtx3070ti")
    )
    assert found.limits["atomics"] == pytest.approx(of_one * x.size / 1800)
    assert (found.bound == "atomics") == (bins == 1)
    assert ("Bound by atomics to the same addresses" in found.sentence) == (bins == 1)


@cuda.jit
def barriers(x, times):
    for _ in range(times):
        cuda.syncthreads()
    x[cuda.grid(1)] = 1


def test_barriers_take_the_time_of_their_warps():
    x = np.zeros(4800 * 512, np.float32)
    found = model.predict(profile(barriers, 4800, 512, x, 40, blocks=2), TAKEN, chips.get("rtx3070ti"))
    assert found.limits["barriers"] == pytest.approx(100 * 40 * 16 / 0.475 / 1800)
    assert found.us > found.limits["barriers"]


def test_what_the_cache_still_has_to_write_takes_time(product):
    chip = chips.get("gtx1650")
    slow = replace(chip, dram_gbytes=1)
    clean, dirty = (model.predict(product, TAKEN, slow, dirty_bytes=size) for size in (0, chip.l2_kib * 1024))
    assert dirty.limits["DRAM"] - clean.limits["DRAM"] == pytest.approx((1 << 20) / 0.92 / 1e3)
    assert dirty.us > clean.us


def access(opcode, width, **counters):
    made = Counters(instructions=100, lanes=3200, **counters)
    return InstructionProfile(f"{opcode};", opcode, "", 0, "memory", 1, "x", width, False, made)


@pytest.mark.parametrize(("gpu", "clocks"), [("t4", 2), ("rtx3060", 1), ("h200", 1)])
def test_shared_memory_of_turing_has_half_the_bandwidth(gpu, clocks):
    """64 bytes a clock, and 128 since (white paper of GA102)."""
    chip = chips.get(gpu)
    wide = access("ld.shared.v4.f32", 16, shared_requests=100, wavefronts=400)
    conflicted = access("ld.shared.f32", 4, shared_requests=100, wavefronts=3200)
    for made in (wide, conflicted):
        limits = model.predict(Profile("f", (1, 1, 1), (32, 1, 1), 0, 1, [made]), TAKEN, chip).limits
        assert limits["shared memory"] * chip.clock_mhz == pytest.approx(clocks * made.counters.wavefronts)
    cached = access("ld.global.v4.f32", 16, global_requests=100, sectors=1600, l1_hits=1600, tag_passes=100)
    limits = model.predict(Profile("f", (1, 1, 1), (32, 1, 1), 0, 1, [cached]), TAKEN, chip).limits
    assert limits["load and store"] * chip.clock_mhz == pytest.approx(clocks * 400)


def test_a_block_takes_as_long_as_its_slowest_warps():
    x = np.zeros(4800 * 512, np.float32)
    chip, found = chips.get("rtx3070ti"), profile(barriers, 4800, 512, x, 40, blocks=2)
    even, uneven = (model.predict(replace(found, slowest=times), TAKEN, chip) for times in (1, 3))
    assert even.limits["latency"] < uneven.limits["latency"] < 4 * even.limits["latency"]
    assert uneven.us > even.us


@pytest.mark.parametrize(
    ("sums", "others", "products", "alu", "imad"),
    [(100, 0, 0, 50, 50), (100, 40, 0, 70, 70), (10, 90, 0, 90, 10), (100, 0, 100, 100, 100), (0, 80, 10, 80, 10)],
)
def test_sums_of_integers_go_where_there_is_room(sums, others, products, alu, imad):
    given = [("add.s32", "alu", sums), ("setp.lt.s32", "alu", others), ("mad.lo.s32", "imad", products)]
    instructions = [
        InstructionProfile(f"{name};", name, "", 0, pipe, 1, "", 0, False, Counters(instructions=n, lanes=32 * n))
        for name, pipe, n in given
    ]
    limits = model.predict(Profile("f", (1, 1, 1), (32, 1, 1), 0, 1, instructions), TAKEN, chips.get("a100")).limits
    assert (limits["alu"], limits["imad"]) == pytest.approx((alu / 2 / 1410, imad / 2 / 1410))  # 64 lanes in a clock
    assert limits["fma"] == limits["imad"]  # it is the same unit


@pytest.mark.parametrize(
    ("opcode", "gpu", "products"),
    [
        ("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "a100", 16 * 8 * 16 / 1024),
        ("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "a100", 2 * 16 * 8 * 8 / 1024),
        ("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", "a100", 16 * 8 * 32 / 1024 / 2),
        ("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64", "a100", 8 * 8 * 4 / 32),
        ("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "h200", 16 * 8 * 16 / 2048 / 0.629),
        ("wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32", "t4", 16**3 / 512),
        ("wmma.mma.sync.aligned.row.col.m16n16k8.f32.tf32.tf32.f32", "a100", 2 * 16 * 16 * 8 / 1024),
        ("wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16", "h200", 64 * 128 * 16 / 2048 / 4),
        ("fma.rn.f32", "a100", 0),
    ],
)
def test_products_occupy_the_tensor_cores(opcode, gpu, products):
    times = InstructionProfile(f"{opcode} x;", opcode, "", 0, "tensor", 1, "", 0, False, Counters(instructions=1))
    chip = chips.get(gpu)
    found = model.predict(Profile("f", (1, 1, 1), (32, 1, 1), 0, 1, [times]), TAKEN, chip)
    assert found.limits["tensor"] * chip.clock_mhz == pytest.approx(products)


@pytest.mark.parametrize(("gpu", "issued"), [("b200", 1), ("b300", 1), ("thor", 2), ("rtx5090", 2)])
def test_a_pair_of_products_is_issued_once_where_there_is_an_instruction_for_it(gpu, issued):
    """It occupies the multipliers for as long as two products everywhere."""

    def limits(opcode, times):
        counters = Counters(instructions=times, lanes=32 * times)
        made = InstructionProfile(f"{opcode};", opcode, "", 0, "fma", 1, "", 0, False, counters)
        return model.predict(Profile("f", (1, 1, 1), (32, 1, 1), 0, 1, [made]), TAKEN, chips.get(gpu)).limits

    single, pair = limits("fma.rn.f32", 64), limits("fma.rn.f32x2", 32)
    assert pair["fma"] == single["fma"] > 0
    assert pair["issue"] == pytest.approx(single["issue"] * issued / 2)
