"""Beyond 2³¹ pixels, a kernel that counts them in 32 bits is refused by name, or not chosen.

Nothing runs, and no array is allocated.
"""

import operator

import pytest
from numba.cuda import types
from numba.cuda.descriptor import cuda_target

from algorithms.correlation import INDICES
from algorithms.depthwise.patch import PatchConfig
from algorithms.depthwise.patch import fault as patch_fault
from algorithms.direct.window_shapes import WindowConfig
from algorithms.direct.window_shapes import fault as window_fault
from algorithms.fft.stages_config import StagesConfig
from algorithms.gemm.tiled_config import TiledConfig
from algorithms.tensor_cores.implicit import MOST_PIXELS
from algorithms.winograd.plain import PlainConfig
from convbench.algorithm import registry
from convbench.errors import ConfigError, RefusedError
from convbench.inspection import architecture
from convbench.inspection.blueprint import Blueprint, launches_of
from convbench.problem.notation import parse
from support.strategies import in_own_dtype

# pixels of one channel: the last that 31 bits can count, and the first that they cannot
WITHIN, BEYOND = "n1c1h1w2147483647-k1r1s1", "n2c1h32768w32768-k1r1s1"
TENSOR_CORES = [name for name in registry.names() if name.startswith("implicit_gemm_")]


@pytest.mark.parametrize("direction", ["forward", "backward_data"])
@pytest.mark.parametrize("name", TENSOR_CORES)
def test_tensor_cores_refuse_what_they_cannot_count(name, direction, device):
    algorithm = registry.get(name)
    within, beyond = (in_own_dtype(parse(text), algorithm) for text in (WITHIN, BEYOND))
    assert within.n * within.h * within.w == MOST_PIXELS == beyond.n * beyond.h * beyond.w - 1
    assert algorithm.refuses(within, direction) is None
    assert "counts them in 32 bits" in algorithm.refuses(beyond, direction)
    with pytest.raises(RefusedError, match="counts them in 32 bits"):
        algorithm.plan(beyond, device, direction=direction)


@pytest.mark.parametrize("direction", ["forward", "backward_data"])
@pytest.mark.parametrize(("name", "narrow"), [("implicit_gemm", TiledConfig), ("fft_tiled", StagesConfig)])
def test_kernels_with_narrow_indices_are_not_offered_beyond_them(name, narrow, direction):
    algorithm = registry.get(name)
    near, beyond = parse("n1c1h32768w32768-k1r1s1"), parse("n3000c1h32768w32768-k1r1s1")
    assert isinstance(algorithm.configs(near, direction)[0], narrow)
    for config in algorithm.space_for(beyond, direction):
        assert not isinstance(config, narrow), config


HOPPER = architecture.get("sm_90")


@pytest.mark.parametrize("direction", ["forward", "backward_data"])
@pytest.mark.parametrize(
    ("name", "config", "fault"),
    [("direct_tiled", WindowConfig(), window_fault), ("depthwise", PatchConfig(), patch_fault)],
)
def test_kernels_with_narrow_rows_and_columns_refuse_longer_ones(name, config, fault, direction):
    for text in ("n1c1h{}w1-k1r1s1", "n1c1h1w{}-k1r1s1"):
        near, beyond = parse(text.format(INDICES - 1024)), parse(text.format(INDICES))
        assert fault(config, near, direction) is None
        assert "have 31 bits" in fault(config, beyond, direction)
        with pytest.raises(ConfigError, match="have 31 bits"):
            registry.get(name).plan_class(direction, config)(beyond, direction, Blueprint(HOPPER), config)
        assert not isinstance(registry.get(name).configs_for(beyond, direction)[0], type(config))


def test_many_images_in_one_patch_kernel_are_counted_in_64_bits():
    launches = launches_of(registry.get("depthwise"), parse("n70000c1h1024w1024-k1r1s1"), "forward", HOPPER)
    assert launches[-1].blocks * launches[-1].threads > 2**32


@pytest.mark.parametrize("name", ["winograd_2x2_3x3", "winograd_4x4_3x3"])
def test_winograd_counts_more_tiles_in_64_bits(name):
    algorithm, side = registry.get(name), int(name[9])
    near, beyond = (parse(f"n{n}c1h{256 * side}w{256 * side}-k1r3s3-pad1") for n in (2**16 - 1, 2**16))
    device = Blueprint(architecture.get("sm_100"))  # which has packed multiply-adds, too
    for config in (one for one in algorithm.space_for(near, "forward") if not isinstance(one, PlainConfig)):
        with pytest.raises(ConfigError, match="have 32 bits"):
            algorithm.plan_class("forward", config)(beyond, "forward", device, config)
    assert not isinstance(algorithm.configs_for(near, "forward")[0], PlainConfig)
    assert all(isinstance(one, PlainConfig) for one in algorithm.space_for(beyond, "forward"))


def test_register_tiles_are_not_offered_for_more_groups_than_a_grid_has_rows():
    algorithm = registry.get("implicit_gemm")
    near, beyond = (parse(f"n1c{g}h1w1-k{g}r1s1-g{g}") for g in (65535, 65536))
    assert isinstance(algorithm.configs(near, "forward")[0], TiledConfig)
    assert launches_of(algorithm, near, "forward", HOPPER)
    for config in algorithm.space_for(beyond, "forward"):
        assert not isinstance(config, TiledConfig), config
    assert launches_of(algorithm, beyond, "forward", HOPPER)


@pytest.mark.parametrize("direction", ["forward", "backward_data", "backward_weights"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("direct", "n1c1048576h1w1048576-k1048576r1s1-float64"),
        ("direct_tiled", "n1c1048576h1w1048576-k1048576r1s1-float64"),
        ("im2col_gemm", "n1c1048576h1w1048576-k1048576r1s1-float64"),
        ("implicit_gemm", "n1c1048576h1w1048576-k1048576r1s1-float64"),
        ("fft_tiled", "n1c1h1w68719476736-k1r1s1-float64"),
    ],
)
def test_a_grid_of_more_blocks_than_a_device_has_is_refused(name, text, direction):
    algorithm, beyond = registry.get(name), parse(text)
    with pytest.raises(ConfigError, match="a grid holds at most"):
        launches_of(algorithm, beyond, direction, HOPPER)


PLAIN = ("direct", "direct_tiled", "depthwise", "im2col_gemm", "implicit_gemm", "fft_tiled", "winograd_2x2_3x3")


@pytest.mark.parametrize("direction", ["forward", "backward_data", "backward_weights"])
@pytest.mark.parametrize("name", PLAIN)
def test_plain_kernels_never_narrow_an_index(name, direction):
    """In float64 every kernel is a plain one. Those that add parts, copy and pad are launched for NHWC and bias."""
    algorithm, problem = registry.get(name), parse("n2c4h8w8-k4r3s3-pad1-g4-bias-reflect-float64-NHWC")
    if direction not in algorithm.plans:
        assert name.startswith("winograd_")
        return
    for config in algorithm.configs_for(problem, direction):
        for launch in launches_of(algorithm, problem, direction, HOPPER, config):
            assert {"int32", "uint32"}.isdisjoint(launch.kernel.py_func.__code__.co_names), launch.name


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul])
def test_numba_widens_thread_and_block_numbers_to_64_bits(operation):
    typing = cuda_target.typing_context
    typing.refresh()
    for other in (types.int32, types.int64):
        assert typing.resolve_function_type(operation, (types.int32, other), {}).return_type == types.int64
