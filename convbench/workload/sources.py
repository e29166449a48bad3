"""Where workloads come from: the package, files, models, modules of PyTorch, problems given one by one.

Inside the package are CSV files of real networks (their `source` column says where each row is from). A user's own are
a CSV file with the same columns, a text file with one problem a line, in any notation (`#` starts a comment), the
convolutions of an ONNX model and those of a `torch.nn.Module`.
"""

import warnings
from importlib.resources import files as resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.errors import UnknownNameError
from convbench.problem.notation import parse
from convbench.workload import files
from convbench.workload.layer import Layer
from convbench.workload.workload import Workload

if TYPE_CHECKING:
    from os import PathLike


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
    if name_or_path in names():
        return files.read_csv(name_or_path, _folder() / f"{name_or_path}.csv")
    path = Path(name_or_path)
    if not path.is_file():
        raise UnknownNameError(f"workload {name_or_path!r} is no file and no name; there are {', '.join(names())}")
    match path.suffix.lower():
        case ".onnx":
            from convbench.workload import onnx_model  # imports onnx, an extra

            return onnx_model.read(path)
        case ".csv":
            return files.read_csv(path.stem, path)
        case _:
            return files.read_text(path.stem, path)


def from_onnx(model: "str | PathLike[str] | Any") -> Workload:
    """The convolutions of an ONNX model: a file's path, or an `onnx.ModelProto`, which is left as it is.

    One layer for each Conv node of one or two spatial axes, under its name. Shapes are inferred; a batch that the model
    leaves open is 1. What is left out is in `skipped`, and a UserWarning names it.

    Raises
    ------
    ConvbenchError
        no package onnx, a file that is no model, a model without such a node, a size that is not known: with the node.
    """
    from convbench.workload import onnx_model  # imports onnx, an extra

    return _warned(onnx_model.read(model))


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
    from convbench.workload import torch_module  # imports PyTorch

    return _warned(torch_module.read(module, input_shape, dtype=dtype, device=device, name=name))


def _warned(workload: Workload) -> Workload:
    for what in workload.skipped:
        warnings.warn(f"{workload.name}: skipped {what}", stacklevel=3)
    return workload


def from_texts(texts: list[str]) -> Workload:
    """A workload of problems given one by one, each under its own text."""
    problems = [parse(text) for text in texts]
    layers = tuple(Layer(name=str(problem), problem=problem) for problem in problems)
    return Workload(name="problems", source="given one by one", layers=layers)


def _folder() -> Traversable:
    return resources("convbench.workload") / "lists"
