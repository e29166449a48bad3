"""Occupancy and the predicted bound follow from an architecture's limits: tables, and laws of the model."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.machine_code import code_of
from convbench.algorithm import registry
from convbench.errors import UnknownNameError
from convbench.inspection import architecture, chip
from convbench.inspection.blueprint import launches_of
from convbench.inspection.bound import Pass, bound, pass_of
from convbench.inspection.inspector import grouped
from convbench.inspection.mix import Mix
from convbench.inspection.occupancy import occupancy
from convbench.inspection.work import products
from convbench.problem import roofline
from convbench.problem.notation import parse

HOPPER = architecture.get("sm_90")
H200, A100 = chip.of(HOPPER), chip.of(architecture.get("sm_80"))


# by NVIDIA's own calculator, cuda_occupancy.h of CUDA 13.5, with the largest carve-out of shared memory
@pytest.mark.parametrize(("name", "threads", "registers", "shared_bytes", "blocks"), [
    ("sm_90", 256, 128, 16384, 2), ("sm_90", 256, 255, 49152, 1), ("sm_90", 128, 203, 32768, 2),
    ("sm_90", 128, 216, 0, 2), ("sm_90", 32, 16, 0, 32), ("sm_90", 1024, 64, 0, 1), ("sm_90", 1000, 72, 0, 0),
    ("sm_90", 64, 32, 20000, 11), ("sm_90", 96, 40, 1000, 16), ("sm_80", 256, 48, 32768, 4),
    ("sm_80", 64, 24, 4096, 32), ("sm_75", 128, 56, 8192, 8), ("sm_75", 96, 33, 128, 10), ("sm_86", 128, 40, 0, 12),
    ("sm_86", 32, 24, 1024, 16), ("sm_89", 192, 80, 20000, 4), ("sm_100", 288, 56, 127, 4), ("sm_120", 32, 24, 0, 24),
    ("sm_75", 288, 56, 127, 3),
])  # fmt: skip
def test_as_many_blocks_are_resident_as_nvidias_calculator_says(name, threads, registers, shared_bytes, blocks):
    held = occupancy(architecture.get(name), threads=threads, registers=registers, shared_bytes=shared_bytes)
    assert held.blocks == blocks


def test_what_limits_the_blocks_is_named():
    assert occupancy(HOPPER, threads=128, registers=203, shared_bytes=32768).limited_by == ("registers",)
    assert occupancy(HOPPER, threads=128, registers=32, shared_bytes=113 * 1024).limited_by == ("shared memory",)
    assert occupancy(HOPPER, threads=32, registers=16, shared_bytes=0).limited_by == ("blocks",)
    assert occupancy(HOPPER, threads=1024, registers=32, shared_bytes=0).limited_by == ("warps", "registers")


BLOCKS = {
    "name": st.sampled_from(list(architecture.KNOWN)),
    "threads": st.integers(1, 1024),
    "registers": st.integers(1, 255),
    "shared_bytes": st.integers(0, 227 * 1024),
}


@given(**BLOCKS)
def test_what_is_resident_fits_and_one_more_does_not(name, threads, registers, shared_bytes):
    known = architecture.get(name)
    held = occupancy(known, threads=threads, registers=registers, shared_bytes=shared_bytes)
    assert held.blocks == min(held.limits.values())
    assert held.warps == held.blocks * -(-threads // 32) <= known.max_warps
    assert held.warps * 32 * registers <= 64 * 1024
    assert held.blocks * (shared_bytes + known.reserved_shared_bytes) <= known.shared_bytes
    assert (held.blocks > 0) or held.limited_by
    assert 0 <= held.share <= 1


@given(**BLOCKS, more=st.integers(1, 64))
def test_who_takes_more_has_no_more_blocks(name, threads, registers, shared_bytes, more):
    known = architecture.get(name)

    def blocks(**other: int) -> int:
        given_ = {"threads": threads, "registers": registers, "shared_bytes": shared_bytes, **other}
        return occupancy(known, **given_).blocks

    assert blocks(threads=threads + more) <= blocks()
    assert blocks(registers=registers + more) <= blocks()
    assert blocks(shared_bytes=shared_bytes + 64 * more) <= blocks()


def test_architectures_are_found_by_name_with_and_without_the_suffix():
    assert architecture.get("sm_90a") is architecture.get("sm_90")
    for name in ("sm_70", "90", "sm_9", "", "sm_90aa"):
        with pytest.raises(UnknownNameError, match="there are sm_75, sm_80"):
            architecture.get(name)


def test_every_chip_reaches_its_data_sheet_at_a_clock_that_chips_have():
    for known in architecture.KNOWN.values():
        one = chip.of(known)
        assert 1.3 < one.clock_ghz < 2.6
        peak = 2 * one.rates["float32"] * one.multiprocessors * one.clock_ghz / 1e3
        assert peak == pytest.approx(one.ceilings.tflops)
    assert H200.ceilings in roofline.KNOWN


# ---- the hot loop

LOAD = "LDS.128 R4, [R8]"
FFMA = "FFMA R0, R1, R2, R0"


def loop(ffma: int, loads: int, others: int = 0, on=H200) -> Pass:
    return pass_of(Mix(code_of(*[FFMA] * ffma, *[LOAD] * loads, *["IADD3 R1, R1, 0x1, RZ"] * others).instructions), on)


def test_sixteen_ffma_for_a_wide_load_are_the_line_on_an_h200():
    """128 FFMA and 128 bytes in a clock: a load of 512 bytes takes as long as 16 FFMA of 32 lanes."""
    assert loop(16, 1).cycles["shared memory"] == loop(16, 1).cycles["float32 units"] == 4
    assert loop(14 * 8, 8).bound == "shared memory"
    assert loop(17 * 8, 8).bound == "FFMA issue"


def test_an_a100_has_half_the_units_for_as_many_schedulers():
    assert loop(64, 1, on=A100).cycles["float32 units"] == 2 * loop(64, 1).cycles["float32 units"]
    assert loop(64, 1, 20, on=A100).bound == "float32 units"
    assert loop(64, 1, 20).bound == "FFMA issue"


@given(ffma=st.integers(1, 60), loads=st.integers(0, 8), others=st.integers(0, 60))
def test_a_pass_has_no_more_than_its_share_of_the_peak(ffma, loads, others):
    """Where issue is the limit, the share of the peak is that of FFMA in the instructions."""
    once = loop(ffma, loads, others)
    of_peak = once.products / once.most_cycles / H200.rates["float32"]
    assert of_peak <= ffma / (ffma + loads + others) + 1e-12  # rounding of one division
    if once.bound in ("issue", "FFMA issue"):
        assert of_peak == pytest.approx(ffma / (ffma + loads + others))


def test_tensor_cores_are_a_limit_of_their_own():
    """TF32 on an H200: 1024 multiply-adds in a clock, so HMMA.1688 of 16 × 8 × 8 takes one."""
    mix = Mix(code_of(*["HMMA.1688.F32.TF32 R0, R4, R8, R0"] * 8, FFMA).instructions)
    assert pass_of(mix, H200).cycles == {
        "issue": 9 / 4,
        "tf32 tensor cores": 8,
        "float32 units": 0.25,
        "shared memory": 0,
    }
    assert pass_of(mix, H200).bound == "tf32 tensor cores"


# ---- launches


def times(**other):
    asked = {
        "blocks": [H200.multiprocessors], "warps": 8, "has_loop": True, "products": 1e9, "memory_bytes": 0, **other,
    }  # fmt: skip
    return bound(loop(90, 2, 8), H200, **asked)


def test_a_launch_takes_its_products_at_the_rate_of_its_hot_loop():
    """10⁹ products at 90 % of 132 · 128 a clock, at the clock of 66.9 TFLOP/s."""
    assert times().compute_us == pytest.approx(1e9 / (0.9 * 66.9e12 / 2) * 1e6)
    assert times().name == "FFMA issue"
    assert times().least_us == times().compute_us


@given(blocks=st.integers(1, 2000))
def test_the_busiest_multiprocessor_ends_last(blocks):
    """One block more than multiprocessors takes twice as long as one for each, with half the work in each block."""
    least = times(blocks=[blocks]).compute_us
    waves = -(-blocks // H200.multiprocessors)
    assert least == pytest.approx(times().compute_us * waves * H200.multiprocessors / blocks)
    assert least >= times().compute_us * (1 - 1e-12)  # rounding


def test_every_byte_passes_once():
    held = times(memory_bytes=4_800_000_000)
    assert (held.memory_us, held.name, held.least_us) == (pytest.approx(1000), "DRAM", pytest.approx(1000))


def test_what_is_not_known_is_said():
    held = times(products=None)
    assert (held.compute_us, held.name, held.least_us) == (None, "DRAM, or FFMA issue", 0)


def test_a_kernel_without_a_loop_is_passed_once_by_each_warp():
    held = times(products=None, has_loop=False, blocks=[2 * H200.multiprocessors], warps=4)
    assert held.compute_us == pytest.approx(2 * 4 * 25 / H200.clock_ghz / 1e3)  # 100 instructions, 4 schedulers


# ---- products


def products_of(name: str, text: str, direction: str = "forward") -> dict[str, float | None]:
    """By stage and phase."""
    algorithm, problem = registry.get(name), parse(text)
    config = algorithm.resolved(problem, direction)
    groups = grouped(launches_of(algorithm, problem, direction, HOPPER))
    made = products(algorithm, problem, direction, config, groups)
    return {f"{group[0].stage} {group[0].phase}": each for group, each in zip(groups, made, strict=True)}


LAYER = "n2c8h11w9-k6r3s3-pad1x0-g2"  # 11 × 7 outputs


@pytest.mark.parametrize("direction", ["forward", "backward_data"])
def test_a_direct_method_makes_every_product(direction):
    made = products_of("direct", LAYER, direction)
    assert made.pop("run multiply") == parse(LAYER).macs
    assert set(made.values()) <= {None}


def test_matrix_products_are_counted_by_their_shapes():
    assert products_of("im2col_gemm", LAYER) == {"run pack": None, "run multiply": parse(LAYER).macs}


@pytest.mark.parametrize(("direction", "tiles"), [("forward", 6 * 4), ("backward_data", 6 * 5)])
def test_winograds_products_are_those_between_its_tiles(direction, tiles):
    """16 products of a tile of 2 × 2 outputs, for every image, filter, and channel of its group."""
    made = products_of("winograd_2x2_3x3", LAYER, direction)
    assert made["run multiply"] == 2 * tiles * 16 * 6 * 4
    assert made["run transform"] is None


def test_three_products_stand_for_one_of_split_factors():
    text = "n1c64h14w14-k64r3s3-pad1"
    assert products_of("implicit_gemm_3xtf32", text)["run multiply"] == 3 * parse(text).macs


def test_the_products_of_an_fft_are_complex_and_of_half_the_frequencies():
    """One tile: 14 × 14 outputs of a transform of 16 × 16."""
    algorithm, problem = registry.get("fft_tiled"), parse("n1c4h14w14-k5r3s3-pad1")
    groups = grouped(launches_of(algorithm, problem, "forward", HOPPER))
    config = SimpleNamespace(length=16)
    made = products(algorithm, problem, "forward", config, groups)
    (multiplied,) = [each for group, each in zip(groups, made, strict=True) if group[0].phase == "multiply"]
    assert multiplied in (4 * 5 * 4 * 16 * 8, 4 * 5 * 4 * 16 * 9)  # the last column, too, where shapes tell


def test_nothing_is_guessed_of_a_gradient_by_the_weights():
    problem = parse("n1c4h14w14-k5r3s3-pad1")
    multiply = SimpleNamespace(stage="run", phase="multiply", arrays=())
    for name in ("winograd_2x2_3x3", "fft_tiled"):
        assert products(registry.get(name), problem, "backward_weights", None, [[multiply]]) == [None]


@pytest.mark.parametrize(
    ("name", "blocks"), [("sm_90", {2: 32, 4: 16, 16: 4}), ("sm_120", {2: 12, 4: 6, 16: 1}), ("sm_86", {2: 16, 16: 16})]
)
def test_named_barriers_limit_resident_blocks(name, blocks):
    # cuda_occupancy.h of CUDA 13.5, for blocks of 32 threads
    for barriers, count in blocks.items():
        found = occupancy(architecture.get(name), threads=32, registers=16, shared_bytes=0, barriers=barriers)
        assert found.blocks == count


@pytest.mark.parametrize("name", architecture.KNOWN)
def test_every_architecture_has_a_chip_and_suffixes(name):
    assert architecture.get(f"{name}a") == architecture.get(f"{name}f") == architecture.get(name)
    assert chip.of(architecture.get(name)).rates["float32"] in (64, 128)
