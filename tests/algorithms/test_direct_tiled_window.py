"""The direct kernel with a window in registers: correct for any size, its refusals, and its choice of config."""

from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.correlation import Correlation
from algorithms.direct import window_choice as direct_tiled_choice
from algorithms.direct import window_plan as direct_tiled_plan
from algorithms.direct.window_plan import WindowPlan
from algorithms.direct.window_shapes import WindowConfig, fault, layout_of, packed_shape, tiles_of
from convbench.algorithm import registry
from convbench.devices import MAX_SHARED_BYTES
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import ConfigError
from convbench.measurement import Case
from convbench.problem.notation import parse
from convbench.reference.data import tensors
from support.running import assert_passes
from support.strategies import problems, seeds

DIRECT = registry.get("direct_tiled")
ANY_SIZE = WindowConfig(tile_m=8, tile_i=4, tile_j=8, pixels=4, filters=4, channels=2, blocks=1, is_specialised=False)
ONE_SIZE = replace(ANY_SIZE, is_specialised=True)

# each class of layer, with edges that fill no tile, channels that fill no step and filters that fill no tile, unless a
# comment says otherwise; few taps and small tiles, because each row has its own kernel to compile
LAYERS = (
    ("n1c3h9w12-k10r3s3-pad1-bias", "forward", ONE_SIZE),  # rows of 12: stored by fours
    ("n2c16h8w8-k16r2s2-g2", "backward_data", ONE_SIZE),  # all tiles are full, and so are all steps
    ("n1c3h9w11-k5r5s2-pad2", "forward", replace(ANY_SIZE, channels=1)),
    ("n1c3h11w9-k4r2s2-pad2x3-dil2x3", "forward", ANY_SIZE),
    ("n1c2h9w14-k4r2s2-pad1-stride2x3-bias", "forward", ANY_SIZE),
    ("n1c3h17w18-k6r7s7-pad3-stride2", "forward", replace(ANY_SIZE, channels=1)),  # as the first layer of a ResNet
    ("n1c3h6w19-k20r1s3-pad0.0x2.0-bias", "forward", replace(ONE_SIZE, tile_m=16, pixels=8, filters=8)),
)

of_one_kernel = {"taps": st.just((2, 2)), "strides": st.just(1)}


@pytest.mark.parametrize(("text", "direction", "config"), LAYERS)
def test_each_class_of_layer_is_right(device, text, direction, config):
    verdict = assert_passes(DIRECT, Case(parse(text), 1, direction), device, config=config)
    assert verdict.exact


@pytest.mark.parametrize(("text", "direction", "config"), LAYERS[1:2] + LAYERS[5:6])
def test_no_thread_reads_what_has_not_landed(text, direction, config):
    """On the checked emulator a copy arrives at its wait, and every access is compared with those of other threads."""
    assert_passes(DIRECT, Case(parse(text), 1, direction), EmulatorDevice(checked=True), config=config)


@given(problem=problems(**of_one_kernel, tiles={"k": 8, "p": 4, "q": 8}), seed=seeds, data=st.data())
def test_one_kernel_computes_problems_of_any_size(device, problem, seed, data):
    direction = data.draw(st.sampled_from(("forward", "backward_data")))
    problem = replace(problem, dilation=(1, 1), bias=problem.bias and direction == "forward")
    assert_passes(DIRECT, Case(problem, seed, direction), device, config=ANY_SIZE)


def test_places_that_need_64_bits_are_computed_alike(device, monkeypatch):
    """The threshold for 64 bits is lowered, because channels of 2³¹ elements would need too much memory."""
    monkeypatch.setattr(direct_tiled_plan, "LEAST_WIDE", 1)
    assert_passes(DIRECT, Case(parse("n2c3h9w10-k9r1s1-pad1-bias"), 1), device, config=ANY_SIZE)


@given(problem=problems(), seed=seeds, data=st.data())
def test_packed_filters_are_the_filters_and_zeros(device, problem, seed, data):
    """Each filter once at its place, flipped and with its channels swapped for the gradient, and nothing else."""
    direction = data.draw(st.sampled_from(("forward", "backward_data")))
    problem = replace(problem, bias=False, stride=(1, 1) if direction == "backward_data" else problem.stride)
    config = replace(ANY_SIZE, tile_m=data.draw(st.sampled_from((4, 8))), channels=data.draw(st.integers(1, 3)))
    w = tensors(problem, "forward", seed, "integers")["w"]
    plan = WindowPlan(problem, direction, device, config)
    plan.load(device.upload(w))
    geometry, found = Correlation.of(problem, direction), device.download(plan.packed)
    groups, per_group, sources = geometry.groups, geometry.targets_per_group, geometry.sources_per_group
    filters = w.reshape(groups, problem.k // groups, *w.shape[1:])
    if direction == "backward_data":
        filters = filters.swapaxes(1, 2)[..., ::-1, ::-1]
    expected = np.zeros((groups, found.shape[1] * found.shape[5], *found.shape[2:5]), np.float32)
    expected[:, :per_group, :sources] = filters
    tiled = expected.reshape(groups, found.shape[1], found.shape[5], *found.shape[2:5])
    assert np.array_equal(found, np.moveaxis(tiled, 2, -1))


@given(problem=problems(), config=st.sampled_from((ANY_SIZE, WindowConfig(), replace(ANY_SIZE, tile_i=3, channels=3))))
def test_tiles_and_steps_cover_the_problem_and_no_more(problem, config):
    """Counted one by one: the blocks that begin at an output, and the channels and filters that a step begins at."""
    geometry = Correlation.of(problem, "forward")
    begun = [
        (m, i, j)
        for m in range(0, geometry.targets_per_group, config.tile_m)
        for i in range(0, geometry.outputs[0], config.tile_i)
        for j in range(0, geometry.outputs[1], config.tile_j)
    ]
    assert tiles_of(config, geometry) == problem.n * problem.groups * len(begun)
    groups, m_tiles, channels, r, s, tile_m = packed_shape(config, geometry)
    assert (groups, r, s, tile_m) == (problem.groups, problem.r, problem.s, config.tile_m)
    assert m_tiles == len({m for m, _, _ in begun})
    assert channels == config.channels * len(range(0, geometry.sources_per_group, config.channels))


@given(problem=problems(), config=st.sampled_from((ANY_SIZE, WindowConfig(), replace(ANY_SIZE, pixels=8))))
def test_no_thread_reads_beyond_the_halo(problem, config):
    """The last element that any thread loads, counted one by one, is the last of a row, and its row is the last."""
    layout, (u, v) = layout_of(config, Correlation.of(problem, "forward")), problem.stride
    columns = [
        first * v + 4 * vector + part
        for first in range(0, config.tile_j, config.pixels)
        for vector in range(layout.vectors)
        for part in range(4)
    ]
    needed = [(config.pixels - 1) * v + s * problem.dilation[1] for s in range(problem.s)]
    rows = [i * u + r * problem.dilation[0] for i in range(config.tile_i) for r in range(problem.r)]
    assert layout.halo == (max(rows) + 1, max(columns) + 1)
    assert 4 * layout.vectors - 4 <= max(needed) < 4 * layout.vectors


REFUSED = (
    ("n1c1h5w5-k1r3s3-float64", "forward", "is for float32"),
    ("n1c1h5w5-k1r3s3", "backward_weights", "which backward_weights does not"),
    ("n1c1h5w5-k1r3s3-stride2", "backward_data", "spreads them"),
    ("n1c1h20w20-k1r10s10", "forward", "100 taps"),
    ("n1c1h9w400-k1r1s3-dil1x99", "forward", "numbers in registers"),
)


@pytest.mark.parametrize(("text", "direction", "reason"), REFUSED)
def test_what_the_kernel_cannot_do_is_an_error_with_its_reason(device, text, direction, reason):
    """Never a silent switch to another kernel."""
    problem = parse(text)
    assert reason in str(fault(ANY_SIZE, problem, direction))
    with pytest.raises(ConfigError, match=reason):
        WindowPlan(problem, direction, device, ANY_SIZE)


WRONG = (
    {"pixels": 6}, {"filters": 2}, {"pixels": 16, "filters": 16}, {"tile_j": 20}, {"tile_m": 60}, {"tile_i": 0},
    {"tile_i": 64}, {"blocks": 8},
)  # fmt: skip


@pytest.mark.parametrize("fields", WRONG, ids=str)
def test_a_config_that_no_kernel_has_is_an_error(fields):
    with pytest.raises(ConfigError, match=f"{next(iter(fields))}={next(iter(fields.values()))}"):
        WindowConfig(**fields)


LARGE = (
    "n32c64h56w56-k64r3s3-pad1", "n32c512h7w7-k512r3s3-pad1", "n32c3h224w224-k64r7s7-pad3-stride2",
    "n32c64h56w56-k64r5s5-pad2", "n32c64h56w56-k64r3s3-pad2-dil2", "n32c128h56w56-k128r3s3-pad1-stride2",
    "n1c64h56w56-k64r3s3-pad1", "n1c3h224w224-k64r7s7-pad3-stride2", "n32c128h28w28-k128r3s3-pad1-g4",
)  # fmt: skip


@pytest.mark.parametrize("text", LARGE)
def test_large_problems_have_windows_by_default_that_every_device_can_hold(text):
    problem = parse(text)
    default, *others = DIRECT.configs(problem, "forward")
    windows = [each for each in (default, *others) if isinstance(each, WindowConfig)]
    assert isinstance(default, WindowConfig)
    for each in windows:
        assert fault(each, problem, "forward") is None
        assert layout_of(each, Correlation.of(problem, "forward")).shared_bytes <= MAX_SHARED_BYTES
    space = DIRECT.space_for(problem, "forward")
    assert set(windows) < set(space)
    assert all(fault(each, problem, "forward") is None for each in space if isinstance(each, WindowConfig))


@pytest.mark.parametrize("text", LARGE)
def test_the_default_is_among_the_cheapest_tiles_by_count(text):
    """The ranking is by cost, and the cost is no less than the products alone take."""
    problem = parse(text)
    geometry = Correlation.of(problem, "forward")
    windows = direct_tiled_choice.space(problem, "forward")
    costs = [direct_tiled_choice.cost(each, geometry) for each in windows if each.is_specialised]
    assert costs == sorted(costs)
    assert costs[0] > problem.macs / 32 / direct_tiled_choice.MULTIPROCESSORS


@given(problem=problems())
def test_small_problems_keep_the_kernel_that_all_share(problem):
    assert not any(isinstance(config, WindowConfig) for config in DIRECT.configs(problem, "forward"))


def test_what_the_windows_are_bad_at_keeps_the_kernel_for_everything():
    """However large: one tap, two filters in a group, and windows that fill the registers."""
    for text in ("n32c256h56w56-k256r1s1", "n32c64h224w224-k64r3s3-pad1-g32", "n32c64h224w224-k64r3s3-pad24-dil24"):
        assert not any(isinstance(config, WindowConfig) for config in DIRECT.configs(parse(text), "forward"))


def test_every_field_of_a_config_makes_another_kernel():
    configs = [WindowConfig(), *(WindowConfig(**{name: value}) for name, value in (
        ("tile_m", 32), ("tile_i", 4), ("tile_j", 16), ("pixels", 4), ("filters", 4), ("channels", 2), ("blocks", 1),
        ("is_specialised", False),
    ))]  # fmt: skip
    assert len({astuple(config) for config in configs}) == len(configs) == len(WindowConfig.__dataclass_fields__) + 1
