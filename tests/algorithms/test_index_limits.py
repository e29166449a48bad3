"""Beyond 2³¹ pixels, a kernel that counts them in 32 bits is refused by name, or not chosen. Only the host is asked."""

import pytest

from algorithms.fft.stages_config import StagesConfig
from algorithms.gemm.tiled_config import TiledConfig
from algorithms.tensor_cores.implicit import MOST_PIXELS
from convbench.algorithm import registry
from convbench.errors import RefusedError
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
