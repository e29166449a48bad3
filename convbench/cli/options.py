"""The options that commands share, and what their values mean."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convbench.cli import completion
from convbench.errors import ConvbenchError, UnknownNameError
from convbench.problem import DIRECTIONS, Direction

if TYPE_CHECKING:
    from convbench.algorithm import Algorithm

DEVICES = (
    "cuda",
    "emulator",
    "emulator-checked",
    "simulator",
)  # of `convbench.devices.NAMES`

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
        help="A named workload (see `convbench list`), an ONNX model, a CSV file, or a text with a problem a line.",
        autocompletion=completion.workloads,
    ),
]
BatchOption = Annotated[int | None, typer.Option("--batch", help="Batch size N instead of each problem's own.")]
WhereOption = Annotated[
    str | None,
    typer.Option(
        "--where", help="Only layers of which this is true, in pandas' query syntax: 'r == 3 and stride == (1, 1)'."
    ),
]
AlgorithmOption = Annotated[
    list[str] | None,
    typer.Option(
        "--algorithm",
        help="Only these, with commas or repeated. Default: all.",
        autocompletion=completion.algorithms,
    ),
]
BaselinesOption = Annotated[
    bool, typer.Option("--baselines", help="Also what they are compared with: cuDNN, PyTorch, SciPy, NumPy.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        help=f"One of {', '.join(DEVICES)}. Default: the GPU if there is one, else the emulator.",
        autocompletion=completion.one_of(DEVICES),
    ),
]
DirectionOption = Annotated[
    str,
    typer.Option("--direction", help=f"One of {', '.join(DIRECTIONS)}.", autocompletion=completion.one_of(DIRECTIONS)),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the random data.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
DatabaseOption = Annotated[
    Path | None,
    typer.Option("--database", help="File of tuned configs. Default: reports/tuned/DEVICE.jsonl in this folder."),
]
PluginOption = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="A module, or a .py file, that registers algorithms; may be repeated."),
]


def direction(name: str) -> Direction:
    """The direction of that name; raises UnknownNameError."""
    for known in DIRECTIONS:
        if name == known:
            return known
    raise UnknownNameError(f"direction {name!r} is unknown; there are {', '.join(DIRECTIONS)}")


def load_plugins(plugins: list[str] | None) -> None:
    """Import what registers algorithms, from the current folder too; raises ConvbenchError when that fails."""
    for plugin in plugins or []:
        try:
            if plugin.endswith(".py"):
                _import_file(Path(plugin))
            else:
                if (here := str(Path.cwd())) not in sys.path:
                    sys.path.append(here)  # a script's path has its own folder; last, so that nothing is hidden
                importlib.import_module(plugin)
        except ConvbenchError:
            raise
        except (Exception, SystemExit) as error:
            raise ConvbenchError(f"plugin {plugin} cannot be imported: {type(error).__name__}: {error}") from error


def available_algorithms() -> "list[Algorithm]":
    """Every algorithm that can be loaded; what is wrong with the others goes to standard error."""
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
