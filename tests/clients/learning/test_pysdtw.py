"""pysdtw: its soft dynamic time warping on the GPU against its functions for the CPU."""

import bare
import numpy as np
import pytest
from numba import cuda

gpu, cpu = bare.module("pysdtw.sdtw_cuda"), bare.module("pysdtw.sdtw_cpu")
B, M, N = 3, 17, 21
LENGTHS = np.array([(M, N), (M - 4, N), (M, N - 9)])


@pytest.mark.parametrize("bandwidth", [0.0, 6.0])
@pytest.mark.parametrize("gamma", [1.0, 0.1])
def test_scores_and_gradient(gamma, bandwidth):
    distances = np.random.default_rng(1).random((B, M, N))
    expected = cpu.compute_softdtw(distances, LENGTHS, gamma, bandwidth)
    scores = np.full((B, M + 2, N + 2), np.inf)
    scores[:, 0, 0] = 0
    found, lengths = cuda.to_device(scores), cuda.to_device(LENGTHS)
    passes, diagonals = 1, M + N - 1
    gpu.compute_softdtw_cuda[B, max(M, N)](
        cuda.to_device(distances), gamma, bandwidth, lengths, passes, diagonals, found
    )
    scores = found.copy_to_host()
    np.testing.assert_allclose(scores, expected, rtol=1e-12)
    if bandwidth:
        return  # with a band, its function for the CPU takes the lengths of the whole batch, and its kernel its own
    padded, gradient = np.zeros((B, M + 2, N + 2)), np.zeros((B, M + 2, N + 2))
    padded[:, 1 : M + 1, 1 : N + 1] = distances
    for b, (m, n) in enumerate(LENGTHS):
        scores[b, :, n + 1], scores[b, m + 1, :] = -np.inf, -np.inf
        scores[b, m + 1, n + 1], gradient[b, m + 1, n + 1] = scores[b, m, n], 1
    out = cuda.to_device(gradient)
    gpu.compute_softdtw_backward_cuda[B, max(M, N)](
        cuda.to_device(padded), cuda.to_device(scores), 1 / gamma, bandwidth, lengths, passes, diagonals, out
    )
    mine = cpu.compute_softdtw_backward(distances, expected.copy(), LENGTHS, gamma, bandwidth)
    np.testing.assert_allclose(out.copy_to_host()[:, 1 : M + 1, 1 : N + 1], mine, rtol=1e-9, atol=1e-12)
