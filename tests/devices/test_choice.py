"""The choice of a device: a device that does not work is never silently replaced by another."""

import sys
from pathlib import Path

import numba
import pytest
from numba import cuda

from convbench.devices import selection
from convbench.errors import DeviceError, UnknownNameError


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(selection, "cuda_fault", lambda: "no driver, for the test")


def pci_device(root: Path, vendor: str, kind: str) -> None:
    folder = root / "sys/bus/pci/devices/0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(f"{vendor}\n")
    (folder / "class").write_text(f"{kind}\n")


def test_without_a_gpu_the_emulator_is_chosen(no_gpu, tmp_path):
    assert selection.select(root=tmp_path).name == "emulator"


@pytest.mark.parametrize("name", [name for name in selection.NAMES if name != "cuda"])
def test_the_device_that_was_asked_for_is_the_one_that_is_had(name):
    device = selection.select(name)
    assert (device.name, device.describe()["name"], device.is_gpu) == (name, name, False)


def test_an_emulator_that_does_not_work_is_not_replaced_silently(no_gpu, tmp_path, monkeypatch):
    from convbench.emulator import front_end

    real = front_end.version
    monkeypatch.setattr(front_end, "version", lambda name: "2.5.1" if name == "numpy" else real(name))
    for name in (None, "emulator", "emulator-checked"):
        with pytest.raises(DeviceError, match=r"device emulator.* numpy 2\.5\.1 is installed.*<2\.5"):
            selection.select(name, root=tmp_path)


def test_asking_for_cuda_without_a_gpu_is_an_error(no_gpu):
    with pytest.raises(DeviceError, match=r"cuda was asked for.*no driver, for the test"):
        selection.select("cuda")


def test_an_unknown_device_is_an_error_with_the_names():
    with pytest.raises(UnknownNameError, match=r"'tpu'.*cuda, emulator, emulator-llvm, emulator-checked, simulator"):
        selection.select("tpu")


@pytest.mark.parametrize("path", ["dev/nvidia0", "dev/nvidiactl", "proc/driver/nvidia/version"])
def test_a_gpu_that_does_not_work_is_not_replaced_silently(no_gpu, tmp_path, path):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).touch()
    with pytest.raises(DeviceError, match=r"no driver, for the test") as caught:
        selection.select(root=tmp_path)
    assert f"/{path}" in str(caught.value)
    assert "--device emulator" in str(caught.value)
    assert selection.select("emulator", root=tmp_path).name == "emulator"


def test_a_gpu_without_a_driver_is_seen_on_the_bus(no_gpu, tmp_path):
    pci_device(tmp_path, "0x10de", "0x030000")
    with pytest.raises(DeviceError, match=r"PCI device 0000:01:00\.0"):
        selection.select(root=tmp_path)


@pytest.mark.parametrize(("vendor", "kind"), [("0x1002", "0x030000"), ("0x10de", "0x040300")])
def test_other_gpus_and_an_nvidia_sound_card_are_no_evidence(no_gpu, tmp_path, vendor, kind):
    pci_device(tmp_path, vendor, kind)
    assert selection.select(root=tmp_path).name == "emulator"


@pytest.mark.parametrize(
    ("available", "error", "told"),
    [
        (True, None, None),
        (False, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:\n803", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: 803"),
        (False, None, "NVVM"),
    ],
)
def test_the_fault_is_asked_for_after_the_driver_was_started(monkeypatch, available, error, told):
    """Numba knows what is wrong with a driver only once it has tried it."""
    tried = []
    monkeypatch.setattr(cuda, "is_available", lambda: tried.append(True) or available)
    monkeypatch.setattr(cuda, "cuda_error", lambda: error if tried else None)
    fault = selection.cuda_fault()
    assert (fault is None) == (told is None)
    assert told is None or told in str(fault)


def test_a_working_driver_without_the_compiler_is_a_broken_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    monkeypatch.setattr(cuda, "cuda_error", lambda: None)
    with pytest.raises(DeviceError, match=r"its driver works.*convbench\[cu13\]"):
        selection.select(root=tmp_path)


def test_a_numba_cuda_that_cannot_be_imported_is_a_fault_of_cuda_and_no_crash(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba.cuda", None)
    monkeypatch.delattr(numba, "cuda")
    fault = selection.cuda_fault()
    assert fault is not None
    assert fault.startswith("numba.cuda cannot be imported")
