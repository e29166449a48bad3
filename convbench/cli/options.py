"""The options that several commands share, and the functions that read their values."""

import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convbench.cli import completion
from convbench.errors import ConvbenchError, UnknownNameError, did_you_mean, message_of
from convbench.problem import DIRECTIONS, Direction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convbench.algorithm import Algorithm
    from convbench.problem import ConvProblem
    from convbench.workload import Workload

DEVICES = (
    "cuda",
    "emulator",
    "emulator-llvm",
    "emulator-checked",
    "simulator",
)  # the names in `convbench.devices.NAMES`, repeated here so that completion need not import it

ONE_PROBLEM = "A problem as text: n1c64h56w56-k64r3s3-pad1, a benchdnn descriptor, or quoted MIOpenDriver flags."
Problems = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PROBLEM…",
        help="Problems as text: n1c64h56w56-k64r3s3-pad1, a benchdnn descriptor, or quoted MIOpenDriver flags.",
        show_default=False,
    ),
]
WorkloadOption = Annotated[
    str | None,
    typer.Option(
        "--workload",
        help="A named workload (see `convbench list`), an ONNX model, a CSV file, a trace of PyTorch's profiler, "
        "or a text file or log with a problem on each line.",
        autocompletion=completion.workloads,
    ),
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="[NAME=]SIZES",
        help="Sizes of an input of an ONNX model that leaves them open: NAME=1x3x224x224, or 1x3x224x224 for a model "
        "of one input. May be repeated.",
    ),
]
BatchOption = Annotated[int | None, typer.Option("--batch", help="Batch size N to use for every problem.")]
WhereOption = Annotated[
    str | None,
    typer.Option(
        "--where", help="Only layers that meet this condition, a pandas query such as 'r == 3 and stride == (1, 1)'."
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only shard I of N, which have about as many multiply-adds each; `convbench merge` joins their results.",
    ),
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", help="Stop if a line or layer of the workload cannot be read. Default: list and skip it."),
]
AlgorithmOption = Annotated[
    list[str] | None,
    typer.Option(
        "--algorithm",
        help="Only these algorithms. Separate them with commas, or repeat the option. Default: all.",
        autocompletion=completion.algorithms,
    ),
]
BaselinesOption = Annotated[
    bool, typer.Option("--baselines", help="Also run the baselines of other libraries: cuDNN, PyTorch, SciPy, NumPy.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        help=f"Where kernels run: one of {', '.join(DEVICES)}. Default: the GPU if there is one, else the emulator.",
        autocompletion=completion.one_of(DEVICES),
    ),
]
DirectionOption = Annotated[
    str | None,
    typer.Option(
        "--direction",
        help=f"What to compute: one of {', '.join(DIRECTIONS)}. Default: what each problem names, else forward.",
        autocompletion=completion.one_of(DIRECTIONS),
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the random data.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
DatabaseOption = Annotated[
    Path | None,
    typer.Option(
        "--database", help="File of tuned configs. Default: reports/tuned/DEVICE.jsonl in the current folder."
    ),
]
# the names in `convbench/profiling/chips.toml`, repeated here so that completion need not read it
GPUS = (
    "h200", "h100", "a100", "a100-80gb", "a6000", "a10", "l4", "rtx4090", "rtx3090", "rtx3070ti", "rtx3060", "gtx1650",
    "t4", "b200", "b300", "rtx5090", "gb10", "thor", "orin",
)  # fmt: skip
NO_GPU = "none"
GpuOption = Annotated[
    str | None,
    typer.Option(
        "--gpu",
        help=f"GPU whose times are predicted: one of {', '.join(GPUS)}, a TOML file with its figures, or none. "
        "Default: the GPU that is used; without a GPU, h200.",
        autocompletion=completion.one_of((*GPUS, NO_GPU)),
    ),
]
CacheSizeOption = Annotated[
    str | None,
    typer.Option(
        "--cache-size",
        help="Most bytes of compiled kernels on disk, such as 500MB; those not used for the longest time go first. "
        "Default: CONVBENCH_CACHE_SIZE, or 2GiB.",
    ),
]
ISOLATIONS = "process", "none"
IsolationOption = Annotated[
    str | None,
    typer.Option(
        "--isolation",
        help="process: run algorithms in a worker process, so that none can end, hang or fill this one; or none. "
        "Default: process with plugins, on a GPU, and for more than four problems; else none.",
        autocompletion=completion.one_of(ISOLATIONS),
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        help="Seconds that an algorithm may take on a problem before its process is ended, and again for each timed "
        "run. Default: from the size of the problem.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        help="Most memory of the host that a worker process may take, such as 4GB. Default: 80 % of the machine's.",
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="WHERE",
        help="Have the workers of a cluster (Dask distributed, extra `cluster`) do it: local:4 starts four here; or "
        "tcp://HOST:PORT of a scheduler, or its file.json.",
    ),
]
RetryOption = Annotated[
    str | None,
    typer.Option(
        "--retry",
        metavar="OUTCOMES",
        help="As --resume, but run again what ended so: crashed, timed_out, out_of_memory, wrong, refused, "
        "separated by commas.",
    ),
]
PluginOption = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="A module or a .py file that registers algorithms. May be repeated."),
]


def direction(name: str) -> Direction:
    """The direction with this name. Raises UnknownNameError if there is none."""
    for known in DIRECTIONS:
        if name == known:
            return known
    like = did_you_mean(name, DIRECTIONS)
    raise UnknownNameError(f"direction {name!r} is unknown; there are {', '.join(DIRECTIONS)}{like}")


def tell_override(what: str, asked: Direction, named: "Iterable[str]") -> None:
    """Say on standard error that --direction is used instead of the directions that a source names."""
    print(f"convbench: {what} names {', '.join(named)}; {asked} is computed, as --direction says", file=sys.stderr)


def one_problem(text: str, asked: str | None) -> "tuple[ConvProblem, Direction]":
    """The problem of a text, and the direction that was asked for; without one, the first that the text names."""
    from convbench.problem.notation import read

    reading = read(text)
    named = reading.directions
    if asked is not None:
        chosen = direction(asked)
        if named and chosen not in named:
            tell_override(text, chosen, named)
        return reading.problem, chosen
    if len(named) > 1:
        told = f"{text} names {', '.join(named)}; this is {named[0]}, and --direction chooses another"
        print(f"convbench: {told}", file=sys.stderr)
    return reading.problem, named[0] if named else "forward"


def refuse_skipped(chosen: "Workload") -> None:
    """Raise ConvbenchError if something of a workload could not be read, as --strict asks."""
    if chosen.skipped:
        raise ConvbenchError("--strict: not all could be read:\n    " + "\n    ".join(chosen.skipped))


def inputs(texts: list[str] | None) -> dict[str, tuple[int, ...]]:
    """The sizes of each input, by name; the name is empty where none is given. Raises ConvbenchError."""
    found: dict[str, tuple[int, ...]] = {}
    for text in texts or []:
        name, _, sizes = text.rpartition("=")
        numbers = sizes.split("x")
        if not all(re.fullmatch("0*[1-9][0-9]{0,17}", number, re.ASCII) for number in numbers):
            raise ConvbenchError(
                f"--input {text!r} is not NAME=SIZES, or SIZES for a model of one input; sizes are whole numbers, at "
                "least 1, with x between them: x=1x3x224x224"
            )
        if name in found:
            raise ConvbenchError(f"--input gives sizes of {name!r} twice" if name else "--input without a name twice")
        found[name] = tuple(map(int, numbers))
    return found


def keep_cache_within(size: str | None) -> None:
    """Limit the compiled kernels on disk, in this process and those that it starts. Raises ConvbenchError."""
    from convbench.emulator import cache_folder

    if size is not None:
        os.environ[cache_folder.VARIABLE] = size
    try:
        cache_folder.limit()
    except cache_folder.CacheSizeError as error:
        raise ConvbenchError(str(error)) from None


def load_plugins(plugins: list[str] | None) -> None:
    """Import modules and files that register algorithms. Modules are also looked for in the current folder.

    Raises ConvbenchError when an import fails.
    """
    for plugin in plugins or []:
        try:
            if plugin.endswith(".py"):
                _import_file(Path(plugin))
            else:
                if (here := str(Path.cwd())) not in sys.path:
                    sys.path.append(here)  # an installed script lacks it; at the end it hides no other module
                importlib.import_module(plugin)
        except ConvbenchError:
            raise
        except (Exception, SystemExit) as error:
            raise ConvbenchError(
                f"plugin {plugin} cannot be imported: {type(error).__name__}: {message_of(error)}"
            ) from error


def available_algorithms() -> "list[Algorithm]":
    """Every algorithm that can be loaded. The faults of the others go to standard error."""
    from convbench.algorithm import registry

    algorithms, faults = registry.available()
    for fault in faults:
        print(f"convbench: {fault}", file=sys.stderr)
    return algorithms


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise ConvbenchError(f"plugin {path} is no file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # it is a .py file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
