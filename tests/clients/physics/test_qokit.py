"""qokit: its simulator of a quantum algorithm on the GPU, by its own class, against its classes for NumPy.

The mixer "x" needs CuPy there.
"""

import bare
import numpy as np
import pytest

bare.folder("qokit")
bare.stand_in("mpi4py")
fur = bare.module("qokit.fur")

N = 5
TERMS = [(1.0, (0, 1)), (-0.5, (1, 2, 3)), (0.25, (4,)), (2.0, (0, 2, 3, 4))]
GAMMAS, BETAS = [0.3, 0.7], [0.5, 0.2]


@pytest.mark.parametrize("mixer", ["xyring", "xycomplete"])
def test_a_state_and_what_it_expects(mixer):
    results = {}
    for name in ("gpu", "python"):
        simulator = fur.SIMULATORS[mixer][name](N, terms=TERMS)
        state = simulator.simulate_qaoa(GAMMAS, BETAS, sv0=np.arange(1, 2**N + 1) / 2**N)
        results[name] = (
            simulator.get_cost_diagonal(), simulator.get_statevector(state), simulator.get_probabilities(state),
            simulator.get_expectation(state),
        )  # fmt: skip
    for found, expected in zip(results["gpu"], results["python"], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
