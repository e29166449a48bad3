"""stumpy: its matrix profiles on the GPU, unedited, against those of its CPU."""

import numpy as np
import pytest
import stumpy

M = 12
WALK = np.random.default_rng(1).standard_normal(150).cumsum()


def with_gaps():
    series = WALK.copy()
    series[[40, 90]] = np.nan, np.inf
    return series


def with_plateaus():
    series = WALK.copy()
    series[30:60], series[100:130] = 1.0, 2.0
    return series


SERIES = {"walk": WALK, "gaps": with_gaps(), "plateaus": with_plateaus(), "integers": np.round(WALK).astype(float)}


def assert_same(gpu, cpu, *, ties=False):
    """Distances within 1e-6 (an infinite one where there is no neighbour), and neighbours unless there are ties."""
    distances, expected = gpu[:, 0].astype(float), cpu[:, 0].astype(float)
    np.testing.assert_array_equal(np.isfinite(distances), np.isfinite(expected))
    finite = np.isfinite(expected)
    np.testing.assert_allclose(distances[finite], expected[finite], atol=1e-6)
    if not ties:
        assert (gpu[:, 1] == cpu[:, 1]).all()


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("algorithm", ["stump", "aamp"])
def test_a_series_with_itself(algorithm, name):
    gpu, cpu = getattr(stumpy, f"gpu_{algorithm}"), getattr(stumpy, algorithm)
    assert_same(gpu(SERIES[name], M), cpu(SERIES[name], M), ties=name in ("plateaus", "integers"))


@pytest.mark.parametrize("algorithm", ["stump", "aamp"])
def test_two_series(algorithm):
    other = np.random.default_rng(2).standard_normal(100).cumsum()
    gpu, cpu = getattr(stumpy, f"gpu_{algorithm}"), getattr(stumpy, algorithm)
    assert_same(gpu(WALK, M, other, ignore_trivial=False), cpu(WALK, M, other, ignore_trivial=False))


@pytest.mark.parametrize("algorithm", ["stump", "aamp"])
def test_several_neighbours(algorithm):
    gpu, cpu = getattr(stumpy, f"gpu_{algorithm}"), getattr(stumpy, algorithm)
    found, expected = gpu(WALK, M, k=3), cpu(WALK, M, k=3)
    np.testing.assert_allclose(found[:, :3].astype(float), expected[:, :3].astype(float), atol=1e-6)


def test_distance_of_two_series():
    other = np.random.default_rng(3).standard_normal(90).cumsum()
    assert stumpy.gpu_mpdist(WALK, other, M) == pytest.approx(stumpy.mpdist(WALK, other, M), abs=1e-6)


def test_a_consensus_motif():
    several = [np.random.default_rng(seed).standard_normal(60).cumsum() for seed in range(3)]
    radius, *place = stumpy.gpu_ostinato(several, M)
    expected, *elsewhere = stumpy.ostinato(several, M)
    assert radius == pytest.approx(expected, abs=1e-6)
    assert place == elsewhere
