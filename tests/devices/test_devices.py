"""Devices: limits of a launch, the simulator's threads, the guarded device's traps, and the calls to a GPU's driver."""

import math
import os
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
from numba import cuda, float32, int32

from algorithms.direct.plain import Direct, DirectPlan
from convbench.devices import MAX_SHARED_BYTES, GuardedDevice
from convbench.devices.device import check_launch
from convbench.devices.guarded import GUARD_BYTES
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError, DeviceError, OutOfDeviceMemoryError
from convbench.problem.notation import parse


@pytest.fixture
def simulator() -> SimulatorDevice:
    return SimulatorDevice()


# ---- launching


@pytest.mark.parametrize(
    ("grid", "block", "shared", "rule"),
    [
        ((0, 1, 1), (1, 1, 1), 0, "at least 1"),
        ((1, 65536, 1), (1, 1, 1), 0, "65535"),
        ((2**31, 1, 1), (1, 1, 1), 0, "2147483647"),
        ((1, 1, 1), (32, 33, 1), 0, "1024 threads, this one 1056"),
        ((1, 1, 1), (1, 1, 65), 0, "64"),
        ((1, 1, 1), (1, 1, 1), MAX_SHARED_BYTES + 1, "shared memory"),
    ],
)
def test_a_launch_that_no_gpu_takes_is_refused_everywhere(grid, block, shared, rule):
    with pytest.raises(ConfigError, match=rule):
        check_launch(grid, block, shared)


@cuda.jit(device=True)
def twice(value):
    return value + value


@cuda.jit
def reverse_blocks(x, y, offset):
    """Every feature at once: barriers, static and dynamic shared memory, local memory, a device function, a tuple."""
    i = cuda.threadIdx.x + 4 * cuda.threadIdx.y
    tile = cuda.shared.array(8, float32)
    more = cuda.shared.array(0, int32)
    mine = cuda.local.array(2, float32)
    tile[i] = x[cuda.blockIdx.x, i]
    more[i] = i
    cuda.syncthreads()
    mine[0] = twice(tile[7 - i])
    mine[1] = more[7 - i]
    y[cuda.blockIdx.x, i] = mine[0] + mine[1] + offset[1] + math.sqrt(float32(4))


def test_the_simulator_runs_a_kernel_as_a_gpu_would(simulator):
    x = np.arange(24, dtype=np.float32).reshape(3, 8)
    y = simulator.empty((3, 8), np.float32)
    simulator.launch("multiply", reverse_blocks, 3, (4, 2), simulator.upload(x), y, (0, 10), shared_bytes=32)
    expected = 2 * x[:, ::-1] + np.arange(8)[::-1] + 12
    np.testing.assert_array_equal(simulator.download(y), expected)


@cuda.jit
def where_am_i(out):
    at = (cuda.blockIdx.z * 2 + cuda.blockIdx.y) * 2 + cuda.blockIdx.x
    thread = (cuda.threadIdx.z * 2 + cuda.threadIdx.y) * 2 + cuda.threadIdx.x
    out[at, thread] += 1
    out[at, 8] = cuda.gridDim.x * cuda.gridDim.y * cuda.gridDim.z * cuda.blockDim.z


def test_every_thread_of_a_3_d_grid_runs_once(simulator):
    out = simulator.upload(np.zeros((8, 9), np.int32))
    simulator.launch("multiply", where_am_i, (2, 2, 2), (2, 2, 2), out)
    np.testing.assert_array_equal(simulator.download(out)[:, :8], 1)
    np.testing.assert_array_equal(simulator.download(out)[:, 8], 16)


@cuda.jit
def count_votes(out):
    i = cuda.threadIdx.x
    out[0, i] = cuda.syncthreads_count(i < 3)
    out[1, i] = cuda.syncthreads_and(i < 5)
    out[2, i] = cuda.syncthreads_and(i < 3)
    out[3, i] = cuda.syncthreads_or(i == 4)
    out[4, i] = cuda.syncthreads_or(i > 4)


def test_votes_at_a_barrier(simulator):
    out = simulator.empty((5, 5), np.int32)
    simulator.launch("multiply", count_votes, 1, 5, out)
    np.testing.assert_array_equal(simulator.download(out), np.repeat([[3], [1], [0], [1], [0]], 5, axis=1))


@cuda.jit
def leave_early(y):
    if cuda.threadIdx.x > 1:
        return
    cuda.syncthreads()
    y[cuda.threadIdx.x] = 1


def test_leaving_before_a_barrier_is_an_error(simulator):
    with pytest.raises(DeviceError, match="leave_early: 2 of 4 threads"):
        simulator.launch("multiply", leave_early, 1, 4, simulator.empty((4,), np.float32))


@cuda.jit
def read_unwritten(y):
    tile = cuda.shared.array(4, float32)
    y[cuda.threadIdx.x] = tile[cuda.threadIdx.x]


def test_shared_memory_that_nobody_wrote_is_nan(simulator):
    y = simulator.empty((4,), np.float32)
    simulator.launch("multiply", read_unwritten, 1, 4, y)
    assert np.isnan(simulator.download(y)).all()


@cuda.jit
def overflow(y):
    y[cuda.threadIdx.x] = float32(3e38) * float32(10)


def test_arithmetic_in_a_kernel_does_not_warn(simulator):
    y = simulator.empty((4,), np.float32)
    simulator.launch("multiply", overflow, 1, 4, y)
    assert np.isinf(simulator.download(y)).all()


@cuda.jit
def two_arrays_on_one_line(y):
    a, b = cuda.shared.array(4, float32), cuda.shared.array(4, float32)
    i = cuda.threadIdx.x
    a[i], b[i] = 1, 2
    cuda.syncthreads()
    y[i] = a[3 - i] + 10 * b[3 - i]


def test_two_shared_arrays_on_one_line_are_two(simulator):
    y = simulator.empty((4,), np.float32)
    simulator.launch("multiply", two_arrays_on_one_line, 1, 4, y)
    np.testing.assert_array_equal(simulator.download(y), 21)


@cuda.jit
def synchronise_a_warp(y):
    cuda.syncwarp()
    y[cuda.threadIdx.x] = 1


def test_what_the_simulator_lacks_is_named(simulator):
    with pytest.raises(DeviceError, match=r"the simulator has no cuda\.syncwarp"):
        simulator.launch("multiply", synchronise_a_warp, 1, 4, simulator.empty((4,), np.float32))


def test_the_simulator_has_no_room_for_the_impossible(simulator):
    with pytest.raises(OutOfDeviceMemoryError):
        simulator.empty((2**40, 2**20), np.float32)


def test_the_simulator_refuses_what_would_take_hours(simulator):
    assert simulator.refuses(parse("n1c6h14w14-k16r5s5")) is None
    assert "462,422,016" in str(simulator.refuses(parse("n1c64h112w112-k64r3s3-pad1")))


def test_phases_are_timed_by_name(simulator):
    y = simulator.empty((4,), np.float32)

    def work():
        simulator.launch("pack", read_unwritten, 1, 4, y)
        simulator.launch("multiply", read_unwritten, 1, 4, y)
        simulator.launch("multiply", read_unwritten, 1, 4, y)

    phases = simulator.phases_us(work)
    assert list(phases) == ["pack", "multiply"]
    assert min(phases.values()) > 0
    assert simulator.elapsed_us(work) > 0


# ---- traps


def test_unwritten_elements_of_a_guarded_array_are_nan(simulator):
    guarded = GuardedDevice(simulator)
    for dtype in (np.float32, np.float64, np.complex64, np.float16):
        assert np.isnan(guarded.download(guarded.empty((3, 5), dtype))).all()
    array = guarded.upload(np.ones((3, 5), np.float32))
    np.testing.assert_array_equal(guarded.download(array), 1)
    guarded.poison(array)
    assert np.isnan(guarded.download(array)).all()
    assert guarded.breaches() == []


@pytest.mark.parametrize(("offset", "place"), [(-1, "before"), (0, "after"), (GUARD_BYTES - 1, "after")])
def test_a_write_outside_an_array_is_seen(simulator, offset, place):
    guarded = GuardedDevice(simulator)
    guarded.empty((2,), np.float32)
    guarded.empty((3, 5), np.float32)
    raw, _ = guarded._allocations[1]
    raw[GUARD_BYTES + (60 + offset if place == "after" else offset)] = 0
    assert guarded.breaches() == [f"wrote {place} array 1 of shape (3, 5)"]


def test_a_nan_written_outside_an_array_is_seen(simulator):
    guarded = GuardedDevice(simulator)
    guarded.empty((4,), np.float32)
    raw, _ = guarded._allocations[0]
    raw[GUARD_BYTES - 4 : GUARD_BYTES].view(np.float32)[0] = np.nan
    assert guarded.breaches() == ["wrote before array 0 of shape (4,)"]


def test_an_algorithm_that_writes_outside_is_wrong(simulator):
    """The whole verification reports it, not only the guard itself."""
    from convbench.measurement import Case, verify

    class BreachingPlan(DirectPlan):
        def run(self, source, target):
            super().run(source, target)
            base = target
            while base.base is not None:
                base = base.base
            base[0] = 7

    class Breaching(Direct):
        name = "breaching"
        plans: ClassVar = {"forward": BreachingPlan}

    verdict = verify(Breaching(), Case(parse("n1c1h3w3-k1r1s1"), 0), simulator)
    assert not verdict.passed
    assert "out of bounds: wrote before array" in str(verdict.reason)


# ---- the device for GPUs, as far as it goes without one


def test_the_cuda_device_runs_on_numbas_own_simulator():
    """In a process where numba.cuda is the simulator as a whole: every call that CudaDevice makes is really made.

    It knows no intrinsics, so that only algorithms run that have none.
    """
    script = """
import numpy as np
from convbench.algorithm import registry
import contextlib
from convbench.devices import cuda
from convbench.devices.cuda import CudaDevice
from convbench.measurement.execution import Execution
from convbench.problem.notation import parse
from convbench.measurement import Case

class Device(CudaDevice):
    max_shared_bytes = 48 * 1024  # Numba's simulator does not know this of its GPU
    def _keep_on_disk(self, kernel):  # and compiles nothing
        pass
    def check_room(self, wanted):  # nor how much memory there is
        pass
    def _transposed(self, array, axes):  # and its arrays are made otherwise
        return type(array)(array._ary.transpose(axes))

class Gate:  # and has no host memory that a GPU sees
    closed = contextlib.nullcontext
    def check(self):
        pass

cuda.Gate, cuda._nvml_of = Gate, lambda gpu: (None, "no clocks")
device = Device()
for text in ("n1c2h4w4-k2r3s3-pad1-bias", "n1c2h3w3-k2r1s2-g2-pad1-reflect"):
    for name in ("direct", "im2col_gemm"):
        algorithm = registry.get(name)
        problem = parse(text)
        for direction in algorithm.plans:
            t, expected = Case(problem, 0, direction).of("uniform")
            execution = Execution(algorithm, problem, direction, device, t)
            execution.load()
            for array in execution.outputs.values():
                device.write(array, np.full(array.shape, np.nan, np.float32))
            assert device.elapsed_us(execution.run) < 0, "Numba's simulator gives -1 for every pair of events"
            bounds = algorithm.error_bounds(problem, direction, t, expected=expected)
            for name_of, actual in execution.results().items():
                assert (np.abs(actual - expected[name_of]) <= bounds[name_of]).all(), (text, name, direction)
        print(text, name)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300,
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4, done.stdout


@pytest.mark.parametrize("axes", [(0, 3, 1, 2), (3, 2, 0, 1), (0, 2, 3, 1)])
def test_the_cuda_device_sees_axes_in_another_order_without_a_copy(axes):
    """Numba's own transpose of more than two axes is none; memory is a stand-in, because it is never used."""
    from numba.cuda.cudadrv.devicearray import DeviceNDArray

    from convbench.devices.cuda import CudaDevice

    host, memory = np.zeros((2, 3, 4, 5), np.float32), object()
    array = DeviceNDArray(host.shape, host.strides, host.dtype, gpu_data=memory)
    seen = CudaDevice._transposed(None, array, axes)
    assert (seen.shape, seen.strides) == (host.transpose(axes).shape, host.transpose(axes).strides)
    assert seen.gpu_data is memory


@pytest.mark.parametrize(("dtype", "capability"), [("float16", (5, 2)), ("bfloat16", (7, 5))])
def test_a_dtype_that_the_hardware_lacks_is_refused_by_name(simulator, dtype, capability):
    problem = parse(f"n1c1h3w3-k1r1s1-{dtype}")
    assert simulator.refuses(problem) is None
    simulator.compute_capability = capability
    reason = str(simulator.refuses(problem))
    for word in (dtype, ".".join(map(str, capability)), "simulator"):
        assert word in reason
    assert simulator.refuses(parse("n1c1h3w3-k1r1s1-float64")) is None


def test_numbas_environment_variable_is_named_as_the_reason():
    script = "from convbench import devices; print(devices.cuda_fault())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60,
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
    )  # fmt: skip
    assert "NUMBA_ENABLE_CUDASIM" in done.stdout
