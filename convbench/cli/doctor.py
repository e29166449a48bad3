"""Examine a machine: what it has for convbench, what is missing, and which command installs or repairs it."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from packaging.specifiers import SpecifierSet

from convbench.errors import DeviceError

State = Literal["ok", "absent", "broken"]  # absent: convbench works without it


@dataclass(frozen=True)
class Finding:
    """The result of one check. `remedy` is None if nothing is wrong."""

    what: str
    state: State
    found: str
    remedy: str | None = None


Check = Callable[[], Finding]

# package, versions that work, command that installs one
PINS = (
    ("numba-cuda", ">=0.30.4,<0.31", 'pip install "numba-cuda[cu13]>=0.30.4,<0.31"'),
    ("numba", ">=0.68,<0.69", 'pip install "numba>=0.68,<0.69"'),
    ("llvmlite", ">=0.50,<0.51", 'pip install "llvmlite>=0.50,<0.51"'),
    ("numpy", ">=2.0,<2.5", 'pip install "numpy<2.5"   (numba-cuda 0.30 cannot compile a kernel with NumPy 2.5)'),
    ("pandas", ">=2.2", "pip install pandas"),
)

# optional parts: their use, their packages, the command that installs them
EXTRAS = (
    (
        "report pages and pictures",
        ("altair", "vl-convert-python", "jinja2", "pyarrow"),
        'pip install "convbench[report]"',
    ),
    ("ONNX models as workloads", ("onnx",), 'pip install "convbench[onnx]"'),
    ("baselines cudnn and torch_cpu", ("torch",), 'pip install "convbench[torch]"'),
    ("machine code (inspect)", ("nvidia-cuda-cuobjdump", "nvidia-cuda-nvdisasm"), 'pip install "convbench[inspect]"'),
    ("search of large config spaces", ("optuna",), 'pip install "convbench[tune]"'),
    ("baseline scipy", ("scipy",), "pip install scipy"),
    ("picture for show --maps", ("scikit-image",), 'pip install "convbench[maps]"'),
    ("clocks of a GPU (NVML)", ("nvidia-ml-py",), "pip install nvidia-ml-py"),
)

EMULATOR_REMEDY = 'pip install "numba-cuda>=0.30.4,<0.31" "numpy>=2.0,<2.5"'


def examine(track: Callable[[Sequence[Check]], Iterable[Check]] = iter) -> list[Finding]:
    """Run all checks, from the interpreter to the GPU, and return what they found.

    `track` is given the slow checks and gives them back one by one, so that it can show a progress bar.
    """
    findings = [_python(), *(_package(*pin) for pin in PINS)]
    if any(finding.state == "broken" for finding in findings):
        return findings  # the other checks need these packages
    slow = [check() for check in track((_compiler, _gpu, _emulator, _simulator))]
    return [*findings, *slow, *(_extra(*extra) for extra in EXTRAS)]


def _python() -> Finding:
    found = sys.version.split()[0]
    return Finding("Python", "ok", found)  # an older one cannot import this package


def _package(name: str, wanted: str, remedy: str) -> Finding:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(name, "broken", "not installed", remedy)
    fits = SpecifierSet(wanted).contains(found, prereleases=True)
    return Finding(name, "ok" if fits else "broken", found, None if fits else remedy)


def _extra(what: str, packages: tuple[str, ...], remedy: str) -> Finding:
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    if missing := [name for name in packages if found[name] is None]:
        return Finding(what, "absent", f"not installed: {', '.join(missing)}", remedy)
    return Finding(what, "ok", ", ".join(f"{name} {number}" for name, number in found.items()))


def _compiler() -> Finding:
    """Check that a kernel compiles. This needs NVVM, but no GPU."""
    from numba import cuda

    def nothing() -> None:
        pass

    try:
        cuda.compile(nothing, (), cc=(9, 0), device=False, abi="numba")
    except Exception as error:  # noqa: BLE001  (whatever it is, it is the finding)
        reason = " ".join(str(error).split())[:200]
        return Finding("kernel compiler (NVVM)", "absent", reason, 'pip install "convbench[cu13]" (or [cu12])')
    return Finding("kernel compiler (NVVM)", "ok", "a kernel compiles for sm_90")


def _gpu() -> Finding:
    from convbench.devices import selection

    fault, evidence = selection.cuda_fault(), selection.gpu_evidence()
    if fault is None:
        try:
            about = selection.select("cuda").describe()
        except DeviceError as error:
            return Finding(
                "GPU", "broken", str(error), "run nvidia-smi: it shows who uses the GPU, and its compute mode"
            )
        found = f"{about['name']}, driver for CUDA {about['cuda_driver']}, clocks {about['clocks']}"
        return Finding("GPU", "ok", found)
    if evidence:
        return Finding(
            "GPU", "broken", f"{evidence}, but {fault}",
            "install or update NVIDIA's driver, check that you may read and write /dev/nvidia*, and run nvidia-smi",
        )  # fmt: skip
    return Finding("GPU", "absent", fault, "use a machine with an NVIDIA GPU; without one, kernels run on the emulator")


def _emulator() -> Finding:
    """Check that a kernel runs on the emulator, which uses internals that differ between versions of numba-cuda."""
    import numpy as np
    from numba import cuda

    from convbench import devices

    def count(y: Any) -> None:
        y[cuda.threadIdx.x] = cuda.threadIdx.x

    try:
        device = devices.select("emulator")
        y = device.upload(np.full(32, -1, np.int32))
        device.launch("multiply", cuda.jit(count), 1, 32, y)
        wrong = list(device.download(y)) != list(range(32))
    except Exception as error:  # noqa: BLE001  (whatever it is, it is the finding)
        return Finding("emulator", "broken", " ".join(str(error).split()), EMULATOR_REMEDY)
    if wrong:
        return Finding("emulator", "broken", "a kernel that counts threads gives a wrong count", EMULATOR_REMEDY)
    about = device.describe()
    return Finding(
        "emulator", "ok", f"a kernel runs on {about['workers']} cores of {about['processor']}, "
        f"by numba-cuda {version('numba-cuda')} and NumPy {version('numpy')}",
    )  # fmt: skip


def _simulator() -> Finding:
    from convbench import devices

    return Finding("simulator", "ok", devices.select("simulator").describe()["clock"])
