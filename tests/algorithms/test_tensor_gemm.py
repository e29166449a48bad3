"""Convolution on tensor cores: packed operands, large tiles, and the exactness of each precision."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.correlation import Correlation
from algorithms.tensor_cores import implicit as tensor_cores
from algorithms.tensor_cores.packing import launch_pack_filters, launch_pack_map, words_of_filter, words_of_group
from algorithms.tensor_cores.warp_gemm import Config
from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import ConfigError, RefusedError
from convbench.layer import automatic
from convbench.measurement import Case, compare
from convbench.problem.notation import parse
from convbench.reference import compute
from convbench.reference.data import tensors
from support.devices import emulator_of
from support.running import assert_passes, assert_within, run_direction

NAMES = ("implicit_gemm_tf32", "implicit_gemm_3xtf32", "implicit_gemm_f16", "implicit_gemm_bf16")
LARGEST_SHARED_BYTES = 227 * 1024  # the limit of a block in compute capability 9.0
emulator, checked = EmulatorDevice(), EmulatorDevice(checked=True)


# ---- packing


def rounded_to_tf32(x):
    """Rounded by arithmetic to the nearest value; halfway cases go away from zero."""
    unit = np.exp2(np.frexp(x.astype(np.float64))[1] - 11)
    return (np.copysign(np.floor(np.abs(x) / unit + 0.5), x) * unit).astype(np.float32)


def as_numbers(words, kind):
    """The numbers that the words encode."""
    dtype = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}.get(kind, np.float32)
    return words.view(dtype).astype(np.float64)


@pytest.mark.parametrize("kind", ["tf32", "float32", "float16", "bfloat16"])
@settings(max_examples=40)
@given(
    n=st.integers(1, 2), groups=st.integers(1, 3), channels=st.integers(1, 40), size=st.tuples(*[st.integers(1, 7)] * 2)
)
def test_a_map_is_packed_by_pixels_with_zeros_behind_its_channels(kind, n, groups, channels, size):
    dtype = np.float32 if kind == "tf32" else np.dtype(kind)
    x = np.random.default_rng(channels).normal(size=(n, groups * channels, *size)).astype(dtype)
    per_group = words_of_group(channels, kind)
    packed = emulator.empty((n * size[0] * size[1] * groups * per_group,), np.uint32)
    launch_pack_map(emulator, kind, emulator.upload(x), packed, groups)
    actual = as_numbers(packed.reshape(n, *size, groups, per_group), kind)
    exact = rounded_to_tf32(x) if kind == "tf32" else x
    expected = exact.reshape(n, groups, channels, *size).transpose(0, 3, 4, 1, 2).astype(np.float64)
    np.testing.assert_array_equal(actual[..., :channels], expected)
    assert not actual[..., channels:].any()
    assert per_group % 4 == 0


@pytest.mark.parametrize("kind", ["tf32", "float32", "float16", "bfloat16"])
@settings(max_examples=40)
@given(shape=st.tuples(st.integers(1, 5), st.integers(1, 20), st.integers(1, 4), st.integers(1, 4)))
def test_filters_are_packed_by_taps_with_zeros_up_to_whole_steps(kind, shape):
    dtype = np.float32 if kind == "tf32" else np.dtype(kind)
    f = np.random.default_rng(shape[1]).normal(size=shape).astype(dtype)
    m, channels, taps = shape[0], shape[1], shape[2] * shape[3]
    words = emulator.empty((m, words_of_filter(channels, taps, kind)), np.uint32)
    launch_pack_filters(emulator, "transform", kind, emulator.upload(f), words)
    assert words.shape[1] % 32 == 0
    per_tap = words_of_group(channels, kind)
    exact = rounded_to_tf32(f) if kind == "tf32" else f
    taken = as_numbers(np.ascontiguousarray(words[:, : taps * per_tap]).reshape(m, taps, per_tap), kind)
    expected = exact.reshape(m, channels, taps).transpose(0, 2, 1).astype(np.float64)
    np.testing.assert_array_equal(taken[..., :channels], expected)
    assert not taken[..., channels:].any()
    assert not words[:, taps * per_tap :].any()


@pytest.mark.parametrize("kind", ["tf32", "float32"])
def test_a_nan_of_any_bits_stays_one(kind):
    x = np.array([0xFFFFFFFF, 0x7FFFFFFF, 0x7F800001, 0x7F800000], np.uint32).view(np.float32).reshape(1, 4, 1, 1)
    packed = emulator.empty((4,), np.uint32)
    launch_pack_map(emulator, kind, emulator.upload(x), packed, 1)
    values = packed.view(np.float32)
    assert np.isnan(values[:3]).all()
    assert values[3] == np.inf
    if kind == "float32":  # whose bits are still to be rounded when it is split
        assert np.isnan(((packed[:3] + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)).all()


# ---- tiles


@pytest.mark.parametrize(
    ("name", "config", "text", "direction"),
    [
        ("implicit_gemm_tf32", (128, 128, 64, 64, 4), "n1c37h12w13-k130r3s3-pad1-bias", "forward"),
        ("implicit_gemm_3xtf32", (64, 128, 32, 32, 2), "n1c70h12w12-k10r3s3-pad1-g2", "backward_data"),
    ],
)
def test_large_tiles_made_for_one_problem_are_right(name, config, text, direction):
    """Under all checks, in every order of threads."""
    m, o, warp_m, warp_o, stages = config
    made = Config(
        tile_m=m, tile_o=o, warp_m=warp_m, warp_o=warp_o, stages=stages, blocks=1, unroll=2, is_specialised=True
    )
    assert_passes(registry.get(name), Case(parse(text), 1, direction), checked, config=made)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("direction", ["forward", "backward_data"])
def test_large_problems_get_large_tiles_that_a_multiprocessor_holds(name, direction):
    algorithm = registry.get(name)
    for text, tile_m in (("n32c64h56w56-k64r3s3-pad1", 64), ("n32c256h56w56-k256r3s3-pad1", 128)):
        problem = replace(parse(text), dtype=algorithm.dtypes[0])
        configs = algorithm.configs(problem, direction)
        assert len(set(configs)) == len(configs) > 3
        assert configs[0].tile_m == (64 if name == "implicit_gemm_3xtf32" else tile_m)
        assert configs[0].is_specialised
        for config in configs:
            assert config.shared_bytes <= LARGEST_SHARED_BYTES
            assert config.blocks * (config.shared_bytes + 1024) <= 228 * 1024  # 1 KiB of each block is the system's
    small = replace(parse("n1c8h8w8-k8r3s3"), dtype=algorithm.dtypes[0])
    assert algorithm.configs(small, direction) == (Config(),)


def test_a_small_map_gets_tiles_enough_for_the_multiprocessors():
    problem = parse("n32c512h7w7-k512r3s3-pad1")
    chosen = registry.get("implicit_gemm_tf32").configs(problem, "forward")[0]
    assert tensor_cores.blocks_of(Correlation.of(problem, "forward"), chosen) >= tensor_cores.MULTIPROCESSORS


@pytest.mark.parametrize(
    "fields",
    [
        {"warp_m": 24}, {"tile_m": 48, "warp_m": 32}, {"tile_o": 128, "warp_o": 8}, {"stages": 7}, {"blocks": 0},
        {"unroll": 3}, {"tile_m": 512, "tile_o": 512}, {"tile_m": 16, "tile_o": 256},
    ],
    ids=str,
)  # fmt: skip
def test_a_config_that_cannot_be_is_refused(fields):
    with pytest.raises(ConfigError):
        Config(**fields)


# ---- precision


def test_one_product_is_no_three():
    """TF32's result is beyond the bound of the split one, whose own result is far inside of it."""
    problem = parse("n1c32h8w8-k32r3s3")
    t = tensors(problem, "forward", 1, "uniform")
    expected = compute(problem, "forward", t)
    split, single = (registry.get(name) for name in ("implicit_gemm_3xtf32", "implicit_gemm_tf32"))
    bound = split.error_bounds(problem, "forward", t, expected=expected)["y"]
    results = {a.name: run_direction(a, problem, "forward", emulator, t)["y"] for a in (split, single)}
    verdicts = {name: compare(actual=actual, expected=expected["y"], bound=bound) for name, actual in results.items()}
    assert verdicts["implicit_gemm_3xtf32"].fraction < 0.2
    assert not verdicts["implicit_gemm_tf32"].passed


def test_the_split_sum_is_as_good_as_float32_where_sums_are_long():
    """The steps are added up in float32: of 4,608 equal terms, a chain of cut sums would lose a thousand times more.

    At most 296 u of the magnitude, by the error model, and in truth less than a tenth of that.
    """
    problem = parse("n1c512h3w3-k2r3s3")
    t = {"x": np.full(problem.x_shape, 1 / 3, np.float32), "w": np.full(problem.w_shape, 1 / 7, np.float32)}
    expected = compute(problem, "forward", t)
    actual = run_direction(registry.get("implicit_gemm_3xtf32"), problem, "forward", emulator, t)["y"]
    assert_within(actual=actual, expected=expected["y"], bound=2.0**-24 * 30 * np.abs(expected["y"]))


def test_no_precision_is_passed_off_as_another():
    problem = parse("n32c64h56w56-k64r3s3-pad1")
    assert {name: registry.get(name).precision(problem) for name in NAMES[:2]} == {
        "implicit_gemm_tf32": "tf32", "implicit_gemm_3xtf32": "3xtf32",
    }  # fmt: skip
    for on_gpu in (True, False):
        assert not set(NAMES) & set(automatic.preferences(problem, on_gpu=on_gpu))


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_without_the_instructions_is_refused(name):
    problem = replace(parse("n1c2h4w4-k2r3s3"), dtype=registry.get(name).dtypes[0])
    with pytest.raises(RefusedError, match=r"needs compute capability 8\.0; device emulator has 7\.5"):
        registry.get(name).plan(problem, emulator_of((7, 5)))


@pytest.mark.parametrize(
    ("text", "words"),
    [("n70000c1h256w256-k1r1s1", "4,587,520,000 pixels"), ("n1c65536h1w1-k65536r1s1-g65536", "65,536 rows of blocks")],
)
def test_what_a_grid_or_32_bits_cannot_hold_is_refused(text, words):
    reason = registry.get("implicit_gemm_tf32").refuses(parse(text))
    assert reason is not None
    assert words in reason
