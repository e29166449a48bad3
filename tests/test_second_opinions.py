"""Every algorithm by three who know nothing of each other: emulator, simulator and reference; and under all checks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import assert_within, bound_of, run
from strategies import TILES, problems_for, seeds

from convbench.data import integer_tensors, random_tensors
from convbench.devices.emulator import EmulatorDevice
from convbench.devices.guarded import GuardedDevice
from convbench.devices.simulator import SimulatorDevice
from convbench.notation import parse
from convbench.problem import PADDING_MODES
from convbench.reference import convolve

# what the simulator does in seconds; together every feature, and more than one tile of most kernels
TINY = (
    "n1c1h1w1-k1r1s1",
    "n2c3h6w5-k3r3s3-pad1-g3-bias",
    "n1c2h5w11-k2r3s3-pad0.2x1.0-dil2x3",
    "n1c2h9w10-k2r2s3-pad2.0x1.3-stride2x3-bias",
    "n1c2h5w6-k2r3s3-pad2-bias-reflect",
    "n1c1h9w20-k5r3s3",
)

# the smaller of two tiles where the larger takes the checks half a second: 16-point transforms, products of 8 × 8
SMALLER = {"fft_tiled": {"k": 8, "p": 14, "q": 14}}

checked = EmulatorDevice(checked=True)


@pytest.mark.parametrize("text", TINY)
def test_emulator_and_simulator_agree_with_each_other_and_with_the_reference(algorithm, text):
    problem = parse(text)
    if algorithm.refuses(problem):
        pytest.skip("refused")
    headroom = algorithm.error_model.exact_headroom
    for t in (integer_tensors(problem, 1, headroom=headroom or 1), random_tensors(problem, 1)):
        expected = convolve(problem, t.x, t.w, t.bias)
        emulated, simulated = (
            run(algorithm, problem, device, t.x, t.w, t.bias) for device in (EmulatorDevice(), SimulatorDevice())
        )
        bound = bound_of(algorithm, problem, t.x, t.w, t.bias, expected)
        for actual in (emulated, simulated):
            assert_within(actual=actual, expected=expected, bound=bound)
        if headroom is not None and (t.x == np.rint(t.x)).all():
            assert emulated.tobytes() == simulated.tobytes()


def test_the_simulator_computes_some_of_each(algorithm):
    assert any(algorithm.refuses(parse(text)) is None for text in TINY)


@settings(max_examples=max(500, settings.default.max_examples))
@given(data=st.data(), seed=seeds)
def test_no_check_gives_a_false_alarm(algorithm, data, seed):
    """Guarded and poisoned as in verification, by any config, in every order of threads; integers, and one run."""
    tiles = SMALLER.get(algorithm.name, TILES[algorithm.name])
    problem = data.draw(problems_for(algorithm.name, tiles=tiles, modes=st.sampled_from(PADDING_MODES)))
    config = data.draw(st.sampled_from(algorithm.configs(problem.explicitly_padded())))
    t = integer_tensors(problem, seed, headroom=algorithm.error_model.exact_headroom or 1)
    guarded = GuardedDevice(checked)
    plan = algorithm.plan(problem, guarded, config=config)
    plan.load(guarded.upload(t.w), None if t.bias is None else guarded.upload(t.bias))
    y = guarded.empty(problem.y_shape, problem.dtype)
    plan.run(guarded.upload(t.x), y)
    assert not np.isnan(guarded.download(y)).any()
    assert guarded.breaches() == []
