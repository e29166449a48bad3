"""Packed multiply-adds: the same bits as without, one FFMA2 for two FFMA, only on GPUs that have the instruction."""

from dataclasses import replace

import pytest

from algorithms.gemm.tiled_config import TiledConfig
from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError
from convbench.inspection import architecture, inspector
from convbench.measurement import Case
from convbench.problem.notation import parse
from convbench.reference.data import tensors
from support.devices import emulator_of
from support.running import assert_passes, run_direction

SMALL = TiledConfig()
# algorithm, problem, config without packed multiply-adds
CASES = (
    ("implicit_gemm", "n1c9h5w7-k34r3s2-pad1-bias", SMALL),
    ("implicit_gemm", "n1c9h4w6-k35r1s1-bias", replace(SMALL, pixels=4, splits=2)),
)


PRODUCTS = {"implicit_gemm_tiled": 8 * 4 * 4}  # of a thread in the hot loop
MOVES = 4  # in it, which loops have without packing, too


def device_of(code: str) -> EmulatorDevice:
    """An emulator of a GPU that has the instruction."""
    device = EmulatorDevice(code=code)
    device.compute_capability = (10, 0)
    return device


@pytest.mark.parametrize(
    ("name", "text", "config", "code"), [(*case, "ptx") for case in CASES] + [(*case, "llvm") for case in CASES[::2]]
)
def test_packed_multiply_adds_give_the_same_bits(name, text, config, code):
    problem, algorithm, device = parse(text), registry.get(name), device_of(code)
    t = tensors(problem, "forward", 1, "normal")
    plain, packed = (
        run_direction(algorithm, problem, "forward", device, t, one)["y"]
        for one in (config, replace(config, is_packed=True))
    )
    assert plain.tobytes() == packed.tobytes()


@pytest.mark.parametrize(("name", "text", "config"), CASES[::2])
def test_the_simulator_runs_it_too(name, text, config):
    case = Case(parse("n1c2h3w3-k2r3s3-pad1-bias"), 1)
    assert_passes(registry.get(name), case, SimulatorDevice(), config=replace(config, is_packed=True))


@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (11, 0), (12, 0), (12, 1)])
@pytest.mark.parametrize(("name", "text", "config"), CASES)
def test_a_gpu_without_the_instruction_refuses_the_config_and_has_another_default(name, text, config, capability):
    algorithm, problem, other = registry.get(name), parse(text), emulator_of(capability)
    words = r"packed multiply-adds are for compute capabilities 10\.0 and 10\.3 alone; device emulator has {}\.{}"
    with pytest.raises(ConfigError, match=words.format(*capability)):
        algorithm.plan(problem, other, config=replace(config, is_packed=True))
    assert not algorithm.plan(problem, other).config.is_packed


@pytest.mark.parametrize("capability", [(10, 0), (10, 3)])
@pytest.mark.parametrize(("name", "text"), [case[:2] for case in CASES])
def test_a_gpu_with_the_instruction_has_it_by_default_and_a_search_may_try_both(name, text, capability):
    algorithm, problem = registry.get(name), parse(text)
    default = algorithm.plan(problem, emulator_of(capability)).config
    space = algorithm.space_for(problem, "forward")
    assert default.is_packed
    assert default in space
    assert replace(default, is_packed=False) in space
    assert not algorithm.plan(problem, SimulatorDevice()).config.is_packed


@pytest.mark.parametrize("arch", ["sm_100", "sm_103"])
@pytest.mark.parametrize(("name", "text", "config"), CASES[::2])
def test_the_hot_loop_has_one_instruction_for_two_and_hardly_a_move(name, text, config, arch):
    """The registers of pairs are neighbours, and the other factor is not copied."""
    kernels = inspector.inspect(
        registry.get(name), parse(text), "forward", architecture.get(arch), replace(config, is_packed=True)
    ).kernels
    (kernel,) = [one for one in kernels if one.name in PRODUCTS]
    found = [i.base for i in kernel.code.hot]
    assert found.count("FFMA2") == PRODUCTS[kernel.name] / 2
    assert found.count("FFMA") == 0
    assert kernel.hot.counts.get("moves", 0) <= MOVES
    assert kernel.resources.spill_bytes == 0
