"""Loads workloads from every kind of source: the package's lists, files, ONNX models, PyTorch modules, single texts.

The package has CSV files of real networks; their column `source` says where each row is from. A user can bring a CSV
file with the same columns, a text file with a problem on each line in any notation (`#` starts a comment), a log of
another library, a trace of PyTorch's profiler, an ONNX model or a `torch.nn.Module`.
"""

import warnings
from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.errors import ConvbenchError, UnknownNameError, did_you_mean
from convbench.problem.notation import read
from convbench.workload import files
from convbench.workload.layer import Layer
from convbench.workload.workload import Workload

if TYPE_CHECKING:
    from os import PathLike


def names() -> list[str]:
    """The names of the package's workloads, sorted."""
    return sorted(entry.name.removesuffix(".csv") for entry in _folder().iterdir() if entry.name.endswith(".csv"))


def load(name_or_path: str, inputs: Mapping[str, Sequence[int]] | None = None) -> Workload:
    """The workload of the package with this name, or that of the file with this path.

    A file whose name ends in `.csv` has the columns of the package's lists. One that ends in `.onnx` is a model. The
    content tells what any other is: a trace of PyTorch's profiler, a log of cuDNN's frontend, or a text file or log
    with a problem on each line. It may be compressed with gzip. `inputs` is for models only, as for `from_onnx`.

    Raises
    ------
    UnknownNameError
        there is neither a workload nor a file of that name; the message lists the names.
    ConvbenchError
        a line is not a problem: the message has file and line; or a model cannot be read: it has file and node;
        or `inputs` are given for a source that is no model.
    """
    path = Path(name_or_path)
    if inputs and (name_or_path in names() or (path.is_file() and path.suffix.lower() != ".onnx")):
        raise ConvbenchError(f"sizes of inputs are for ONNX models (.onnx) only, and {name_or_path!r} is no such file")
    if name_or_path in names():
        return files.read_csv(name_or_path, _folder() / f"{name_or_path}.csv")
    if not path.is_file():
        like = did_you_mean(name_or_path, names())
        raise UnknownNameError(
            f"workload {name_or_path!r} is no file and no name; there are {', '.join(names())}{like}"
        )
    match path.suffix.lower():
        case ".onnx":
            from convbench.workload import onnx_model  # few workloads are models; saves start-up time

            return onnx_model.read(path, inputs)
        case suffix:
            return _by_content(path, is_csv=suffix == ".csv")


def _by_content(path: Path, *, is_csv: bool) -> Workload:
    """The workload of a trace, a log, a CSV file or a text file; the content tells which it is."""
    from convbench.workload import logs  # few workloads are logs; saves start-up time

    text = files.text(path)
    name = path.with_suffix("").stem if path.suffix.lower() == ".gz" else path.stem
    if (found := logs.read(name, path, text)) is not None:
        return found
    return files.read_csv(name, path) if is_csv else files.read_text(name, path, text)


def from_onnx(model: "str | PathLike[str] | Any", inputs: Mapping[str, Sequence[int]] | None = None) -> Workload:
    """The convolutions of an ONNX model, given as a file's path or as an `onnx.ModelProto`, which is not changed.

    There is one layer for each Conv and ConvTranspose node with one or two spatial axes, under the node's name; that of
    a ConvTranspose has the direction backward_data. Shapes are inferred from the model's inputs. A batch that an input
    leaves open is 1. Other convolutions, and those whose sizes are unknown, are listed in `skipped`, with a UserWarning
    for each.

    Parameters
    ----------
    inputs : sizes by the name of an input, such as {"x": (1, 3, 224, 224)}; for inputs with open sizes. The name may
        also be that of an inner tensor whose sizes depend on data.

    Raises
    ------
    ConvbenchError
        the package onnx is missing, the file is not a model, the model has no such node, a node is wrong, or all sizes
        are unknown; the message then has the node, and sizes of inputs that help.
    """
    from convbench.workload import onnx_model  # few workloads are models; saves start-up time

    return _warned(onnx_model.read(model, inputs))


def from_torch(
    module: Any, input_shape: Any = None, *, dtype: Any = None, device: str = "meta", name: str | None = None
) -> Workload:
    """The convolutions that a `torch.nn.Module` runs, in evaluation mode, for an input of the given shape.

    There is one layer for each module and problem; its count is how often it runs. A convolution that is called as a
    function, such as `torch.nn.functional.conv2d`, has the name of the module that calls it. Convolutions that cannot
    be computed are listed in `skipped`, with a UserWarning for each. The module, its modes and its buffers are not
    changed.

    Parameters
    ----------
    module : a module, also a lazy, compiled, scripted or traced one, or an `ExportedProgram` of `torch.export`
    input_shape : (N, C, H, W) or another shape that the module takes; a list of shapes if it has several inputs; a
        mapping from names to shapes if its inputs have names. A tensor may stand in place of each shape, and must do so
        for an input of integers. Lists and mappings may be nested; an input that is a mapping is given as a list of
        that mapping. None, which is the default: the example inputs of an `ExportedProgram`.
    dtype : the dtype to run in, as a name or a torch.dtype; by default the module is run as it is, on inputs of its
        own dtype
    device : the PyTorch device to run on. On "meta" nothing is computed; a module whose control flow depends on values
        needs "cpu". If a module uses `torch.autocast` for one kind of device, "meta" stands for that kind, also if
        there is no such device.
    name : of the workload; by default the name of the module's class

    Raises
    ------
    ConvbenchError
        the package torch is missing, the object is not a module, it does not run with this shape, it runs no
        convolution, or it uses autocast in a way that leaves the dtype unknown.
    """
    from convbench.workload import torch_module  # imports PyTorch, an optional package

    return _warned(torch_module.read(module, input_shape, dtype=dtype, device=device, name=name))


def _warned(workload: Workload) -> Workload:
    for what in workload.skipped:
        warnings.warn(f"{workload.name}: skipped {what}", stacklevel=3)
    for what in workload.notes:
        warnings.warn(f"{workload.name}: {what}", stacklevel=3)
    return workload


def from_texts(texts: list[str]) -> Workload:
    """A workload of the problems that these texts describe, each under its own text and in the directions it names."""
    readings = [read(text) for text in texts]
    layers = tuple(
        Layer(name=str(reading.problem), problem=reading.problem, count=reading.count, direction=direction)
        for reading in readings
        for direction in reading.directions or ("forward",)
    )
    directed = any(reading.directions for reading in readings)
    return Workload(name="problems", source="given one by one", layers=layers, directed=directed)


def _folder() -> Traversable:
    return resources("convbench.workload") / "lists"
