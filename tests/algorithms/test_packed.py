"""Packed multiply-adds: the same bits as without, one FFMA2 for two FFMA, only on GPUs that have the instruction."""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.fft.stages_config import StagesConfig
from algorithms.gemm import Tile, launch_batched_gemm
from algorithms.gemm.tiled_config import TiledConfig
from algorithms.winograd.fused_plan import FusedConfig
from algorithms.winograd.staged import staged
from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError
from convbench.inspection import architecture, inspector, sass, toolkit
from convbench.inspection.blueprint import Blueprint
from convbench.inspection.mix import Mix
from convbench.problem.notation import parse
from convbench.reference import compute
from convbench.reference.data import tensors
from support.devices import emulator_of
from support.running import run_direction

SMALL, LARGE = "n1c9h5w7-k34r3s3-pad1-bias", "n4c64h56w56-k64r3s3-pad1"
TILED, FFT = TiledConfig(), StagesConfig(gemm=Tile(), most_tiles=32)
# a config without packed multiply-adds by algorithm
CONFIGS = (
    ("implicit_gemm", TILED), ("winograd_4x4_3x3", staged(Tile())), ("fft_tiled", FFT),
    ("winograd_2x2_3x3", FusedConfig()),
)  # fmt: skip
# of a thread in the hot loop of a kernel: products, and the most moves, as many as without packing
PRODUCTS = {"implicit_gemm_tiled": 8 * 4 * 4, "batched_gemm": 8 * 4 * 4, "winograd_fused": 2 * 8 * 8 * 8}
MOVES = {"implicit_gemm_tiled": 4, "batched_gemm": 0, "winograd_fused": 13}


def device_of(code: str) -> EmulatorDevice:
    """An emulator of a GPU that has the instruction."""
    return EmulatorDevice(code=code, compute_capability=(10, 0))


@pytest.mark.parametrize(
    ("name", "text", "config", "code"),
    [
        ("implicit_gemm", SMALL, TILED, "ptx"),
        ("implicit_gemm", SMALL, TILED, "llvm"),
        ("winograd_2x2_3x3", SMALL, FusedConfig(), "ptx"),
    ],
)
def test_packed_multiply_adds_give_the_same_bits(name, text, config, code):
    problem, algorithm, device = parse(text), registry.get(name), device_of(code)
    t = tensors(problem, "forward", 1, "normal")
    plain, packed = (
        run_direction(algorithm, problem, "forward", device, t, one)["y"]
        for one in (config, replace(config, is_packed=True))
    )
    assert plain.tobytes() == packed.tobytes()


@pytest.mark.parametrize("code", ["ptx", "llvm"])
@pytest.mark.parametrize("is_complex", [False, True])
def test_packed_batched_products_have_the_same_bits(is_complex, code):
    device, tile, rng = device_of(code), Tile(), np.random.default_rng(1)
    u, v = (device.upload(rng.standard_normal((2, 11, extent)).astype(np.float32)) for extent in (32, 64))
    plain, packed = (device.upload(np.full((2, 32 >> is_complex, 64), np.nan, np.float32)) for _ in range(2))
    for m, is_packed in ((plain, False), (packed, True)):
        launch_batched_gemm(device, u, v, m, tile=tile, is_complex=is_complex, is_packed=is_packed)
    assert np.isfinite(plain).all()
    assert plain.tobytes() == packed.tobytes()


@pytest.mark.parametrize(("name", "config"), [("implicit_gemm", TILED), ("winograd_2x2_3x3", FusedConfig())])
def test_the_simulator_runs_it_too(name, config):
    problem = parse("n1c2h4w4-k2r3s3-pad1-bias")
    t = tensors(problem, "forward", 1, "integers")
    y = run_direction(
        registry.get(name), problem, "forward", SimulatorDevice(), t, replace(config, is_packed=True)
    )["y"]  # fmt: skip
    np.testing.assert_array_equal(y, compute(problem, "forward", t)["y"])


@pytest.mark.parametrize("is_complex", [False, True])
def test_the_simulator_runs_batched_products_too(is_complex):
    device, kind, rng = SimulatorDevice(), np.complex64 if is_complex else np.float32, np.random.default_rng(1)
    u, v = (rng.integers(-3, 4, (1, 3, 32)).astype(np.float32) for _ in range(2))
    m = device.upload(np.full((1, 32 >> is_complex, 32), np.nan, np.float32))
    launch_batched_gemm(
        device, device.upload(u), device.upload(v), m, tile=Tile(), is_complex=is_complex, is_packed=True
    )  # fmt: skip
    np.testing.assert_array_equal(m.view(kind), np.einsum("bli,blj->bij", u.view(kind), v.view(kind)))


@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (11, 0), (12, 0), (12, 1)])
@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_a_gpu_without_the_instruction_refuses_the_config_and_has_another_default(name, config, capability):
    algorithm, problem, other = registry.get(name), parse(SMALL), emulator_of(capability)
    words = r"packed multiply-adds are for compute capabilities 10\.0 and 10\.3 alone; device emulator has {}\.{}"
    with pytest.raises(ConfigError, match=words.format(*capability)):
        algorithm.plan(problem, other, config=replace(config, is_packed=True))
    assert not algorithm.plan(problem, other).config.is_packed


@pytest.mark.parametrize("arch", ["sm_100", "sm_103"])
@pytest.mark.parametrize("text", [SMALL, LARGE, "n4c64h56w56-k64r1s1"])
@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_a_gpu_with_the_instruction_has_it_by_default_and_a_search_may_try_both(name, config, text, arch):
    algorithm, problem = registry.get(name), parse(text)
    if algorithm.refuses(problem) or (name, text) == ("fft_tiled", SMALL):
        return  # small products of the FFT are not in registers
    default = algorithm.plan(problem, Blueprint(architecture.get(arch))).config
    space = algorithm.space_for(problem, "forward")
    assert default.is_packed
    assert default in space
    assert replace(default, is_packed=False) in space
    assert not algorithm.resolved(problem, "forward").is_packed
    assert not algorithm.resolved(problem, "forward", None, SimulatorDevice()).is_packed


@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_a_survey_times_the_default_without_them_beside_it(name, config):
    algorithm, large, small = registry.get(name), parse(LARGE), parse(SMALL)
    paired = Blueprint(architecture.get("sm_100"))
    (rival,) = algorithm.rivals_on(large, "forward", paired)
    assert rival == replace(algorithm.resolved(large, "forward", None, paired), is_packed=False)
    assert algorithm.rivals_on(small, "forward", paired) == ()
    for other in (Blueprint(architecture.get("sm_90")), Blueprint(architecture.get("sm_120")), SimulatorDevice()):
        assert algorithm.rivals_on(large, "forward", other) == ()


def test_products_that_are_not_in_registers_cannot_be_packed():
    with pytest.raises(ConfigError, match="is_packed is for a tile in registers; gemm is a number"):
        StagesConfig(is_packed=True)


@pytest.mark.parametrize(("name", "config", "arch"), [(*one, "sm_100") for one in CONFIGS] + [(*CONFIGS[0], "sm_103")])
def test_the_hot_loop_has_one_instruction_for_two_and_no_more_moves(name, config, arch):
    """The registers of pairs are neighbours, and the other factor is not copied."""
    chip, packed = architecture.get(arch), replace(config, is_packed=True)
    groups = inspector.planned(registry.get(name), parse(LARGE), "forward", chip, packed)
    (launch,) = [launches[0] for launches in groups if launches[0].name in PRODUCTS]
    compiled = inspector.machine_code(launch, chip)
    hot = Mix(sass.read(toolkit.disassemble(compiled.cubin), compiled.entry).hot)
    found = [i.base for i in hot.instructions]
    assert found.count("FFMA2") == PRODUCTS[launch.name] / 2
    assert found.count("FFMA") == 0
    assert hot.counts.get("moves", 0) <= MOVES[launch.name]
    assert compiled.resources.spill_bytes == 0
