"""The implicit GEMM in register tiles: laws of its configs beyond those that every algorithm obeys."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.correlation import HUGE_MACS, Correlation
from algorithms.gemm.implicit import Config, ImplicitGemm
from algorithms.gemm.tiled_config import (
    MULTIPROCESSORS,
    TiledConfig,
    blocks_of,
    default_config,
    tiled_space,
    work,
)
from algorithms.gemm.tiled_plan import TiledPlan
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import ConfigError
from convbench.measurement import Case, compare
from convbench.problem import ConvProblem, Direction
from convbench.problem.notation import parse
from convbench.reference import compute
from convbench.reference.data import tensors
from support.running import assert_passes, bound_of, run_direction
from support.strategies import problems

GEMM = ImplicitGemm()

WIDE = TiledConfig(pixels=4)
LARGEST = TiledConfig(  # and more than 48 KiB of shared memory
    tile_k=128, tile_o=128, tile_t=16, thread_k=16, thread_o=8, stages=4, is_specialised=True
)  # fmt: skip

# the tiles of each kind of kernel cut off on every side, and none of them
CASES: tuple[tuple[str, Direction, TiledConfig], ...] = (
    ("n1c17h9w15-k130r3s3-pad1-bias", "forward", LARGEST),
    ("n2c6h9w8-k70r3s2-pad1.2x0.3-dil2x1-stride1x2-g2-bias", "forward", TiledConfig()),
    ("n2c70h9w8-k6r3s2-pad1.2x0.3-dil2x1-g2", "backward_data", TiledConfig()),
    ("n2c9h4w6-k35r1s1-bias", "forward", WIDE),
    ("n2c35h4w6-k9r1s1", "backward_data", WIDE),
    ("n2c8h10w10-k32r3s3-bias", "forward", TiledConfig(is_specialised=True)),
)


@pytest.mark.parametrize(("text", "direction", "config"), CASES)
def test_every_kind_of_tile_is_right(text, direction, config):
    assert_passes(GEMM, Case(parse(text), 1, direction), EmulatorDevice(), config=config)


@pytest.mark.parametrize("splits", [2, 5, 64])  # the last one is more than there are steps
def test_a_split_sum_is_right_and_has_one_order(splits):
    problem, config = parse("n2c18h4w6-k35r1s2-pad1-bias"), TiledConfig(splits=splits)
    assert_passes(GEMM, Case(problem, 1), EmulatorDevice(), config=config)
    t = tensors(problem, "forward", 1, "normal")
    once, again = (
        run_direction(GEMM, problem, "forward", EmulatorDevice(workers=workers), t, config)["y"] for workers in (1, 3)
    )
    assert once.tobytes() == again.tobytes()


def test_copies_and_barriers_are_in_order():
    """All checks are on: data arrive before they are read, and nothing is overwritten while it is still read."""
    config = TiledConfig(stages=3, splits=2)
    assert_passes(GEMM, Case(parse("n1c18h5w8-k34r2s2-pad1-bias"), 1), EmulatorDevice(checked=True), config=config)


def test_channels_beyond_the_group_add_nothing():
    """A step reaches beyond the last channel of a group, where the next one's are NaN."""
    problem = parse("n1c6h4w4-k4r1s1-g2")
    for config in (TiledConfig(), WIDE):
        t = tensors(problem, "forward", 1, "uniform")
        expected = compute(problem, "forward", t)["y"]
        t["x"][:, 3:] = np.nan
        y = run_direction(GEMM, problem, "forward", EmulatorDevice(), t, config)["y"]
        bound = bound_of(GEMM, problem, np.nan_to_num(t["x"]), t["w"], None, expected)
        assert compare(actual=y[:, :2], expected=expected[:, :2], bound=bound[:, :2]).passed
        assert np.isnan(y[:, 2:]).all()


def test_a_source_that_begins_anywhere_is_taken():
    """Copies of 16 bytes are impossible, as from a slice of a larger array."""
    problem, device = parse("n1c3h4w4-k2r1s1"), EmulatorDevice()
    t = tensors(problem, "forward", 1, "integers")
    source = device.empty((t["x"].size + 1,), np.float32)[1:].reshape(t["x"].shape)
    device.write(source, t["x"])
    y = device.empty(problem.y_shape, np.float32)
    plan = GEMM.plan(problem, device, config=WIDE)
    plan.load(device.upload(t["w"]))
    plan.run(source, y)
    np.testing.assert_array_equal(device.download(y), compute(problem, "forward", t)["y"])


def test_filters_are_packed_with_zeros_beyond_them():
    problem, device = parse("n1c6h4w4-k10r2s3-g2"), EmulatorDevice()
    w = tensors(problem, "forward", 1, "uniform")["w"]
    plan = GEMM.plan(problem, device, config=TiledConfig())
    assert isinstance(plan, TiledPlan)
    plan.load(device.upload(w))
    packed = device.download(plan.packed).reshape(2, 6, 8, 32)  # group, tap, channel, filter
    np.testing.assert_array_equal(packed[:, :, :3, :5], w.reshape(2, 5, 3, 6).transpose(0, 3, 2, 1))
    assert not packed[:, :, 3:].any()
    assert not packed[:, :, :, 5:].any()
    assert plan.workspace_bytes == packed.nbytes


WRONG = (
    ({"tile_k": 0}, "at least 1"),
    ({"thread_k": 6}, "thread_k and thread_o are multiples of 4"),
    ({"tile_k": 24}, "multiple of 4 · thread_k = 16"),
    ({"tile_o": 48}, "multiple of 8 · thread_o = 32"),
    ({"tile_k": 512, "tile_o": 512}, "a block has 1024"),
    ({"stages": 1}, "stages is 2 to 4"),
    ({"splits": 0}, "splits is 1 to 64"),
    ({"pixels": 2}, "pixels is 1 or 4"),
    ({"tile_t": 4}, "cannot share"),
)


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_an_impossible_config_is_refused_with_its_rule(change, words):
    with pytest.raises(ConfigError, match=words):
        TiledConfig(**change)


MISFITS: tuple[tuple[str, Direction, TiledConfig], ...] = (
    ("n1c2h5w5-k2r3s3-stride2", "backward_data", TiledConfig()),  # zeros between the elements of dy
    ("n1c2h4w4-k2r3s3-pad1", "forward", WIDE),
    ("n1c2h4w4-k2r1s1-pad1", "forward", WIDE),
    ("n1c2h7w8-k2r1s1-stride2", "forward", WIDE),
    ("n1c2h3w3-k2r1s1", "forward", WIDE),  # nine elements
    ("n1c1h1w2200000000-k1r1s1", "forward", TiledConfig()),
    ("n1c2h4w4-k2r1s1-float64", "forward", TiledConfig()),
    ("n1c2h4w4-k2r1s1", "backward_weights", TiledConfig()),
)


@pytest.mark.parametrize(("text", "direction", "config"), MISFITS)
def test_a_config_that_is_none_for_the_problem_is_refused(text, direction, config):
    problem = parse(text)
    with pytest.raises(ConfigError):
        GEMM.plan(problem, EmulatorDevice(), direction=direction, config=config)
    assert config not in GEMM.space_for(problem, direction)
    assert GEMM.configs_for(problem, direction)[0] != config


def test_a_device_without_asynchronous_copies_gets_square_tiles():
    problem, device = parse("n1c2h4w4-k2r1s1"), EmulatorDevice()
    assert isinstance(GEMM.plan(problem, device).config, TiledConfig)
    device.compute_capability = (7, 5)
    assert isinstance(GEMM.plan(problem, device).config, Config)
    with pytest.raises(ConfigError, match="asynchronous copies"):
        GEMM.plan(problem, device, config=TiledConfig())


@given(problem=problems())
def test_small_problems_share_one_kernel(problem):
    assert default_config(Correlation.of(problem, "forward")) == TiledConfig()


@given(
    n=st.sampled_from((8, 32, 128)), c=st.sampled_from((3, 64, 256, 512)), k=st.sampled_from((16, 64, 256, 512)),
    h=st.sampled_from((7, 14, 28, 56, 112)), taps=st.sampled_from((1, 3, 7)),
)  # fmt: skip
def test_the_default_has_the_least_work_and_is_in_the_space(n, c, k, h, taps):
    problem = ConvProblem(n=n, c=c, h=h, w=h, k=k, r=taps, s=taps, padding=taps // 2)
    geometry = Correlation.of(problem, "forward")
    chosen, space = default_config(geometry), tiled_space(geometry)
    assert chosen is not None
    assert len(set(space)) == len(space)
    assert chosen.is_specialised == (problem.macs >= HUGE_MACS)
    # no work is less than the products on all multiprocessors
    assert min(work(config, geometry) for config in space) >= problem.macs / MULTIPROCESSORS
    if chosen.is_specialised:
        assert work(chosen, geometry) <= min(work(config, geometry) for config in space)
        assert replace(chosen, splits=1) in space
    for config in space:
        assert config.misfit(geometry) is None
        assert config.splits == 1 or blocks_of(config, geometry) <= 2 * config.splits * MULTIPROCESSORS
