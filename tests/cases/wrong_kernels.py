"""Kernels with a fault, launched by the wrong algorithms of the contract battery and by those of the fuzzer's tests."""

from numba import cuda
from numba.cuda.types import float16, float32

from convbench.intrinsics import unflatten_on_device

THREADS = 32
FAR = 1_000_000  # an index behind every array of the tests


@cuda.jit
def copy_all_but_last(source, target):
    flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if flat < target.size - 1:
        n, k, p, q = unflatten_on_device(flat, target.shape[1], target.shape[2], target.shape[3])
        target[n, k, p, q] = source[n, k, p, q]


@cuda.jit
def clear_first(array):
    array[0, 0, 0, 0] = 0


@cuda.jit
def write_far_away(array):
    array[0, 0, 0, FAR] = 0


@cuda.jit
def direct_in_half(x, w, bias, y, stride, top_left, dilation, groups):
    flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if flat >= y.size:
        return
    n, k, p, q = unflatten_on_device(flat, y.shape[1], y.shape[2], y.shape[3])
    first_c = k // (y.shape[1] // groups) * w.shape[1]
    total = float16(float32(bias[k]))
    for c in range(w.shape[1]):
        for r in range(w.shape[2]):
            for s in range(w.shape[3]):
                h = p * stride[0] - top_left[0] + r * dilation[0]
                j = q * stride[1] - top_left[1] + s * dilation[1]
                if 0 <= h < x.shape[2] and 0 <= j < x.shape[3]:
                    product = float32(x[n, first_c + c, h, j]) * float32(w[k, c, r, s])
                    total = float16(float32(total) + product)
    y[n, k, p, q] = float32(total)


@cuda.jit
def direct_in_some_order(x, w, bias, y, stride, top_left, dilation, groups, backwards):
    flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if flat >= y.size:
        return
    n, k, p, q = unflatten_on_device(flat, y.shape[1], y.shape[2], y.shape[3])
    first_c = k // (y.shape[1] // groups) * w.shape[1]
    total = float32(bias[k])
    terms = w.shape[1] * w.shape[2] * w.shape[3]
    for number in range(terms):
        _, c, r, s = unflatten_on_device(
            terms - 1 - number if backwards else number, w.shape[1], w.shape[2], w.shape[3]
        )
        h = p * stride[0] - top_left[0] + r * dilation[0]
        j = q * stride[1] - top_left[1] + s * dilation[1]
        if 0 <= h < x.shape[2] and 0 <= j < x.shape[3]:
            total += float32(x[n, first_c + c, h, j]) * float32(w[k, c, r, s])
    y[n, k, p, q] = total
