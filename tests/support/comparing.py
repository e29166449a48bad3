"""One side of a comparison, with a known true time, and the verdicts of a comparison."""

import numpy as np

from cases import synthetic


def normal(true_us=20.0, *, seed=0, samples=30, noise=0.02):
    return true_us * (1 + noise * np.random.default_rng(seed).standard_normal(samples))


def side(true_us=20.0, *, seed=0, samples=30, noise=0.02, **fields):
    return [synthetic.sampled(normal(true_us, seed=seed, samples=samples, noise=noise), **fields)]


def verdicts(compared):
    return [one.verdict for one in compared.comparisons]
