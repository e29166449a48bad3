"""Small kernels in Triton. test_triton.py runs each on the emulator and compares it with NumPy."""

import triton
import triton.language as tl


@triton.jit
def add(x, y, out, n, block: tl.constexpr):
    i = tl.program_id(0) * block + tl.arange(0, block)
    inside = i < n
    tl.store(out + i, tl.load(x + i, mask=inside) + tl.load(y + i, mask=inside), mask=inside)


@triton.jit
def clipped(x, out, n, block: tl.constexpr):
    i = tl.program_id(0) * block + tl.arange(0, block)
    v = tl.load(x + i, mask=i < n, other=0)
    w = tl.where(v < 0, tl.where(v % 7 != 0, -v, v // 3), tl.minimum(v, 100))
    tl.store(out + i, (w << 1) ^ (v >> 2), mask=i < n)


@triton.jit
def softmax(x, out, columns, block: tl.constexpr):
    row, i = tl.program_id(0), tl.arange(0, block)
    v = tl.load(x + row * columns + i, mask=i < columns, other=-float("inf"))
    v = tl.exp(v - tl.max(v, 0))
    tl.store(out + row * columns + i, v / tl.sum(v, 0), mask=i < columns)


@triton.jit
def normalised(x, weight, bias, out, columns, epsilon, block: tl.constexpr):
    row, i = tl.program_id(0), tl.arange(0, block)
    v = tl.load(x + row * columns + i, mask=i < columns, other=0.0).to(tl.float32)
    mean = tl.sum(v, 0) / columns
    centred = tl.where(i < columns, v - mean, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, 0) / columns + epsilon)
    w, b = tl.load(weight + i, mask=i < columns), tl.load(bias + i, mask=i < columns)
    tl.store(out + row * columns + i, centred * scale * w + b, mask=i < columns)


@triton.jit
def histogram(x, counts, extremes, n, block: tl.constexpr):
    i = tl.program_id(0) * block + tl.arange(0, block)
    v = tl.load(x + i, mask=i < n, other=0)
    tl.atomic_add(counts + (v & 15), 1, mask=i < n)
    tl.atomic_max(extremes, tl.max(v, 0))
    tl.atomic_min(extremes + 1, tl.min(v, 0))
    tl.atomic_xor(extremes + 2, tl.xor_sum(v, 0))


@triton.jit
def summed(x, total, lock, n, block: tl.constexpr):
    i = tl.program_id(0) * block + tl.arange(0, block)
    part = tl.sum(tl.load(x + i, mask=i < n, other=0.0), 0)
    while tl.atomic_cas(lock, 0, 1) == 1:
        pass
    tl.store(total, tl.load(total) + part)
    tl.atomic_xchg(lock, 0)


@triton.jit
def matmul(a, b, c, m, n, k, rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr):
    i = tl.program_id(0) * rows + tl.arange(0, rows)
    j = tl.program_id(1) * columns + tl.arange(0, columns)
    p = tl.arange(0, depth)
    zero: tl.constexpr = 0 if a.dtype.element_ty == tl.int8 else 0.0
    total = tl.full((rows, columns), zero, tl.int32 if a.dtype.element_ty == tl.int8 else tl.float32)
    for first in range(0, k, depth):
        q = first + p
        x = tl.load(a + i[:, None] * k + q[None, :], mask=(i[:, None] < m) & (q[None, :] < k), other=zero)
        y = tl.load(b + q[:, None] * n + j[None, :], mask=(q[:, None] < k) & (j[None, :] < n), other=zero)
        total = tl.dot(x, y, total)
    tl.store(c + i[:, None] * n + j[None, :], total, mask=(i[:, None] < m) & (j[None, :] < n))


@triton.jit
def scanned(x, sums, ordered, columns: tl.constexpr):
    i = tl.program_id(0) * columns + tl.arange(0, columns)
    v = tl.load(x + i)
    tl.store(sums + i, tl.cumsum(v, 0))
    tl.store(ordered + i, tl.sort(v))


@triton.jit
def convolve(x, weights, out, channels, height, width, taps: tl.constexpr, block: tl.constexpr):
    """One image; a program has some columns of one row of one output channel."""
    row, k = tl.program_id(0), tl.program_id(1)
    i = tl.arange(0, block)
    p, q = height - taps + 1, width - taps + 1
    total = tl.zeros((block,), tl.float32)
    for c in range(channels):
        for r in tl.static_range(taps):
            for s in tl.static_range(taps):
                v = tl.load(x + (c * height + row + r) * width + i + s, mask=i < q, other=0.0)
                total += v * tl.load(weights + ((k * channels + c) * taps + r) * taps + s)
    tl.store(out + (k * p + row) * q + i, total, mask=i < q)


@triton.jit(noinline=True)
def polynomial(v):
    return (v * 0.5 + 1.0) * v - 3.0


@triton.jit
def called(x, out, n):
    for i in range(n):
        tl.store(out + i, polynomial(tl.load(x + i)) + polynomial(tl.load(x + i) + 1.0))


@triton.jit
def greet(x, block: tl.constexpr):
    i = tl.arange(0, block)
    tl.device_print("value: ", tl.load(x + i))


@triton.jit
def functions(x, out, n, block: tl.constexpr):
    i = tl.arange(0, block)
    v = tl.load(x + i)
    tl.store(out + i, tl.exp2(v))
    tl.store(out + n + i, tl.sin(v))
    tl.store(out + 2 * n + i, tl.log(tl.abs(v) + 1))
    tl.store(out + 3 * n + i, tl.erf(v))
    tl.store(out + 4 * n + i, tl.floor(v) + tl.ceil(v * 3))
    tl.store(out + 5 * n + i, tl.sqrt_rn(tl.abs(v)))
    tl.store(out + 6 * n + i, tl.div_rn(v, 3.0))


@triton.jit
def transposed(x, out, n: tl.constexpr):
    i, j = tl.arange(0, n), tl.arange(0, n)
    v = tl.load(x + i[:, None] * n + j[None, :])
    tl.store(out + i[:, None] * n + j[None, :], tl.trans(v))


@triton.jit
def described(x, out, n, size: tl.constexpr):
    wanted = tl.make_tensor_descriptor(x, shape=[n, n], strides=[n, 1], block_shape=[size, size])
    i, j = tl.arange(0, size), tl.arange(0, size)
    tl.store(out + i[:, None] * size + j[None, :], wanted.load([0, 0]))


@triton.jit
def attention(q, k, v, out, length, scale, rows: tl.constexpr, columns: tl.constexpr, size: tl.constexpr):
    """One head: softmax(q · kᵀ · scale) · v, with a running maximum."""
    i = tl.program_id(0) * rows + tl.arange(0, rows)
    j, d = tl.arange(0, columns), tl.arange(0, size)
    x = tl.load(q + i[:, None] * size + d[None, :])
    most = tl.full((rows,), -float("inf"), tl.float32)
    total = tl.zeros((rows,), tl.float32)
    found = tl.zeros((rows, size), tl.float32)
    for first in range(0, length, columns):
        y = tl.load(k + (first + j)[None, :] * size + d[:, None])
        s = tl.dot(x, y) * scale
        larger = tl.maximum(most, tl.max(s, 1))
        p = tl.exp(s - larger[:, None])
        shrunk = tl.exp(most - larger)
        total = total * shrunk + tl.sum(p, 1)
        w = tl.load(v + (first + j)[:, None] * size + d[None, :])
        found = tl.dot(p.to(w.dtype), w, found * shrunk[:, None])
        most = larger
    tl.store(out + i[:, None] * size + d[None, :], found / total[:, None])


@triton.jit
def half_product(a, b, c, size: tl.constexpr):
    """Sums are float16."""
    i = tl.arange(0, size)
    at = i[:, None] * size + i[None, :]
    tl.store(c + at, tl.dot(tl.load(a + at), tl.load(b + at), out_dtype=tl.float16))


@triton.jit
def gathered(x, index, out, n: tl.constexpr):
    i = tl.arange(0, n)
    v = tl.load(x + i)
    tl.store(out + i, tl.gather(v, tl.load(index + i), 0) + tl.flip(v))


@triton.jit
def counted(x, out, n: tl.constexpr, bins: tl.constexpr):
    tl.store(out + tl.arange(0, bins), tl.histogram(tl.load(x + tl.arange(0, n)), bins))


@triton.jit
def small_numbers(x, four, five, back, n: tl.constexpr):
    i = tl.arange(0, n)
    v = tl.load(x + i)
    tl.store(four + i, v.to(tl.float8e4nv).to(tl.uint8, bitcast=True))
    tl.store(five + i, v.to(tl.float8e5).to(tl.uint8, bitcast=True))
    tl.store(
        back + i, v.to(tl.float8e5).to(tl.float32) + v.to(tl.bfloat16).to(tl.float32) + v.to(tl.float16).to(tl.float32)
    )


@triton.jit
def random_numbers(out, seed, n: tl.constexpr):
    i = tl.arange(0, n)
    tl.store(out + i, tl.randint(seed, i))
