"""sgkit: its distances of genotypes on the GPU, by its own functions, against its functions for the CPU.

A missing call is a negative number.
"""

import bare
import numpy as np
import pytest

bare.folder("sgkit.distance")
bare.stand_in("sgkit.typing", ArrayLike=np.ndarray)
metrics = bare.module("sgkit.distance.metrics")

RNG = np.random.default_rng(1)
SOME, OTHERS = (RNG.integers(-1, 3, (n, 40)).astype(np.float32) for n in (13, 9))


@pytest.mark.parametrize("metric", ["euclidean", "correlation"])
def test_distances(metric):
    results = []
    sizes = np.empty(metrics.N_MAP_PARAM[metric], np.float32)
    pairs = SOME[:, None, :], OTHERS[None, :, :]
    for mapped, reduced in (
        (getattr(metrics, f"{metric}_map_gpu")(SOME, OTHERS), getattr(metrics, f"{metric}_reduce_gpu")),
        (getattr(metrics, f"{metric}_map_cpu")(*pairs, sizes), getattr(metrics, f"{metric}_reduce_cpu")),
    ):
        results.append(reduced(np.asarray(mapped, np.float64)[:, :, None, :]))
    found, expected = results
    assert found.shape == (13, 9)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
