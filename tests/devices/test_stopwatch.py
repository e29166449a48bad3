"""Stopwatches: the cache flush before a cold run, both clocks of a run, and a GPU's gate, tested without a GPU."""

import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from convbench.devices import cuda_stopwatch
from convbench.devices.cuda_stopwatch import OPEN, TIRED, CudaStopwatch, Gate
from convbench.devices.device import FLUSHED
from convbench.devices.emulator import EmulatorDevice
from convbench.devices.nvml import Nvml
from convbench.errors import DeviceError
from convbench.records import Reading
from convbench.records.environment import last_level_cache_bytes


@pytest.fixture
def emulator():
    return EmulatorDevice()


def test_a_cold_run_comes_after_twice_the_cache_was_written(emulator):
    events: list[object] = []

    class Watched(EmulatorDevice):
        cache_bytes = 3_000_000

        def poison(self, array):
            events.append(array.nbytes)
            super().poison(array)

    device = Watched()
    watch = device.stopwatch(lambda: events.append("run"), "cold")
    watch.take()
    watch.take()
    assert events == [FLUSHED * 3_000_000, "run"] * 2
    assert FLUSHED == 2
    assert "6,000,000 bytes" in watch.method
    device.stopwatch(lambda: events.append("run"), "warm").take()
    assert events[4:] == ["run", "run"], "one that is not timed leaves the cache warm"


def test_a_sample_has_the_time_of_the_wall_and_of_the_processor(emulator):
    def work():
        sum(range(300_000))

    watch = emulator.stopwatch(work, "warm")
    samples = [watch.take() for _ in range(5)]
    assert all(sample.us > 100 for sample in samples)
    assert sum(sample.host_us for sample in samples) > 0
    assert samples[0].reading is None
    assert "process time" in watch.host_clock


def test_a_device_that_hides_its_cache_has_no_cold_runs(emulator):
    class Hiding(EmulatorDevice):
        cache_bytes = None

    with pytest.raises(DeviceError, match="size of its cache"):
        Hiding().stopwatch(lambda: None, "cold")


def test_the_last_level_cache_is_the_largest(tmp_path):
    for number, size in enumerate(("32K", "1024K", "32M")):
        (tmp_path / f"index{number}").mkdir()
        (tmp_path / f"index{number}" / "size").write_text(f"{size}\n")
    assert last_level_cache_bytes(tmp_path) == 32 * 2**20
    assert last_level_cache_bytes(tmp_path / "nothing") is None


def test_a_librarys_work_belongs_to_its_phase(emulator):
    phases = emulator.phases_us(lambda: emulator.call("multiply", lambda: sum(range(1000))))
    assert list(phases) == ["multiply"]
    assert phases["multiply"] > 0


# ---- the GPU's, with stand-ins for what needs one


class Driver:
    """Events, the gate and a device, that only note what was asked of them; each run takes `us`."""

    cache_bytes, flush_bytes, name, host_calls = 4, 8, "gpu", 0

    def __init__(self, us, calls_library=False):
        self.us, self.calls_library, self.log, self.queued = us, calls_library, [], 0.0
        self.gate = SimpleNamespace(closed=self.closed, check=lambda: self.log.append("check"))

    @contextmanager
    def closed(self):
        self.log.append("close")
        try:
            yield
        finally:
            self.log.append("open")

    def event(self):
        driver = self

        class Event:
            def record(self):
                driver.log.append("event")
                self.at = driver.queued

            def synchronize(self):
                driver.log.append("wait")

            def elapsed_time(self, other):
                return (other.at - self.at) / 1000

        return Event()

    def work(self):
        self.log.append("run")
        self.queued += self.us
        self.host_calls += self.calls_library

    def flush(self):
        self.log.append("flush")

    def reading(self):
        self.log.append("read")

    def captured(self, work, runs):
        self.log.append("capture")
        return lambda: [work() for _ in range(runs)]


def stopwatch_of(driver, monkeypatch, cache):
    monkeypatch.setattr(cuda_stopwatch, "cuda", SimpleNamespace(event=driver.event))
    watch = CudaStopwatch(driver, driver.work, cache)
    driver.log.clear()
    return watch


def test_a_gpus_run_is_queued_before_it_is_timed_and_clocks_are_read_while_it_runs(monkeypatch):
    driver = Driver(us=400.0)
    sample = stopwatch_of(driver, monkeypatch, "warm").take()
    assert driver.log == ["close", "run", "event", "run", "event", "open", "read", "wait", "check"], "the first warms"
    assert sample.us == pytest.approx(400.0)
    assert sample.host_us > 0


def test_the_flush_is_before_the_clock(monkeypatch):
    driver = Driver(us=4.0)
    sample = stopwatch_of(driver, monkeypatch, "cold").take()
    assert driver.log == ["close", "flush", "event", "run", "event", "open", "read", "wait", "check"]
    assert sample.us == pytest.approx(4.0), "a cold run is never repeated"


def test_what_the_flush_needs_is_there_before_the_gate_closes(monkeypatch):
    driver = Driver(us=4.0)
    monkeypatch.setattr(cuda_stopwatch, "cuda", SimpleNamespace(event=driver.event))
    CudaStopwatch(driver, driver.work, "cold")
    assert driver.log == ["flush"]


def test_preparing_may_wait_for_the_device_and_is_timed_without_compiling(emulator):
    def work():
        time.sleep(0.02)
        emulator.compile_s += 0.015

    assert 4_000 < emulator.waited_us(work) < 20_000


@pytest.mark.parametrize(("us", "library", "how"), [
    (49.0, False, "a CUDA graph of 20 runs"), (49.0, True, "20 runs in a row"), (51.0, False, "each run timed alone"),
])  # fmt: skip
def test_short_runs_are_repeated_as_a_graph_unless_a_library_makes_them(monkeypatch, us, library, how):
    driver = Driver(us, calls_library=library)
    watch = stopwatch_of(driver, monkeypatch, "warm")
    assert how in watch.method
    sample = watch.take()
    assert driver.log.count("run") == 1 + (1 if us > 50 else 20)
    assert sample.us == pytest.approx(us)


def test_the_gate_opens_when_the_work_fails(monkeypatch):
    driver = Driver(us=400.0)
    watch = stopwatch_of(driver, monkeypatch, "warm")

    def broken():
        raise RuntimeError("broken")

    watch._queue = broken
    with pytest.raises(RuntimeError, match="broken"):
        watch.take()
    assert driver.log[-1] == "open"


def test_work_that_waits_for_the_gpu_is_an_error():
    gate = Gate.__new__(Gate)
    gate._numbers = [OPEN, 0]
    gate.check()
    gate._numbers = [OPEN, TIRED]
    with pytest.raises(DeviceError, match="waits for the GPU"):
        gate.check()


# ---- NVML, of which this is a stand-in


class NvmlError(Exception):
    pass


def nvml(reasons=0, fails=None):
    def answer(value, name=None):
        def asked(*_):
            if fails is not None and name == fails:
                raise NvmlError("Insufficient Permissions")
            return value

        return asked

    return SimpleNamespace(
        NVMLError=NvmlError, NVML_CLOCK_SM=1, NVML_CLOCK_MEM=2, NVML_TEMPERATURE_GPU=0, nvmlInit=answer(None, "init"),
        nvmlDeviceGetHandleByUUID=answer("gpu", "uuid"), nvmlSystemGetDriverVersion=answer("580.65"),
        nvmlDeviceGetClockInfo=lambda _, kind: {1: 1755, 2: 3201}[kind],
        nvmlDeviceGetTemperature=answer(66), nvmlDeviceGetPowerUsage=answer(412_500, "power"),
        nvmlDeviceGetCurrentClocksThrottleReasons=answer(reasons),
    )  # fmt: skip


def test_clocks_are_read_in_the_units_of_a_record():
    found = Nvml("GPU-1", nvml())
    assert found.driver == "580.65"
    assert found.reading() == Reading(sm_mhz=1755, memory_mhz=3201, temperature_c=66, power_w=412.5)


@pytest.mark.parametrize(("reasons", "expected"), [
    (0x1, ()),  # idle
    (0x2, ()),  # clocks that someone has set
    (0x4, ("power cap",)),
    (0x8 | 0x40, ("hardware slowdown", "hardware thermal slowdown")),
    (0x20, ("software thermal slowdown",)),
    (0x80 | 0x1, ("power brake",)),
])  # fmt: skip
def test_only_what_slows_a_loaded_gpu_down_is_throttling(reasons, expected):
    assert Nvml("GPU-1", nvml(reasons)).reading().throttle == expected


def test_the_bits_are_those_of_nvidias_own_package():
    import pynvml

    from convbench.devices.nvml import SLOWED

    assert set(SLOWED) == {
        pynvml.nvmlClocksThrottleReasonSwPowerCap, pynvml.nvmlClocksThrottleReasonHwSlowdown,
        pynvml.nvmlClocksThrottleReasonSwThermalSlowdown, pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
        pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
    }  # fmt: skip


@pytest.mark.parametrize("fails", ["init", "uuid", "power"])
def test_a_driver_that_does_not_answer_is_an_error_with_its_words(fails):
    with pytest.raises(DeviceError, match="Insufficient Permissions"):
        Nvml("GPU-1", nvml(fails=fails))


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(DeviceError, match="pip install nvidia-ml-py"):
        Nvml("GPU-1")
