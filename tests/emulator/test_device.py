"""The emulator as a device of the suite: its memory, its clock, its refusals, and the errors that its faults become."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import cuda, float32

from cases.wrong_algorithms import WithoutMistake, algorithm_of
from convbench import devices, workload
from convbench.devices import GuardedDevice, emulator
from convbench.devices.emulator import MAX_CHECKED_MACS, EmulatorDevice
from convbench.errors import CompileError, ConfigError, KernelError, OutOfDeviceMemoryError, RefusedError
from convbench.measurement import Case, Effort, Harness, jobs, verify
from convbench.problem.notation import parse

SMALL = parse("n1c2h5w5-k2r3s3-pad1-bias")


@pytest.fixture(scope="module")
def fast() -> EmulatorDevice:
    return EmulatorDevice(workers=2)


@pytest.fixture(scope="module")
def checked() -> EmulatorDevice:
    return EmulatorDevice(checked=True)


@pytest.fixture(params=["fast", "checked"])
def either(request) -> EmulatorDevice:
    return request.getfixturevalue(request.param)


# ---- memory


@given(st.lists(st.integers(1, 5), max_size=3), st.sampled_from((np.float32, np.float64, np.complex64, np.uint8)))
def test_arrays_begin_where_cuda_begins_them(fast, shape, dtype):
    host = np.ones(shape, dtype)
    guarded = GuardedDevice(fast)
    for array in (fast.empty(tuple(shape), dtype), fast.upload(host), guarded.upload(host)):
        assert array.ctypes.data % 256 == 0
        assert (array.shape, array.dtype) == (host.shape, host.dtype)
    np.testing.assert_array_equal(fast.download(array), host)


def test_a_download_is_a_copy(fast):
    array = fast.upload(np.zeros(3, np.float32))
    before = fast.download(array)
    fast.write(array, np.ones(3, np.float32))
    np.testing.assert_array_equal(before, 0)


@pytest.mark.parametrize("shape", [(2**40, 2**20), (2**62, 2**62), (2**38,)])
def test_there_is_no_room_for_the_impossible(fast, shape):
    with pytest.raises(OutOfDeviceMemoryError, match=r"an array needs [\d,]+ bytes|cannot allocate"):
        fast.empty(shape, np.float32)


def test_what_the_system_would_only_promise_is_not_allocated(fast, monkeypatch):
    monkeypatch.setattr(emulator, "_free_bytes", lambda: 10**8)
    fast.empty((10**8,), np.uint8)
    with pytest.raises(OutOfDeviceMemoryError, match="100,000,001 bytes; 100,000,000 are free"):
        fast.empty((10**8 + 1,), np.uint8)


def test_free_memory_is_what_the_system_calls_available(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 900 kB\nMemFree: 10 kB\nMemAvailable: 300 kB\n")
    assert emulator._free_bytes(tmp_path / "meminfo") == 300 * 1024
    assert emulator._free_bytes(tmp_path / "none") is None


@cuda.jit
def copy(x, y):
    i = cuda.threadIdx.x
    y[i] = x[i]


def test_checks_know_what_the_host_has_written(checked):
    y = checked.empty((4,), np.float32)
    x = checked.empty((4,), np.float32)
    with pytest.raises(KernelError, match=r"copy.*x"):
        checked.launch("pack", copy, 1, 4, x, y)
    checked.write(x, np.ones(4, np.float32))
    checked.launch("pack", copy, 1, 4, x, y)
    checked.launch("pack", copy, 1, 4, y, x)  # a kernel wrote y
    np.testing.assert_array_equal(checked.download(x), 1)
    checked.launch("pack", copy, 1, 4, checked.upload(np.zeros(4, np.float32)), y)


def test_checks_know_what_was_poisoned(checked):
    guarded = GuardedDevice(checked)
    x, y = guarded.upload(np.ones(4, np.float32)), guarded.empty((4,), np.float32)
    guarded.launch("pack", copy, 1, 4, x, y)
    guarded.poison(x)
    with pytest.raises(KernelError, match=r"copy.*x"):
        guarded.launch("pack", copy, 1, 4, x, y)


def test_what_was_poisoned_is_nan_where_nobody_checks(fast):
    guarded = GuardedDevice(fast)
    x, y = guarded.empty((4,), np.float32), guarded.upload(np.ones(4, np.float32))
    guarded.launch("pack", copy, 1, 4, x, y)
    assert np.isnan(guarded.download(y)).all()


# ---- time


def new_kernel():
    """A kernel that is not compiled yet."""

    @cuda.jit
    def fill(y):
        y[cuda.threadIdx.x] = 1

    return fill


def test_compiling_is_no_part_of_a_time(either):
    kernel, y = new_kernel(), either.empty((4,), np.float32)
    before = either.compile_s
    first_us = either.elapsed_us(lambda: either.launch("pack", kernel, 1, 4, y))
    compiled_us = (either.compile_s - before) * 1e6
    assert 0 < first_us < compiled_us
    before = either.compile_s
    assert 0 < either.elapsed_us(lambda: either.launch("pack", kernel, 1, 4, y)) < compiled_us
    assert either.compile_s == before


def test_compiling_is_no_part_of_a_phase(fast):
    kernel, y = new_kernel(), fast.empty((4,), np.float32)
    before = fast.compile_s
    phases = fast.phases_us(lambda: fast.launch("pack", kernel, 1, 4, y))
    assert list(phases) == ["pack"]
    assert 0 < phases["pack"] < (fast.compile_s - before) * 1e6


def test_records_keep_compiling_apart_and_say_that_times_are_emulated():
    device = EmulatorDevice()
    chosen = workload.from_texts([str(SMALL)])
    todo = jobs(chosen, [algorithm_of(WithoutMistake)] * 2)
    effort = Effort(warmup=1, minimum=3, maximum=3, caches=("warm",))
    first, second = Harness(device, effort=effort).records(chosen, todo)
    for record in (first, second):
        assert record.timing.clock == record.device["clock"] == "CPU wall clock, emulated on CPU"
        assert record.device["is_gpu"] is False
    assert first.timing.compile_s + second.timing.compile_s == device.compile_s
    assert second.timing.compile_s == 0


# ---- itself


def test_a_device_says_what_runs_the_kernels(fast, checked):
    for device, name, workers in ((fast, "emulator", 2), (checked, "emulator-checked", 1)):
        about = device.describe()
        assert about["name"] == device.name == name
        assert (about["checked"], about["workers"]) == (name == "emulator-checked", workers)
        assert about["processor"]
        assert about["cores"] >= 1
        assert about["compute_capability"] == "9.0"


def test_only_the_checked_device_refuses_what_would_take_long(fast, checked):
    large = parse("n64c64h56w56-k64r3s3-pad1")
    assert fast.refuses(large) is None
    assert f"at most {MAX_CHECKED_MACS:,}" in str(checked.refuses(large))
    assert "7,398,752,256" in str(checked.refuses(large))
    assert checked.refuses(parse("n1c64h56w56-k64r3s3-pad1")) is None
    assert EmulatorDevice(max_macs=100).refuses(SMALL) is not None


# ---- what its errors become


@cuda.jit
def write_behind(y):
    y[cuda.threadIdx.x + 1] = 1


@cuda.jit
def last_one_wins(y):
    cuda.atomic.exch(y, 0, cuda.threadIdx.x)


@cuda.jit
def too_much_shared(y):
    tile = cuda.shared.array(12 * 1024 + 1, float32)
    tile[cuda.threadIdx.x] = 1
    cuda.syncthreads()
    y[0] = tile[0]


def test_a_fault_names_kernel_line_thread_and_array(either):
    with pytest.raises(KernelError) as caught:
        either.launch("multiply", write_behind, 1, 4, either.empty((4,), np.float32))
    for part in ("write_behind", "test_device.py", "(3, 0, 0)", "y"):
        assert part in str(caught.value)


def test_a_result_that_depends_on_the_order_is_a_fault(checked):
    with pytest.raises(KernelError, match=r"last_one_wins: .*order"):
        checked.launch("multiply", last_one_wins, 1, 4, checked.upload(np.zeros(1, np.int32)))


def test_a_launch_that_hardware_would_refuse_is_no_config(either):
    with pytest.raises(ConfigError, match=r"too_much_shared.*49152"):
        either.launch("multiply", too_much_shared, 1, 4, either.empty((4,), np.float32))


def test_what_the_emulator_lacks_is_refused_by_name(checked):
    @cuda.jit(debug=True, opt=False)
    def debugged(y):
        y[0] = 1

    with pytest.raises(RefusedError, match="debug=True is not emulated"):
        checked.launch("multiply", debugged, 1, 1, checked.empty((4,), np.float32))


class WithKernel(WithoutMistake):
    """Runs a kernel of its own behind the right ones."""

    def run(self, x, y):
        super().run(x, y)
        self.after(y)


class WritesBehind(WithKernel):
    def after(self, y):
        self.device.launch("unpack", write_behind, 1, y.size, y.reshape(-1))


class NeedsMoreThanHardwareHas(WithKernel):
    def after(self, y):
        self.device.launch("unpack", too_much_shared, 1, 4, y.reshape(-1))


class ReadsWhatNobodyWrote(WithKernel):
    """Harmless by chance, because the value that it reads is never used."""

    def __init__(self, problem, direction, device, config=None):
        super().__init__(problem, direction, device, config)
        self.mine = self.scratch((4,)), self.scratch((4,))

    def after(self, y):
        self.device.launch("unpack", copy, 1, 4, *self.mine)


@pytest.mark.parametrize(
    ("plan", "outcome", "words"),
    [
        (WritesBehind, "wrong", ("write_behind", "test_device.py", "y")),
        (NeedsMoreThanHardwareHas, "refused", ("too_much_shared", "49152")),
        (ReadsWhatNobodyWrote, "wrong", ("copy", "test_device.py", "x")),
        (WithoutMistake, "passed", ()),
    ],
)
def test_the_outcome_of_a_record_says_what_the_checks_found(checked, plan, outcome, words):
    chosen = workload.from_texts([str(SMALL)])
    (record,) = Harness(checked).records(chosen, jobs(chosen, [algorithm_of(plan)]))
    assert record.outcome == outcome
    for word in words:
        assert word in str(record.reason)


def test_what_is_harmless_by_luck_passes_where_nobody_checks(fast):
    """This shows that the outcomes of the test above come from the checks."""
    assert verify(algorithm_of(ReadsWhatNobodyWrote), Case(SMALL, 0), fast).passed


def plain(x):
    x[0] = 1


@pytest.mark.parametrize("name", ["emulator", "emulator-checked"])
def test_a_plan_that_launches_what_is_no_kernel_does_not_compile(name):
    device = devices.select(name)
    with pytest.raises(CompileError, match=r"test_device\.py:\d+: plain is a plain function and no kernel: decorate"):
        device.launch("multiply", plain, 1, 1, device.upload(np.zeros(1, np.float32)))
    with pytest.raises(CompileError, match="NoneType is of type NoneType and no kernel"):
        device.launch("multiply", None, 1, 1, device.upload(np.zeros(1, np.float32)))


def test_a_view_has_the_type_that_numba_cuda_gives_it_on_a_gpu():
    """numba-cuda looks at the strides of all axes of a device array, and NumPy leaves out those of size 1."""

    @cuda.jit
    def takes(x, y, out):
        out[0] = x[0, 0, 0, 0] + y[0]

    kernels = []
    device = EmulatorDevice(workers=1)
    inner = device._emulator.launch
    device._emulator.launch = lambda *args, types, **options: (
        kernels.append(types),
        inner(*args, types=types, **options),
    )
    out = device.upload(np.zeros(1, np.float32))
    for channels in (1, 3):
        x = device.upload(np.ones((2, 5, 4, channels), np.float32)).transpose(0, 3, 1, 2)
        y = device.upload(np.ones(8, np.float32))
        device.launch("multiply", takes, 1, 1, x, y, out)
    assert kernels[0] == kernels[1]
    assert [kind.layout for kind in kernels[0]] == ["A", "C", "C"]
    assert device.download(out)[0] == 2
