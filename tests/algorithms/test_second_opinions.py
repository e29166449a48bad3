"""Emulator, simulator and reference agree on every algorithm, and the checked emulator reports no fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.devices import GuardedDevice
from convbench.devices.emulator import EmulatorDevice
from convbench.devices.simulator import SimulatorDevice
from convbench.measurement import Execution
from convbench.problem import DIRECTIONS
from convbench.problem.notation import parse
from convbench.reference import compute
from convbench.reference.data import tensors
from support.running import assert_within, run_direction
from support.strategies import TILES, directions_of, fewer, formatted_problems, in_own_dtype, seeds

# problems that take the simulator seconds; together they have every feature, and several tiles of most kernels
TINY = (
    "n1c1h1w1-k1r1s1",
    "n2c3h6w5-k3r3s3-pad1-g3-bias",
    "n1c2h5w11-k2r3s3-pad0.2x1.0-dil2x3",
    "n1c2h9w10-k2r2s3-pad2.0x1.3-stride2x3-bias",
    "n1c2h5w6-k2r3s3-pad2-bias-reflect",
    "n1c1h9w20-k5r3s3",
    "n1c2h5w6-k2r3s3-pad1-bias-NHWC-float16",
    "n2c2h5w4-k4r3s3-pad1-g2-circular-bfloat16",
    "n1c2h5w6-k2r3s3-pad2x1-float64-RSCK",
)

# the smaller of two tiles where the larger takes the checks half a second: 16-point transforms, products of 8 × 8
SMALLER = {"fft_tiled": {"k": 8, "p": 14, "q": 14}}

checked = EmulatorDevice(checked=True)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("text", TINY)
def test_emulator_and_simulator_agree_with_each_other_and_with_the_reference(algorithm, text, direction):
    problem = in_own_dtype(parse(text), algorithm)
    if algorithm.refuses(problem, direction):
        pytest.skip("refused")
    headroom = algorithm.error_model.exact_headroom
    for kind in ("integers", "uniform") if headroom is not None else ("uniform",):  # integers may be exact
        t = tensors(problem, direction, 1, kind, headroom=headroom or 1)
        expected = compute(problem, direction, t)
        emulated, simulated = (
            run_direction(algorithm, problem, direction, device, t) for device in (EmulatorDevice(), SimulatorDevice())
        )
        bounds = algorithm.error_bounds(problem, direction, t, expected=expected)
        for name, (actual, other) in {name: (emulated[name], simulated[name]) for name in expected}.items():
            assert_within(actual=actual, expected=expected[name], bound=bounds[name])
            assert_within(actual=other, expected=expected[name], bound=bounds[name])
            if headroom is not None and kind == "integers":
                assert actual.tobytes() == other.tobytes()


def test_the_simulator_computes_some_of_each(algorithm):
    assert any(algorithm.refuses(in_own_dtype(parse(text), algorithm)) is None for text in TINY)


@fewer(12)  # `nox -s false_alarms` runs 100,000 cases
@given(data=st.data(), seed=seeds)
def test_no_check_gives_a_false_alarm(relatives, data, seed):
    """Guarded and poisoned as in verification, by any config, in every order of threads; integers, and one run."""
    algorithm = data.draw(st.sampled_from(relatives))
    direction = data.draw(directions_of(algorithm))
    tiles = SMALLER.get(algorithm.name, TILES[algorithm.name])
    problem, config = data.draw(formatted_problems(algorithm, direction, tiles=tiles))
    t = tensors(problem, direction, seed, "integers", headroom=algorithm.error_model.exact_headroom or 1)
    guarded = GuardedDevice(checked)
    execution = Execution(algorithm, problem, direction, guarded, t, config)
    execution.load()
    execution.run()
    for result in execution.results().values():
        assert not np.isnan(result.astype(np.float64)).any()
    assert guarded.breaches() == []
