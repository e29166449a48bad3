"""NeMo: its transducer losses and SpecAugment on the GPU, unedited, against its losses in NumPy and a mask by hand."""

import sys
from types import SimpleNamespace

import bare
import numpy as np
import pytest
from numba import cuda

LOSS = "nemo.collections.asr.parts.numba.rnnt_loss"
gpu_rnnt = bare.module(f"{LOSS}.utils.cuda_utils.gpu_rnnt")
in_numpy = bare.module(f"{LOSS}.rnnt_numpy")
bare.stand_in("nemo.core.classes", Typing=object, typecheck=lambda: lambda function: function)
bare.stand_in("nemo.core.neural_types", LengthsType=object, NeuralType=object, SpectrogramType=object)
bare.stand_in("nemo.utils", logging=SimpleNamespace())
spec_aug = bare.module("nemo.collections.asr.parts.numba.spec_augment.spec_aug_numba")

B, T, U, V = 3, 7, 5, 6  # U is one more than the longest label
RNG = np.random.default_rng(1)
ACTS = RNG.standard_normal((B, T, U, V)).astype(np.float32)
LABELS = RNG.integers(1, V, (B, U - 1))
LENGTHS, LABEL_LENGTHS = np.array([T, T - 2, T]), np.array([U - 1, U - 2, 1])


def log_softmax(acts):
    return acts - np.log(np.exp(acts).sum(axis=-1, keepdims=True))


def of_softmax(acts, grads):
    """The gradient with respect to the activations, of that with respect to their log-softmax."""
    return grads - np.exp(log_softmax(acts)) * grads.sum(axis=-1, keepdims=True)


def workspace(parts):
    return cuda.device_array(parts, np.float32)


@pytest.mark.parametrize("fastemit", [0.0, 0.1])
def test_transducer_loss(fastemit):
    costs, grads = np.zeros(B, np.float32), np.zeros(ACTS.size, np.float32)
    loss = gpu_rnnt.GPURNNT(B, T, U, V, workspace(3 * B * T * U + 2 * B), 0, fastemit, 0.0, 1, cuda.default_stream())
    acts, places = cuda.to_device(ACTS.ravel()), [cuda.to_device(x) for x in (LABELS, LABEL_LENGTHS, LENGTHS)]
    status = loss.cost_and_grad(acts, grads, costs, *places)
    assert status.name == "RNNT_STATUS_SUCCESS"
    expected, derivative = in_numpy.transduce_batch(log_softmax(ACTS), LABELS, LENGTHS, LABEL_LENGTHS, 0, fastemit)
    np.testing.assert_allclose(costs, np.array(expected).ravel(), rtol=1e-5)
    if not fastemit:  # its gradient with FastEmit is another one in NumPy
        np.testing.assert_allclose(grads.reshape(ACTS.shape), of_softmax(ACTS, derivative), atol=1e-5)


def test_a_loss_without_gradient():
    costs = np.zeros(B, np.float32)
    loss = gpu_rnnt.GPURNNT(B, T, U, V, workspace(3 * B * T * U + 2 * B), 0, 0.0, 0.0, 1, cuda.default_stream())
    acts, places = cuda.to_device(ACTS.ravel()), [cuda.to_device(x) for x in (LABELS, LABEL_LENGTHS, LENGTHS)]
    loss.score_forward(acts, costs, *places)
    expected, _ = in_numpy.transduce_batch(log_softmax(ACTS), LABELS, LENGTHS, LABEL_LENGTHS, 0)
    np.testing.assert_allclose(costs, np.array(expected).ravel(), rtol=1e-5)


def multiblank(log_probs, labels, big, sigma):
    """The loss of a transducer whose blanks big[i] (the last tokens but one) advance by as many frames."""
    frames, width, vocabulary = log_probs.shape
    scores, blank = log_probs - sigma, vocabulary - 1
    moves = [(blank, 1), *((blank - 1 - number, duration) for number, duration in enumerate(big))]
    alphas = np.full((frames + 1, width), -np.inf)
    alphas[0, 0] = 0
    for t in range(frames):
        for u in range(width):
            if u:
                alphas[t, u] = np.logaddexp(alphas[t, u], alphas[t, u - 1] + scores[t, u - 1, labels[u - 1]])
            for token, duration in moves:
                if t + duration <= frames and (t + duration < frames or u == width - 1):
                    after = alphas[t, u] + scores[t, u, token]
                    alphas[t + duration, u] = np.logaddexp(alphas[t + duration, u], after)
    return -alphas[frames, width - 1]


def test_transducer_loss_with_large_blanks():
    big, sigma = [2, 4], 0.05
    costs, grads = np.zeros(B, np.float32), np.zeros(ACTS.size, np.float32)
    labels = LABELS % (V - 3)  # the last tokens are blanks
    space = workspace(3 * B * T * U + 2 * B + len(big))
    loss = gpu_rnnt.MultiblankGPURNNT(
        sigma, len(big), B, T, U, V, space, cuda.to_device(np.array(big)), V - 1, 0.0, 0.0, 1, cuda.default_stream()
    )
    acts, places = cuda.to_device(ACTS.ravel()), [cuda.to_device(x) for x in (labels, LABEL_LENGTHS, LENGTHS)]
    loss.cost_and_grad(acts, grads, costs, *places)
    probabilities = log_softmax(ACTS.astype(float))
    expected = [
        multiblank(probabilities[b, : LENGTHS[b], : LABEL_LENGTHS[b] + 1], labels[b], big, sigma) for b in range(B)
    ]
    np.testing.assert_allclose(costs, expected, rtol=1e-5)
    assert np.isfinite(grads).all()
    assert np.abs(grads).max() > 0.01


def test_spec_augment():
    batch, bands, frames, masks = 9, 10, 20, 2
    x = RNG.random((batch, bands, frames)).astype(np.float32) + 1
    lengths = RNG.integers(10, frames + 1, batch)
    begins = [RNG.integers(0, size - 4, (batch, masks)) for size in (bands, frames)]
    widths = [RNG.integers(0, 5, (batch, masks)) for _ in range(2)]
    found = cuda.to_device(x)
    args = [cuda.to_device(a) for a in (lengths, begins[0], widths[0], begins[1], widths[1])]
    spec_aug.spec_augment_kernel[(bands, frames), min(512, batch)](found, *args, 0.0)
    expected = x.copy()
    for b in range(batch):
        for begin, width in zip(begins[0][b], widths[0][b], strict=True):
            expected[b, begin : begin + width] = 0
        for begin, width in zip(begins[1][b], widths[1][b], strict=True):
            expected[b, :, begin : min(begin + width, lengths[b])] = 0
    np.testing.assert_array_equal(found.copy_to_host(), expected)


def test_only_the_modules_with_kernels_were_imported():
    assert "lightning" not in sys.modules
