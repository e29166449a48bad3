"""Winograd's fast kernels: every config is correct, defaults suit problem and device, a transform is its matrix."""

import numpy as np
import pytest
from numba import cuda, float32

from algorithms.winograd.matrices import F2, F4, as_array
from algorithms.winograd.plain import PlainConfig
from algorithms.winograd.staged import LARGE, NARROW, SMALL, StagedConfig, staged
from algorithms.winograd.transforms import make_transform
from algorithms.winograd.winograd import FusedConfig, Winograd2x2, Winograd4x4
from convbench.algorithm import Algorithm, registry
from convbench.devices import Device
from convbench.devices.emulator import EmulatorDevice
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError
from convbench.measurement import Case
from convbench.problem import Direction
from convbench.problem.notation import parse
from convbench.reference import compute
from convbench.reference.data import tensors
from support.devices import emulator_of
from support.running import assert_passes, assert_within, bounds_of, run_direction

F2X2, F4X4 = registry.get("winograd_2x2_3x3"), registry.get("winograd_4x4_3x3")
MATRICES = {f"{name} of F({t.m}×{t.m})": matrix for t in (F2, F4)
            for name, matrix in (("A^T", t.a_t), ("B^T", t.b_t), ("G", t.g))}  # fmt: skip

LARGE_PROBLEM = "n1c64h56w56-k64r3s3-pad1"
OLD = emulator_of((7, 5))  # without asynchronous copies
checked = EmulatorDevice(checked=True)


def name_of(value: object) -> str:
    """The same in every process."""
    return str(getattr(value, "name", value))


class Cramped(EmulatorDevice):
    """With less shared memory than the fused kernel has."""

    @property
    def max_shared_bytes(self) -> int:
        return 95 * 1024


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES.keys())
def test_a_transform_is_its_matrix(matrix):
    """Column by column, of unit vectors; from and to any places, and in place."""
    expected, transform = as_array(matrix, np.float32), make_transform(matrix)
    rows, columns = expected.shape
    room = 3 * max(rows, columns) + 1

    @cuda.jit
    def one(given, made):
        values = cuda.local.array(room, float32)
        for a in range(columns):
            values[1 + 3 * a] = given[a]
        transform(values, 1, 3, values, 0, 2)
        for i in range(rows):
            made[i] = values[2 * i]

    device = SimulatorDevice()
    for column in range(columns):
        made = np.full(rows, np.nan, np.float32)
        device.launch("transform", one, 1, 1, np.eye(columns, dtype=np.float32)[column], made)
        assert np.array_equal(made, expected[:, column])


@pytest.mark.parametrize("direction", ["forward", "backward_data"])
@pytest.mark.parametrize(
    "text",
    [
        "n1c1h1w1-k1r3s3-pad1", "n2c9h5w7-k3r3s3-pad1-bias", "n1c18h9w11-k140r3s3-pad2.0x1.3-g2-bias",
    ],
)  # fmt: skip
def test_one_kernel_keeps_the_contract_under_all_checks(text, direction):
    """Channels, filters and tiles that its own tiles do not divide, groups, and paddings that are not alike."""
    verdict = assert_passes(F2X2, Case(parse(text), 1, direction), checked, config=FusedConfig())
    assert verdict.exact


@pytest.mark.parametrize(
    ("algorithm", "text", "direction", "config"),
    [
        (F2X2, "n1c8h3w4-k5r3s3-pad1-bias", "forward", FusedConfig(is_specialised=True)),
        (F2X2, "n1c9h2w3-k4r3s3-pad1", "backward_data", FusedConfig()),
        (F4X4, "n1c9h4w6-k3r3s3-pad1-bias", "forward", staged(SMALL, is_specialised=True)),
        (F4X4, "n1c2h5w8-k3r3s3-pad1", "backward_data", staged(SMALL, is_specialised=True)),
        (F2X2, "n1c2h4w3-k3r3s3-pad1-dil2-bias", "forward", staged(SMALL, is_specialised=True)),
    ],
    ids=name_of,
)  # fmt: skip
def test_baked_in_sizes_change_nothing(
    algorithm: Algorithm, text: str, direction: Direction, config: FusedConfig | StagedConfig
):
    problem = parse(text)
    given = tensors(problem, direction, 1, "uniform")
    expected = compute(problem, direction, given)
    bounds = bounds_of(algorithm, problem, direction, given, expected)
    actual = run_direction(algorithm, problem, direction, SimulatorDevice(), given, config=config)
    for name, value in expected.items():
        assert_within(actual=actual[name], expected=value, bound=bounds[name])


@pytest.mark.parametrize(
    ("algorithm", "text", "device", "expected"),
    [
        (F2X2, LARGE_PROBLEM, EmulatorDevice(), FusedConfig()),
        (F2X2, LARGE_PROBLEM, Cramped(), staged(NARROW)),
        (F2X2, LARGE_PROBLEM, OLD, PlainConfig()),
        (F2X2, LARGE_PROBLEM + "-dil2", EmulatorDevice(), staged(NARROW)),
        (F2X2, LARGE_PROBLEM + "-float16", EmulatorDevice(), staged(NARROW)),
        (F2X2, "n1c2h5w5-k2r3s3", EmulatorDevice(), staged(SMALL)),
        (F2X2, "n1c2h5w5-k2r3s3", OLD, PlainConfig()),
        (F4X4, LARGE_PROBLEM, EmulatorDevice(), staged(NARROW)),
        (F4X4, "n2c64h112w112-k128r3s3-pad1", EmulatorDevice(), staged(LARGE, is_specialised=True)),
        (F2X2, "n2c64h112w112-k128r3s3-pad1", EmulatorDevice(), FusedConfig(is_specialised=True)),
        (F4X4, "n1c64h112w112-k16r3s3-pad1", EmulatorDevice(), staged(SMALL)),
        (F4X4, "n1c2h5w5-k2r3s3-float64", EmulatorDevice(), PlainConfig(tile=8)),
    ],
    ids=name_of,
)  # fmt: skip
def test_the_default_config_is_for_the_problem_and_the_device(
    algorithm: Algorithm, text: str, device: Device, expected: object
):
    plan = algorithm.plan(parse(text), device)
    assert getattr(plan, "inner", plan).config == expected


@pytest.mark.parametrize(
    ("text", "device", "config", "reason"),
    [
        (LARGE_PROBLEM, Cramped(), FusedConfig(), "97280 bytes of shared memory, not 98304"),
        (LARGE_PROBLEM, OLD, FusedConfig(), "65536 bytes of shared memory, not 98304"),
        (LARGE_PROBLEM, OLD, staged(SMALL), "no asynchronous copies"),
    ],
    ids=name_of,
)  # fmt: skip
def test_a_config_that_a_device_cannot_run_is_refused_with_the_reason(text, device, config, reason):
    with pytest.raises(ConfigError, match=reason):
        F2X2.plan(parse(text), device, config=config)


@pytest.mark.parametrize("algorithm", [Winograd2x2(), Winograd4x4()], ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize("text", [LARGE_PROBLEM, LARGE_PROBLEM + "-dil2-float16", "n1c2h5w5-k2r3s3-float64"])
def test_every_config_of_the_space_can_be_planned(algorithm, text):
    problem, device = parse(text), emulator_of((10, 0))  # which has packed multiply-adds
    space = algorithm.space_for(problem, "forward")
    assert space[: len(algorithm.configs(problem, "forward"))] == tuple(algorithm.configs(problem, "forward"))
    for config in space:
        assert algorithm.plan(problem, device, config=config).workspace_bytes > 0
