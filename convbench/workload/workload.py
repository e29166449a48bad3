"""The workload: named problems, with how often each occurs and where they come from.

Inside the package are CSV files of real networks (their `source` column says where each row is from). A user's own are
a CSV file with the same columns, a text file with one problem a line, in any notation (`#` starts a comment), the
convolutions of an ONNX model and those of a `torch.nn.Module`.
"""

import warnings
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.errors import UnknownNameError
from convbench.problem.notation import parse
from convbench.problem.problem import ConvProblem

if TYPE_CHECKING:
    from os import PathLike


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A problem by its name in a network: one line, in which what cannot be printed stands as an escape."""

    name: str
    problem: ConvProblem
    count: int = 1  # how often the network has this layer

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _printable(self.name))


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Layers under one name."""

    name: str
    source: str
    layers: tuple[Layer, ...]
    skipped: tuple[str, ...] = ()  # what else the source has of the kind of a convolution: its name, and why not

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _printable(self.name))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers, each as often as it occurs."""
        return sum(layer.count * layer.problem.macs for layer in self.layers)

    def distinct(self) -> "Workload":
        """The same work with each problem once, under all its names, as often as all of them occur."""
        same: dict[ConvProblem, list[Layer]] = {}
        for layer in self.layers:
            same.setdefault(layer.problem, []).append(layer)
        layers = tuple(
            Layer(
                name=", ".join(dict.fromkeys(layer.name for layer in group)),
                problem=problem,
                count=sum(layer.count for layer in group),
            )
            for problem, group in same.items()
        )
        return replace(self, layers=layers)

    def where(self, condition: str) -> "Workload":
        """The layers that a condition in pandas' query syntax is true of: "r == 3 and stride == (1, 1)".

        `convbench.workload.where` says which columns there are, and what it raises.
        """
        from convbench.workload.where import select

        return replace(self, layers=select(self.layers, condition))

    def with_batch(self, n: int) -> "Workload":
        """The same layers at another batch size."""
        layers = tuple(replace(layer, problem=replace(layer.problem, n=n)) for layer in self.layers)
        return replace(self, name=f"{self.name}-n{n}", layers=layers)


def names() -> list[str]:
    """The workloads inside the package, sorted."""
    return sorted(entry.name.removesuffix(".csv") for entry in _folder().iterdir() if entry.name.endswith(".csv"))


def load(name_or_path: str) -> Workload:
    """A workload of the package by its name, or a file by its path.

    `.csv` is a file with our columns, `.onnx` a model, any other a text file with a problem on each line.

    Raises
    ------
    UnknownNameError
        neither a name nor a file; the message lists the names.
    ConvbenchError
        a line that is no problem, with file and line; a model that cannot be read, with file and node.
    """
    from convbench.workload import files as workload_files

    if name_or_path in names():
        return workload_files.read_csv(name_or_path, _folder() / f"{name_or_path}.csv")
    path = Path(name_or_path)
    if not path.is_file():
        raise UnknownNameError(f"workload {name_or_path!r} is no file and no name; there are {', '.join(names())}")
    match path.suffix.lower():
        case ".onnx":
            from convbench.workload import onnx_model as onnx_workload

            return onnx_workload.read(path)
        case ".csv":
            return workload_files.read_csv(path.stem, path)
        case _:
            return workload_files.read_text(path.stem, path)


def from_onnx(model: "str | PathLike[str] | Any") -> Workload:
    """The convolutions of an ONNX model: a file's path, or an `onnx.ModelProto`, which is left as it is.

    One layer for each Conv node of one or two spatial axes, under its name. Shapes are inferred; a batch that the model
    leaves open is 1. What is left out is in `skipped`, and a UserWarning names it.

    Raises
    ------
    ConvbenchError
        no package onnx, a file that is no model, a model without such a node, a size that is not known: with the node.
    """
    from convbench.workload import onnx_model as onnx_workload

    return _warned(onnx_workload.read(model))


def from_torch(
    module: Any, input_shape: Any, *, dtype: Any = None, device: str = "meta", name: str | None = None
) -> Workload:
    """The convolutions that a `torch.nn.Module` runs, in evaluation mode, for an input of a shape.

    One layer for each module and problem, counted as often as it runs; a convolution that is no module's own (by
    `torch.nn.functional.conv2d`, say) is under the name of the module that calls it. What is left out is in `skipped`,
    and a UserWarning names it. The module, its modes and its buffers are left as they are.

    Parameters
    ----------
    input_shape : (N, C, H, W) or whatever the module takes; a list of shapes for a module of several inputs
    dtype : what to run in, by its name or PyTorch's; by default the module as it is, on inputs of its own dtype
    device : where to run; on "meta" nothing is computed. A module whose way depends on values needs "cpu".
    name : of the workload; by default the module's class

    Raises
    ------
    ConvbenchError
        no package torch, no module, a shape that the module does not run with, no convolution.
    """
    from convbench.workload import torch_module as torch_workload

    return _warned(torch_workload.read(module, input_shape, dtype=dtype, device=device, name=name))


def _warned(workload: Workload) -> Workload:
    for what in workload.skipped:
        warnings.warn(f"{workload.name}: skipped {what}", stacklevel=3)
    return workload


def from_texts(texts: list[str]) -> Workload:
    """A workload of problems given one by one, each under its own text."""
    problems = [parse(text) for text in texts]
    layers = tuple(Layer(name=str(problem), problem=problem) for problem in problems)
    return Workload(name="problems", source="given one by one", layers=layers)


def _printable(name: str) -> str:
    """A name from outside as text that does nothing: a terminal would obey some characters, others break a table."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)


def _folder() -> Traversable:
    return files("convbench.workload") / "lists"
