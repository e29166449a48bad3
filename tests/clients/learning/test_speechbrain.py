"""speechbrain: its transducer loss, whose threads wait for each other, against the recursion in NumPy."""

import bare
import numpy as np
from numba import cuda

bare.stand_in("speechbrain.utils.logger", get_logger=__import__("logging").getLogger)
loss = bare.module("speechbrain.integrations.numba.transducer_loss")

B, T, U, V, BLANK = 3, 9, 5, 6, 0  # U is one more than the longest label
RNG = np.random.default_rng(1)
ACTS = RNG.standard_normal((B, T, U, V))
LOG_PROBS = ACTS - np.log(np.exp(ACTS).sum(axis=-1, keepdims=True))
LABELS = RNG.integers(1, V, (B, U - 1)).astype(np.int32)
FRAMES, LENGTHS = np.array([T, T - 3, T], np.int32), np.array([U - 1, U - 2, 1], np.int32)


def forward(log_probs, labels):
    frames, width, _ = log_probs.shape
    alphas = np.zeros((frames, width))
    for t in range(frames):
        for u in range(width):
            before = []
            if t:
                before.append(alphas[t - 1, u] + log_probs[t - 1, u, BLANK])
            if u:
                before.append(alphas[t, u - 1] + log_probs[t, u - 1, labels[u - 1]])
            alphas[t, u] = np.logaddexp.reduce(before) if before else 0
    return alphas


def score(log_probs, labels):
    return forward(log_probs, labels)[-1, -1] + log_probs[-1, -1, BLANK]


def of(b):
    return LOG_PROBS[b, : FRAMES[b], : LENGTHS[b] + 1], LABELS[b]


def test_loss_and_gradient():
    log_probs, labels, frames, lengths = map(cuda.to_device, (LOG_PROBS, LABELS, FRAMES, LENGTHS))
    alpha, beta, grads = (cuda.to_device(np.zeros(shape)) for shape in ((B, T, U), (B, T, U), (B, T, U, V)))
    ways = []
    for kernel, table in ((loss.cu_kernel_forward, alpha), (loss.cu_kernel_backward, beta)):
        way, lock = cuda.to_device(np.zeros(B)), cuda.to_device(np.zeros((B, U), np.int32))
        kernel[B, U](log_probs, labels, table, way, frames, lengths, BLANK, lock)
        ways.append(way.copy_to_host())
    loss.cu_kernel_compute_grad[T, B](log_probs, labels, alpha, beta, grads, frames, lengths, BLANK)
    for b in range(B):
        np.testing.assert_allclose([way[b] for way in ways], score(*of(b)) / FRAMES[b], rtol=1e-12)
        found, step = alpha.copy_to_host()[b, : FRAMES[b], : LENGTHS[b] + 1], 1e-6
        np.testing.assert_allclose(found, forward(*of(b)), rtol=1e-12)
        for place in ((0, 0, BLANK), (1, 0, LABELS[b, 0]), (2, 1, BLANK), (FRAMES[b] - 1, LENGTHS[b], BLANK)):
            more, less = of(b)[0].copy(), of(b)[0].copy()
            more[place] += step
            less[place] -= step
            slope = (score(more, LABELS[b]) - score(less, LABELS[b])) / (2 * step)
            np.testing.assert_allclose(grads.copy_to_host()[b][place], -slope, atol=1e-7)
