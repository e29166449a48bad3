"""GPUs by UUID, the claim on one, and what NVML says against one: on a stand-in for NVML, and without any GPU."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from convbench import devices
from convbench.devices import Gpu, claims, gpus, health, selection
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import DeviceError
from convbench.measurement import Harness
from convbench.records import read_records

ALIKE = [("GPU-aaaa1111", "H200"), ("GPU-aabb2222", "H200"), ("GPU-cccc3333", "H200")]
MIXED = [("GPU-aaaa1111", "T4"), ("GPU-aabb2222", "H200")]
MIG = "MIG-dddd4444"


class NvmlError(Exception):
    def __init__(self, value):
        self.value = value
        super().__init__({15: "GPU is lost", 6: "Not Found", 3: "Not Supported", 4: "Insufficient Permissions"}[value])


def nvml(found=ALIKE, pending=0, rows=(0, 0, 0, 0), running=((),), fails=None):
    """A stand-in for pynvml. `running` has process IDs at each look; `fails` maps a function to an error's number."""
    uuids, looks = [uuid for uuid, _ in found], list(running)

    def by_uuid(uuid):
        if uuid not in [*uuids, MIG]:
            raise NvmlError(6)
        return uuid

    def processes(_):
        now = looks.pop(0) if len(looks) > 1 else looks[0]
        return [SimpleNamespace(pid=pid) for pid in now]

    known = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: len(found),
        "nvmlDeviceGetHandleByIndex": lambda index: uuids[index],
        "nvmlDeviceGetHandleByUUID": by_uuid,
        "nvmlDeviceGetUUID": lambda handle: handle,
        "nvmlDeviceGetName": lambda handle: dict(found).get(handle, "H200 MIG 1g.18gb"),
        "nvmlDeviceGetRetiredPagesPendingStatus": lambda _: pending,
        "nvmlDeviceGetRemappedRows": lambda _: rows,
        "nvmlDeviceGetComputeRunningProcesses": processes,
    }

    def failing(value):
        def fail(*_):
            raise NvmlError(value)

        return fail

    known |= {name: failing(value) for name, value in (fails or {}).items()}
    return SimpleNamespace(
        NVMLError=NvmlError, NVML_ERROR_NOT_SUPPORTED=3, NVML_ERROR_NO_PERMISSION=4, NVML_ERROR_INVALID_ARGUMENT=2,
        NVML_ERROR_FUNCTION_NOT_FOUND=13, NVML_ERROR_NOT_FOUND=6, **known,
    )  # fmt: skip


def test_the_numbers_of_errors_are_those_of_nvidias_own_package():
    import pynvml

    names = [name for name in vars(nvml()) if name.startswith("NVML_ERROR")]
    assert {name: getattr(pynvml, name) for name in names} == {name: getattr(nvml(), name) for name in names}
    assert pynvml.NVML_ERROR_GPU_IS_LOST == 15
    assert all(hasattr(pynvml, name) for name in vars(nvml()))


@pytest.mark.parametrize(("listed", "expected"), [
    (None, ["GPU-aaaa1111", "GPU-aabb2222", "GPU-cccc3333"]),
    ("", []),
    ("-1", []),
    ("2,0", ["GPU-cccc3333", "GPU-aaaa1111"]),
    ("0,2,-1,1", ["GPU-aaaa1111", "GPU-cccc3333"]),
    ("1,7,0", ["GPU-aabb2222"]),
    ("1x, 0", ["GPU-aabb2222", "GPU-aaaa1111"]),
    ("none", []),
    ("0,1,0", []),
    ("GPU-cccc3333,GPU-aaaa1111", ["GPU-cccc3333", "GPU-aaaa1111"]),
    ("GPU-c,GPU-aab", ["GPU-cccc3333", "GPU-aabb2222"]),
    ("GPU-aa,GPU-cccc", []),  # two begin so
    ("GPU-c,GPU-9,GPU-aaaa", ["GPU-cccc3333"]),
    ("GPU-c,2", []),  # one GPU by two names
    (MIG, [MIG]),
    (f"{MIG},0", [MIG]),  # CUDA shows one instance
    ("MIG-GPU-aaaa1111/1/0", ["MIG-GPU-aaaa1111/1/0"]),
])  # fmt: skip
def test_the_visible_gpus_are_those_that_cuda_would_list(listed, expected):
    environment = {} if listed is None else {gpus.VISIBLE: listed}
    found = gpus.visible(pytest.fail, nvml=nvml(), environment=environment)
    assert [gpu.uuid for gpu in found] == expected
    assert [gpu.index for gpu in found] == list(range(len(found)))


def test_a_number_among_gpus_of_different_models_is_refused_unless_their_order_is_known():
    def uuids(**environment):
        return [gpu.uuid for gpu in gpus.visible(pytest.fail, nvml=nvml(MIXED), environment=environment)]

    with pytest.raises(DeviceError, match=r"CUDA_VISIBLE_DEVICES=1 has numbers.*set CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        uuids(CUDA_VISIBLE_DEVICES="1")
    assert uuids(CUDA_VISIBLE_DEVICES="1", CUDA_DEVICE_ORDER="PCI_BUS_ID") == ["GPU-aabb2222"]
    assert uuids(CUDA_VISIBLE_DEVICES="GPU-aab") == ["GPU-aabb2222"]


@pytest.fixture
def without_nvml(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(gpus, "_told", set())


@pytest.fixture
def told():
    return []


def test_without_nvml_cuda_is_asked_and_that_is_told_once(monkeypatch, without_nvml, told):
    monkeypatch.setattr(selection, "cuda_fault", lambda: None)
    monkeypatch.setattr(gpus, "seen_by_cuda", lambda: (Gpu("GPU-eeee", 0, "T4"),))
    for _ in range(2):
        assert gpus.visible(told.append) == (Gpu("GPU-eeee", 0, "T4"),)
    assert len(told) == 1
    assert "pip install nvidia-ml-py" in told[0]


def test_without_nvml_and_cuda_there_is_no_gpu_and_both_reasons_are_told(monkeypatch, without_nvml, told):
    monkeypatch.setattr(selection, "cuda_fault", lambda: "no driver")
    assert gpus.visible(told.append) == ()
    assert "pip install nvidia-ml-py" in told[0]
    assert told[0].endswith("CUDA cannot be used: no driver")


# ---- claims


@pytest.fixture
def locks(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(claims.nvml, "absence", lambda: None)
    return tmp_path / "convbench" / "gpus"


def test_a_gpu_is_claimed_by_one_and_free_after_it(locks):
    one, other = Gpu("GPU-aaaa1111", 0, "H200"), Gpu("GPU-aabb2222", 1, "H200")
    with devices.claim(one, pytest.fail), devices.claim(other, pytest.fail):
        assert [path.name for path in sorted(locks.iterdir())] == ["GPU-aaaa1111.lock", "GPU-aabb2222.lock"]
        again = Gpu("GPU-aaaa1111", 5, "H200")  # another process may see it under another number
        with pytest.raises(DeviceError) as error, devices.claim(again, pytest.fail):
            pass
    for part in ("GPU 5 (H200, GPU-aaaa1111) is in use by process", str(os.getpid()), "since", "CUDA_VISIBLE_DEVICES"):
        assert part in str(error.value)
    with devices.claim(one, pytest.fail):
        pass


def test_the_message_has_the_command_of_the_holder_and_its_death_frees_the_gpu(locks):
    code = (
        "import sys, time; from convbench.devices import Gpu, claim\n"
        "with claim(Gpu('GPU-aaaa1111', 0, 'H200'), lambda _: None): print('has it', flush=True); time.sleep(60)"
    )
    gpu = Gpu("GPU-aaaa1111", 0, "H200")
    with subprocess.Popen([sys.executable, "-c", code, "--batch", "32"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"has it\n"
        with pytest.raises(DeviceError, match=rf"process {holder.pid} on .*: -c --batch 32; wait"):
            devices.claim(gpu, pytest.fail).__enter__()
        holder.kill()
    with devices.claim(gpu, pytest.fail):
        pass


def test_a_worker_takes_a_gpu_that_is_free_and_sound(monkeypatch, locks):
    """Of three GPUs another process has the first; NVML says something against the second."""
    monkeypatch.setattr(claims, "visible", lambda _tell: gpus.visible(pytest.fail, nvml=nvml(), environment={}))
    monkeypatch.setattr(claims, "fault", lambda gpu: "it is lost" if gpu.uuid == "GPU-aabb2222" else None)
    monkeypatch.setattr(claims, "_KEPT", [])
    monkeypatch.setenv(gpus.VISIBLE, "")
    with claims.claim(Gpu("GPU-aaaa1111", 0, "H200"), lambda _: None):
        devices.claim_free(lambda _: None)
        assert os.environ[gpus.VISIBLE] == "GPU-cccc3333"
        with pytest.raises(DeviceError, match=r"is free: GPU 2 \(H200, GPU-cccc3333\) is in use by process"):
            devices.claim_free(lambda _: None)
    claims._KEPT.pop().close()


def test_without_nvml_and_uuid_the_index_is_the_locks_name_and_both_are_told(tmp_path, monkeypatch, without_nvml, told):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    gpu = Gpu("", 3, "H200")
    for _ in range(2):
        with devices.claim(gpu, told.append):
            (lock,) = (tmp_path / "convbench" / "gpus").iterdir()
            assert lock.name.endswith("-index-3.lock")
    assert len(told) == 2
    assert "will not be looked at when a worker is lost" in told[0]
    assert "UUID of GPU 3 (H200) is unknown" in told[1]


def test_a_folder_of_locks_that_cannot_be_made_is_told(tmp_path, monkeypatch, locks, told):
    monkeypatch.setattr(gpus, "_told", set())
    (tmp_path / "convbench").write_text("a file is in its place")
    with devices.claim(Gpu("GPU-aaaa1111", 0, "H200"), told.append):
        pass
    assert "other runs are not kept off GPU 0" in told[0]


# ---- health


GPU, OLD_MIG = Gpu("GPU-aaaa1111", 0, "H200"), Gpu("GPU-dddd4444", 0, "H200")


@pytest.mark.parametrize(("library", "gpu", "expected"), [
    (nvml(), GPU, None),
    (nvml(), Gpu("", 0, "H200"), None),  # nobody knows which it is
    (nvml(), OLD_MIG, None),  # CUDA's UUID of an instance begins as that of a GPU
    (nvml(), Gpu("GPU-ffff", 0, "H200"), "NVML does not find it (Not Found)"),
    (nvml(fails={"nvmlDeviceGetHandleByUUID": 15}), GPU, "NVML does not find it (GPU is lost)"),
    (nvml(fails={"nvmlDeviceGetComputeRunningProcesses": 15}), GPU, "GPU is lost"),
    (nvml(fails={"nvmlDeviceGetRemappedRows": 3, "nvmlDeviceGetComputeRunningProcesses": 4}), GPU, None),
    (nvml(pending=1), GPU, "pages of its memory wait for retirement, which takes a reset"),
    (nvml(rows=(1, 0, 1, 0)), GPU, None),  # a pending remapping
    (nvml(rows=(0, 1, 0, 1)), GPU, "a row of its memory could not be remapped"),
    (nvml(running=[(70, 71), (71,), ()]), GPU, None),  # they go
    (nvml(running=[(70, 80)]), GPU, "process 70 of the lost worker was still on it after 0.3 s"),
    (nvml(running=[(80, 90)]), GPU, None),  # those of others
])  # fmt: skip
def test_what_speaks_against_using_a_gpu_again(library, gpu, expected):
    sessions = {70: 7, 71: 7, 80: 8}  # and 90 is a process of another container

    def session_of(pid):
        if pid not in sessions:
            raise ProcessLookupError
        return sessions[pid]

    assert health.fault(gpu, [7], nvml=library, wait_s=0.3, session_of=session_of) == expected


# ---- commands


@pytest.fixture
def as_cuda(here, monkeypatch, locks):
    """The simulator in the place of a GPU, in this process and not in its workers."""

    class AsCuda(SimulatorDevice):
        is_gpu = True

    monkeypatch.setattr(selection, "cuda_fault", lambda: None)
    monkeypatch.setitem(selection.NAMES, "cuda", lambda workers: AsCuda())
    monkeypatch.setattr(gpus, "seen_by_cuda", lambda: (GPU,))


ALL = {
    "verify": ("n1c1h3w3-k1r1s1",),
    "bench": ("n1c1h3w3-k1r1s1",),
    "tune": ("n1c1h3w3-k1r1s1",),
    "fuzz": ("--examples", "1"),
    "gpu": ("--out", "found"),
}


@pytest.mark.parametrize("command", ALL)
def test_a_second_run_on_a_gpu_is_refused(convbench, as_cuda, command):
    with devices.claim(GPU, pytest.fail):
        status, out, err = convbench(command, *ALL[command], "--device", "cuda")
    assert (status, out) == (2, "")
    assert "convbench: GPU 0 (H200, GPU-aaaa1111) is in use by process" in err
    assert "Traceback" not in err


def test_a_command_has_its_gpu_to_its_end_and_no_longer(convbench, as_cuda, monkeypatch, locks):
    words = "verify", "n1c1h3w3-k1r1s1", "--algorithm", "direct", "--device", "cuda", "--isolation", "none"
    held, usual = [], Harness.judge

    def judge(self, job):
        held.extend(path.name for path in locks.iterdir())
        return usual(self, job)

    monkeypatch.setattr(Harness, "judge", judge)
    assert convbench(*words)[0] == 0
    assert held == ["GPU-aaaa1111.lock"]
    assert list(locks.iterdir()) == []


ENDS = """
import os
from convbench.algorithm import registry
from algorithms.direct.plain import Direct

class Ends(Direct):
    name = "ends"
    def plan(self, *args, **kwargs):
        os._exit(3)

registry.register(Ends)
"""


def test_a_gpu_with_a_fault_after_the_loss_of_a_worker_ends_the_run_with_its_records_kept(convbench, here, monkeypatch):
    (here / "ends.py").write_text(ENDS)
    asked = []

    def check(device, session):
        asked.append(device)
        raise DeviceError("the GPU cannot be used again: GPU is lost")

    monkeypatch.setattr(devices, "check_after_loss", check)
    status, _, err = convbench(
        "bench", "n1c1h3w3-k1r1s1", "--plugin", "ends.py", "--algorithm", "direct,ends,im2col_gemm", "--device",
        "simulator", "--out", "kept",
    )  # fmt: skip
    assert status == 1
    assert "convbench: the GPU cannot be used again: GPU is lost" in err
    assert asked == ["simulator"]
    records = read_records(next((here / "kept").rglob("*.jsonl")))[0]
    assert [(one.algorithm, one.outcome) for one in records] == [("ends", "crashed")]
    assert all(one.environment["host"] for one in records)


def test_only_cuda_is_looked_at(monkeypatch):
    monkeypatch.setattr(health, "in_use", lambda name: pytest.fail(name))
    health.check_after_loss("emulator", 1)
    monkeypatch.setattr(health, "in_use", lambda name: GPU)
    monkeypatch.setattr(health, "fault", lambda gpu, sessions: f"process {sessions[0]} is on it")
    with pytest.raises(DeviceError, match=r"a worker on GPU 0 .*GPU-aaaa1111.* was lost, .*: process 7 is on it; what"):
        health.check_after_loss("cuda", 7)
