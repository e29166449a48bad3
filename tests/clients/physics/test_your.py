"""your: radio pulses with their dispersion taken out on the GPU, by its own functions, against NumPy."""

from types import SimpleNamespace

import bare
import numpy as np

gpu = bare.module("your.utils.gpu")

CHANNELS, SAMPLES, STEP, DISPERSION = 24, 300, 1e-3, 150.0
FREQUENCIES = np.linspace(1500, 1200, CHANNELS).astype(np.float32)
DELAY = 4148808.0 * (1 / FREQUENCIES[0] ** 2 - 1 / FREQUENCIES**2) / 1000 / STEP  # for a dispersion of 1, in samples


def candidate():
    data = np.random.default_rng(1).integers(0, 200, (SAMPLES, CHANNELS)).astype(np.float32)
    header = SimpleNamespace(dtype=np.float32, tsamp=STEP)
    return SimpleNamespace(chan_freqs=FREQUENCIES, data=data, dm=DISPERSION, your_header=header)


def rolled(data, dispersion):
    """Each channel, moved by its delay."""
    delays = (-DELAY.astype(float) * dispersion).astype(int)
    return np.column_stack([np.roll(channel, -delay) for channel, delay in zip(data.T, delays, strict=True)])


def test_the_data_without_dispersion():
    found = gpu.gpu_dedisperse(candidate()).dedispersed
    np.testing.assert_array_equal(found, rolled(candidate().data, DISPERSION))


def test_the_sums_for_each_dispersion():
    found = gpu.gpu_dmt(candidate()).dmt
    dispersions = np.linspace(0, 2 * DISPERSION, 256, dtype=np.float32)
    expected = np.array([rolled(candidate().data, float(dispersion)).sum(1) for dispersion in dispersions])
    assert found.shape == (256, SAMPLES)
    assert (found == expected).all(1).mean() > 0.95  # a delay may round to the next sample
