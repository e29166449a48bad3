"""Convolution by warpgroups: correct in every precision and direction, and refused on GPUs without the instructions."""

import numpy as np
import pytest

from algorithms.tensor_cores.warpgroup_gemm import WarpgroupConfig
from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError
from convbench.inspection import architecture, blueprint, inspector, sass
from convbench.inspection.toolkit import disassemble
from convbench.measurement import Case
from convbench.problem.notation import parse
from convbench.reference import compute
from support.devices import emulator_of
from support.running import assert_passes, assert_within, run_direction
from support.strategies import in_own_dtype

NAMES = TF32, SPLIT, F16, BF16 = (
    "implicit_gemm_tf32", "implicit_gemm_3xtf32", "implicit_gemm_f16", "implicit_gemm_bf16",
)  # fmt: skip
LARGE = "n32c128h28w28-k128r3s3-pad1"
emulator, checked = EmulatorDevice(), EmulatorDevice(checked=True)
SMALL = WarpgroupConfig(tile_m=64, tile_o=64, stages=2)


def problem_for(name, text):
    return in_own_dtype(parse(text), registry.get(name))


@pytest.mark.parametrize(
    ("name", "text", "direction"),
    [
        (TF32, "n2c5h9w7-k70r3s3-pad1-bias", "forward"),  # filters of two tiles; fewer channels than 16 bytes hold
        (SPLIT, "n2c5h9w7-k70r3s3-pad1-bias", "forward"),
        (TF32, "n1c33h6w5-k3r1s1", "forward"),  # a second step of which one word is not zero
        (SPLIT, "n1c33h6w5-k3r1s1", "forward"),
        (SPLIT, "n1c12h11w8-k10r3s2-g2-stride2-dil2", "forward"),
        (TF32, "n2c6h8w8-k8r3s3-pad1-stride2", "backward_data"),
        (F16, "n2c5h9w7-k70r3s3-pad1-bias", "forward"),
        (F16, "n1c6h8w8-k12r3s3-pad1-g2-stride2", "backward_data"),
        (BF16, "n1c65h6w5-k3r1s1", "forward"),  # a second step of which half a word is not zero
        (BF16, "n2c6h7w8-k8r3s2-dil2", "backward_data"),
    ],
)
def test_edges_of_every_kind_are_right(name, text, direction):
    assert_passes(registry.get(name), Case(problem_for(name, text), 1, direction), emulator, config=SMALL)


@pytest.mark.parametrize("name", [SPLIT, F16])
def test_nothing_is_read_too_early_or_overwritten_too_soon(name):
    """Under all checks, in every order of threads."""
    config = WarpgroupConfig(tile_m=64, tile_o=64, stages=3, is_specialised=True)
    case = Case(problem_for(name, "n1c40h4w4-k6r2s2"), 1, "forward")
    assert_passes(registry.get(name), case, checked, config=config)


def test_two_warpgroups_share_the_filters():
    config, problem = WarpgroupConfig(tile_m=128, tile_o=128, stages=3), parse("n1c9h12w12-k130r3s3-pad1-bias")
    assert_passes(registry.get(TF32), Case(problem, 1, "forward"), emulator, config=config)


@pytest.mark.parametrize("name", NAMES)
def test_the_simulator_runs_it_too(name):
    case = Case(problem_for(name, "n1c3h2w3-k3r1s1-bias"), 1, "forward")
    assert_passes(registry.get(name), case, SimulatorDevice(), config=SMALL)


def test_the_split_sum_is_as_good_as_float32_where_sums_are_long():
    """As with warps, the sums of the steps are added in float32."""
    problem = parse("n1c512h3w3-k2r3s3")
    t = {"x": np.full(problem.x_shape, 1 / 3, np.float32), "w": np.full(problem.w_shape, 1 / 7, np.float32)}
    expected = compute(problem, "forward", t)["y"]
    actual = run_direction(registry.get(SPLIT), problem, "forward", emulator, t, config=SMALL)["y"]
    assert_within(actual=actual, expected=expected, bound=2.0**-24 * 30 * np.abs(expected))


@pytest.mark.parametrize("capability", [(8, 0), (8, 9), (10, 0), (12, 0)])
def test_only_compute_capability_9_takes_the_config(capability):
    other = emulator_of(capability)
    for name in NAMES:
        with pytest.raises(ConfigError, match=r"wgmma is for compute capability 9\.0 alone; device emulator has"):
            registry.get(name).plan(problem_for(name, LARGE), other, config=SMALL)


def test_tuning_may_try_it_and_nobody_gets_it_unasked():
    for name in NAMES:
        algorithm, large = registry.get(name), problem_for(name, LARGE)
        for direction in ("forward", "backward_data"):
            offered = [one for one in algorithm.space_for(large, direction) if isinstance(one, WarpgroupConfig)]
            assert len(set(offered)) == len(offered) > 3
            assert not any(isinstance(one, WarpgroupConfig) for one in algorithm.configs(large, direction))
            for config in offered:
                assert config.blocks * (config.shared_bytes(algorithm.kind) + 1024) <= 228 * 1024
    with pytest.raises(ConfigError, match="is no config of implicit_gemm"):
        registry.get("implicit_gemm").resolved(parse(LARGE), "forward", SMALL)


@pytest.mark.parametrize("name", NAMES)
def test_a_survey_of_hopper_tries_one_beside_the_default(name):
    algorithm, large = registry.get(name), problem_for(name, LARGE + "-NHWC")
    hopper = emulator_of((9, 0))
    (rival,) = algorithm.rivals_on(large, "forward", hopper)
    assert rival in algorithm.space_for(large, "forward")
    assert type(algorithm.resolved(large, "forward", None, hopper)) is not type(rival)
    assert algorithm.rivals_on(large, "forward", emulator_of((10, 0))) == ()
    assert algorithm.rivals_on(large, "forward", SimulatorDevice()) == ()
    assert algorithm.rivals_on(problem_for(name, "n1c8h9w9-k8r3s3"), "forward", hopper) == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"tile_m": 32}, {"tile_o": 96}, {"tile_o": 0}, {"tile_o": 1024}, {"tile_m": 64, "tile_o": 640},
        {"stages": 1}, {"blocks": 0},
    ],
    ids=str,
)  # fmt: skip
def test_a_config_that_cannot_be_is_refused(fields):
    with pytest.raises(ConfigError):
        WarpgroupConfig(**fields)


@pytest.mark.parametrize(
    ("name", "products", "shape"),
    [(TF32, 4, "64x128x8"), (SPLIT, 12, "64x128x8"), (F16, 4, "64x128x16"), (BF16, 4, "64x128x16")],
)
def test_a_gpu_gets_the_instructions_and_spills_nothing(name, products, shape):
    config = WarpgroupConfig(tile_m=128, tile_o=128, stages=3, is_specialised=True)
    hopper = architecture.get("sm_90")
    launches = blueprint.launches_of(registry.get(name), problem_for(name, LARGE), "forward", hopper, config)
    (launch,) = [one for one in launches if one.name == "warpgroup_gemm"]
    made = inspector.machine_code(launch, hopper)
    code = sass.read(disassemble(made.cubin), made.entry)
    assert sum(each.opcode.startswith(f"HGMMA.{shape}.") for each in code.instructions) == products
    assert not made.resources.spill_bytes
    assert not made.resources.warnings  # the assembler warns if it serialises the products
