"""Small kernels for numba-cuda-mlir. test_mlir.py runs each on the emulator and compares it with NumPy."""

import math

import numpy as np
from numba_cuda_mlir import cuda, types

TILE = 8
FILTER = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32)


def axpy(x, y, out, a):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = a * x[i] + y[i]


def clipped(x, out):
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        v = x[i]
        if v < 0:
            v = -v if v % 7 else v // 3
        elif v > 100:
            v = 100
        out[i] = v


def block_sum(x, out):
    part = cuda.shared.array(128, types.float32)
    t = cuda.threadIdx.x
    total = types.float32(0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        total += x[i]
    part[t] = total
    cuda.syncthreads()
    step = 64
    while step > 0:
        if t < step:
            part[t] += part[t + step]
        cuda.syncthreads()
        step //= 2
    if t == 0:
        cuda.atomic.add(out, 0, part[0])


def warp_scan(x, sums, votes):
    i = cuda.grid(1)
    lane = cuda.laneid
    v = x[i]
    step = 1
    while step < 32:
        other = cuda.shfl_up_sync(0xFFFFFFFF, v, step)
        if lane >= step:
            v += other
        step *= 2
    sums[i] = v
    votes[i] = cuda.ballot_sync(0xFFFFFFFF, x[i] > 0)


def matmul_tiled(a, b, c):
    left = cuda.shared.array((TILE, TILE), types.float32)
    right = cuda.shared.array((TILE, TILE), types.float32)
    column, row = cuda.grid(2)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    total = types.float32(0)
    for first in range(0, a.shape[1], TILE):
        left[y, x] = a[row, first + x] if row < a.shape[0] and first + x < a.shape[1] else types.float32(0)
        right[y, x] = b[first + y, column] if first + y < b.shape[0] and column < b.shape[1] else types.float32(0)
        cuda.syncthreads()
        for k in range(TILE):
            total += left[y, k] * right[k, x]
        cuda.syncthreads()
    if row < c.shape[0] and column < c.shape[1]:
        c[row, column] = total


def softmax(x, out):
    row = cuda.blockIdx.x
    lane = cuda.threadIdx.x
    most = types.float32(-1e30)
    for i in range(lane, x.shape[1], 32):
        most = max(most, x[row, i])
    step = 16
    while step > 0:
        most = max(most, cuda.shfl_xor_sync(0xFFFFFFFF, most, step))
        step //= 2
    total = types.float32(0)
    for i in range(lane, x.shape[1], 32):
        total += math.exp(x[row, i] - most)
    step = 16
    while step > 0:
        total += cuda.shfl_xor_sync(0xFFFFFFFF, total, step)
        step //= 2
    for i in range(lane, x.shape[1], 32):
        out[row, i] = math.exp(x[row, i] - most) / total


def histogram(x, counts, extremes):
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.add(counts, x[i] & 15, 1)
        cuda.atomic.max(extremes, 0, x[i])
        cuda.atomic.min(extremes, 1, x[i])


def greet(x):
    if cuda.threadIdx.x == 1:
        # of an integer of 32 bits, version 0.6.0 stores 32 bits and prints 64
        print("thread", types.int64(cuda.threadIdx.x), "value", types.int64(x[1]))


def blur(x, out):
    weights = cuda.const.array_like(FILTER)
    column, row = cuda.grid(2)
    if row < x.shape[0] and column < x.shape[1]:
        total = types.float32(0)
        for r in range(3):
            for s in range(3):
                y, z = row + r - 1, column + s - 1
                if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
                    total += weights[r, s] * x[y, z]
        out[row, column] = total


def convolve(x, weights, out):
    i = cuda.grid(1)
    n, k, p, q = out.shape
    if i < n * k * p * q:
        column, row, channel, image = i % q, i // q % p, i // (q * p) % k, i // (q * p * k)
        total = types.float32(0)
        for c in range(x.shape[1]):
            for r in range(weights.shape[2]):
                for s in range(weights.shape[3]):
                    total += x[image, c, row + r, column + s] * weights[channel, c, r, s]
        out[image, channel, row, column] = total


@cuda.jit(device=True, forceinline=False)
def polynomial(v):
    return (v * types.float32(0.5) + types.float32(1)) * v


def called(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = polynomial(x[i]) + polynomial(out[i])


def local_sorted(x, out):
    mine = cuda.local.array(16, types.int32)
    t = cuda.threadIdx.x
    for i in range(16):
        v = x[t, i]
        at = i
        while at > 0 and mine[at - 1] > v:
            mine[at] = mine[at - 1]
            at -= 1
        mine[at] = v
    for i in range(16):
        out[t, i] = mine[i]


def functions(x, out):
    i = cuda.grid(1)
    if i < x.size:
        v = x[i]
        out[i, 0] = math.exp(v)
        out[i, 1] = math.sin(v)
        out[i, 2] = math.log(abs(v) + 1)
        out[i, 3] = math.sqrt(abs(v))
        out[i, 4] = math.erf(v)
        out[i, 5] = math.tanh(v)
