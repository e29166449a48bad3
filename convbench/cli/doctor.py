"""What a machine has for convbench, what is missing, and the command that mends it."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from packaging.specifiers import SpecifierSet

from convbench.errors import DeviceError

State = Literal["ok", "absent", "broken"]  # absent: one can do without it


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` is None if it is well."""

    what: str
    state: State
    found: str
    remedy: str | None = None


Check = Callable[[], Finding]

# package, versions that work, how to get one
PINS = (
    ("numba-cuda", ">=0.30.4,<0.31", 'pip install "numba-cuda[cu13]>=0.30.4,<0.31"'),
    ("numba", ">=0.68,<0.69", 'pip install "numba>=0.68,<0.69"'),
    ("llvmlite", ">=0.50,<0.51", 'pip install "llvmlite>=0.50,<0.51"'),
    ("numpy", ">=2.0,<2.5", 'pip install "numpy<2.5"   (numba-cuda 0.30 cannot compile a kernel with NumPy 2.5)'),
    ("pandas", ">=2.2", "pip install pandas"),
)

# what one can do without: what it is for, its packages, how to get them
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
    """All findings, from the interpreter to the GPU; `track` gives the slow checks back one by one, as it likes."""
    findings = [_python(), *(_package(*pin) for pin in PINS)]
    if any(finding.state == "broken" for finding in findings):
        return findings  # what follows needs these
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
    """Whether a kernel compiles; that needs NVVM, and no GPU."""
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
                "GPU", "broken", str(error), "see with nvidia-smi who uses it, and in which compute mode it is"
            )
        found = f"{about['name']}, driver for CUDA {about['cuda_driver']}, clocks {about['clocks']}"
        return Finding("GPU", "ok", found)
    if evidence:
        return Finding(
            "GPU", "broken", f"{evidence}, but {fault}",
            "install or update NVIDIA's driver, see that /dev/nvidia* may be read and written, and try nvidia-smi",
        )  # fmt: skip
    return Finding("GPU", "absent", fault, "run on a machine with an NVIDIA GPU; until then the emulator is used")


def _emulator() -> Finding:
    """Whether a kernel runs on it; other versions of numba-cuda than those it knows have other internals."""
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
        return Finding("emulator", "broken", "a kernel that counts threads miscounts", EMULATOR_REMEDY)
    about = device.describe()
    return Finding(
        "emulator", "ok", f"a kernel runs on {about['workers']} cores of {about['processor']}, "
        f"by numba-cuda {version('numba-cuda')} and NumPy {version('numpy')}",
    )  # fmt: skip


def _simulator() -> Finding:
    from convbench import devices

    return Finding("simulator", "ok", devices.select("simulator").describe()["clock"])
