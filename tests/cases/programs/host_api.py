"""A program that uses the host API of numba.cuda: every part of it prints its name when its values are right."""

import contextlib
import io
import math

import numpy as np
from numba import cuda, guvectorize, vectorize
from numba.cuda import cg
from numba.cuda.random import create_xoroshiro128p_states, xoroshiro128p_uniform_float32


@cuda.jit
def increment(x):
    i = cuda.grid(1)
    if i < x.size:
        x[i] += 1


@cuda.jit("void(float32[:], float32[:], int32)")
def declared(x, y, n):
    i = cuda.grid(1)
    if i < n:
        y[i] = 2 * x[i]


square = cuda.jit(
    lambda a: (
        a
        * a
    ),
    device=True,
)  # fmt: skip


@cuda.jit
def squares(x):
    i = cuda.grid(1)
    x[i] = square(x[i])


@cuda.jit
def draws(states, out):
    i = cuda.grid(1)
    out[i] = xoroshiro128p_uniform_float32(states, i)


@cuda.jit
def meets(x):
    grid = cg.this_grid()
    i = cuda.grid(1)
    x[i] = i
    grid.sync()
    if i == 0:
        for j in range(1, x.size):
            x[0] += x[j]


@cuda.reduce
def add(a, b):
    return a + b


def arrays():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    d = cuda.to_device(x)
    assert (d.shape, d.dtype, d.strides, d.nbytes, cuda.is_cuda_array(d)) == ((3, 4), x.dtype, x.strides, 48, True)
    np.testing.assert_array_equal(d[1:, ::2].copy_to_host(), x[1:, ::2])
    np.testing.assert_array_equal(d.T.copy_to_host(), x.T)
    d[1, 2] = 50
    assert d[1, 2] == 50
    like = cuda.device_array_like(d)
    like.copy_to_device(d)
    into = np.zeros_like(x)
    like.copy_to_host(into)
    assert into[1, 2] == 50
    flat = d.reshape(12)[2:7]
    increment[1, 32](flat)
    np.testing.assert_array_equal(d.copy_to_host().reshape(12)[2:7], [3, 4, 5, 6, 51])


def host_memory():
    for made in (cuda.pinned_array(4), cuda.mapped_array(4), cuda.managed_array(4)):
        made[:] = 1
        increment[1, 4](made)
        np.testing.assert_array_equal(made, 2)
    ours = np.zeros(4)
    with cuda.pinned(ours):
        pass
    with cuda.mapped(ours) as mapped:
        increment[1, 4](mapped)
    np.testing.assert_array_equal(ours, 1)
    host = np.zeros(4)
    increment[1, 4](host)  # copied there and back
    np.testing.assert_array_equal(host, 1)


def records():
    kind = np.dtype([("a", np.int32), ("b", np.float64)], align=True)

    @cuda.jit
    def fill(r):
        i = cuda.grid(1)
        r[i].a = i
        r[i].b = i / 2

    d = cuda.device_array(3, kind)
    fill[1, 3](d)
    host = d.copy_to_host()
    assert host["a"].tolist() == [0, 1, 2]
    assert host["b"].tolist() == [0, 0.5, 1]


def streams_and_events():
    stream = cuda.stream()
    begin, end = cuda.event(), cuda.event()
    begin.record(stream)
    d = cuda.to_device(np.zeros(4), stream=stream)
    with stream.auto_synchronize():
        increment[1, 4, stream](d)
    end.record(stream)
    end.synchronize()
    end.wait(stream)
    assert end.query()
    assert cuda.event_elapsed_time(begin, end) > 0
    assert begin.elapsed_time(end) > 0
    cuda.default_stream().synchronize()
    cuda.external_stream(77).synchronize()


def devices():
    assert cuda.is_available()
    assert len(cuda.gpus) == len(cuda.list_devices()) == 1
    assert cuda.select_device(0).compute_capability == cuda.get_current_device().compute_capability
    with cuda.gpus[0]:
        cuda.synchronize()
    free, total = cuda.current_context().get_memory_info()
    kept = cuda.device_array(2**20, np.uint8)
    assert cuda.current_context().get_memory_info() == (free - kept.nbytes, total)
    with cuda.defer_cleanup():
        del kept
    with contextlib.redirect_stdout(io.StringIO()) as told:
        assert cuda.detect()
    assert "emulator" in told.getvalue()
    cuda.profile_start()
    cuda.profile_stop()
    with cuda.profiling():
        pass
    assert cuda.current_context().get_memory_info().free <= total


def array_interface():
    class Foreign:
        __cuda_array_interface__ = cuda.to_device(np.arange(4.0)).__cuda_array_interface__

    foreign = Foreign()
    increment[1, 4](foreign)
    np.testing.assert_array_equal(cuda.as_cuda_array(foreign).copy_to_host(), [1, 2, 3, 4])


def signatures():
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    declared[1, 4](x, y, 3)
    assert y.tolist() == [0, 2, 4, 0]
    d = cuda.to_device(np.arange(4.0))
    squares[1, 4](d)
    assert d.copy_to_host().tolist() == [0, 1, 4, 9]
    increment.forall(4)(d)
    assert d.copy_to_host().tolist() == [1, 2, 5, 10]


def reductions():
    assert add(np.arange(1000.0)) == 499500
    assert add(cuda.to_device(np.arange(10)), init=5) == 50


def ufuncs():
    @vectorize(["float32(float32, float32)"], target="cuda")
    def hypotenuse(a, b):
        return math.sqrt(a * a + b * b)

    a = np.arange(5, dtype=np.float32)
    np.testing.assert_allclose(hypotenuse(a, a), np.hypot(a, a), rtol=1e-6)

    @guvectorize(["void(float32[:], float32[:])"], "(n)->()", target="cuda")
    def total(row, out):
        out[0] = 0
        for value in row:
            out[0] += value

    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(total(rows), rows.sum(axis=1))


def random():
    states = create_xoroshiro128p_states(64, seed=1)
    out = cuda.device_array(64, np.float32)
    draws[2, 32](states, out)
    values = out.copy_to_host()
    assert 0 <= values.min() < values.max() < 1
    assert len(set(values.tolist())) == 64


def cooperative():
    x = cuda.device_array(64)
    meets[2, 32](x)
    assert x.copy_to_host()[0] == 63 * 64 / 2


def linked_code():
    source = cuda.CUSource("""
        extern "C" __device__ int twice(int *result, int x) { *result = 2 * x; return 0; }
    """)
    twice = cuda.declare_device("twice", "int32(int32)", link=source)

    @cuda.jit
    def doubled(x):
        i = cuda.grid(1)
        x[i] = twice(x[i])

    d = cuda.to_device(np.arange(4, dtype=np.int32))
    doubled[1, 4](d)
    assert d.copy_to_host().tolist() == [0, 2, 4, 6]


def refused():
    from convbench.emulator import UnsupportedError

    d = cuda.to_device(np.zeros(4))
    for use in (
        d.get_ipc_handle,
        lambda: cuda.gpus[0].MAX_PITCH,
        lambda: cuda.current_context().enable_peer_access(cuda.current_context()),
    ):
        try:
            use()
        except UnsupportedError as error:
            assert "emulat" in str(error)
            assert ":" in str(error)
        else:
            raise AssertionError(use)
    try:
        cuda.device_array(2**40, np.uint8)
    except cuda.cudadrv.driver.CudaAPIError as error:
        assert "CUDA_ERROR_OUT_OF_MEMORY" in str(error)
        assert "--memory" in str(error)
    else:
        raise AssertionError("memory without end")


for part in (
    arrays,
    host_memory,
    records,
    streams_and_events,
    devices,
    array_interface,
    signatures,
    reductions,
    ufuncs,
    random,
    cooperative,
    linked_code,
    refused,
):
    part()
    print(part.__name__)
