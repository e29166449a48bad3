"""Reads the convolution nodes of graphs that cuDNN's frontend logs.

With `CUDNN_FRONTEND_LOG_INFO=1`, the frontend prints each graph when it is built: a JSON object, on one line.

    context  `io_data_type` is the dtype of tensors without one, unless they are virtual: the graph keeps those inside
    nodes    `tag` is the operation: CONV_FPROP, CONV_DGRAD or CONV_WGRAD. `inputs` and `outputs` name tensors.
             `stride`, `dilation`, `pre_padding` and `post_padding` have a number for each spatial axis.
    tensors  `dim` and `stride`, in the order N C H W, of the filter K C/G R S. Both are empty where the frontend
             derives them later. In version 1.0 it is an object with uids or names as keys, in version 2.0 a list. Of
             tensors with one name, version 1.0 has only the last.

Groups follow from the channels of x and the filter. Sizes of tensors inside a graph are derived from convolutions and
pointwise operations.

Source: cuDNN frontend, include/cudnn_frontend/graph_interface.h (validate and serialize), utils/serialize.h and
graph_properties.h. `json_version` 1.0 is that of frontend 1.23.0, and 2.0 that of frontend 1.32.0.
"""

import re
from collections import Counter
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from convbench.errors import ConvbenchError
from convbench.problem import ConvProblem, Direction, Dtype, FilterLayout, Layout
from convbench.workload import faults
from convbench.workload.layer import Layer, printable
from convbench.workload.logs import json_text
from convbench.workload.workload import Workload

_GRAPH = re.compile(
    r'\{\s*"(?:context|cudnn_backend_version|cudnn_frontend_version|gid|json_version|nodes|tensors)"\s*:'
)
# of each operation the direction, and the names of x or dx, of w or dw, and of y or dy
_NODES: dict[str, tuple[Direction, tuple[str, str, str]]] = {
    "CONV_FPROP": ("forward", ("X", "W", "Y")),
    "CONV_DGRAD": ("backward_data", ("DX", "W", "DY")),
    "CONV_WGRAD": ("backward_weights", ("X", "DW", "DY")),
}
MOST = 10**15  # a number is less
_DTYPES: dict[str, Dtype] = {"FLOAT": "float32", "DOUBLE": "float64", "HALF": "float16", "BFLOAT16": "bfloat16"}


def looks_like(text: str) -> bool:
    """Whether the text is a log of the frontend, or a graph that was copied from one."""
    return "[cudnn_frontend]" in text or ('"cudnn_frontend_version"' in text and '"nodes"' in text)


def read(name: str, path: Path | Traversable, text: str) -> Workload:
    """The workload of a log's text. Raises ConvbenchError if it has no convolution."""
    lines: dict[tuple[str, ConvProblem, Direction], list[int]] = {}
    unread, others = list[ConvbenchError](), Counter[str]()
    notes = [f"{path}: a graph counts once each time that it was built; the log does not tell how often it ran"]
    graphs = 0
    for line, found in _graphs(text):
        if isinstance(found, ConvbenchError):
            unread.append(faults.placed(path, line, found))
            continue
        graphs += 1
        graph = _Graph(found)
        if shared := graph.shared_filters():
            named = printable(", ".join(shared)[:100])
            notes.append(
                f"{path}, line {line}: several nodes have a filter with the name {named}; if these are different "
                "tensors, the log has the sizes of one only, and the layers of the others are wrong"
            )
        for node in graph.nodes:
            tag = str(node.get("tag"))
            try:
                if tag in _NODES:
                    lines.setdefault((*graph.layer(node), _NODES[tag][0]), []).append(line)
                else:
                    others[printable(tag[:40])] += 1
            except ConvbenchError as error:
                unread.append(faults.placed(path, line, error))
            graph.derive(node)
    if not (lines or unread):
        told = (
            f"its {graphs} graphs have no convolution"
            if graphs
            else "no graph in it; CUDNN_FRONTEND_LOG_INFO=1 logs them"
        )
        raise ConvbenchError(f"{path}: {told}")
    if others:
        told = ", ".join(f"{count} × {what}" for what, count in others.most_common())
        notes.append(f"{path}: nodes of other operations: {told}")
    layers = [
        Layer(name=of, problem=problem, direction=direction, count=len(found), place=faults.place(found))
        for (of, problem, direction), found in lines.items()
    ]
    return faults.assemble(name, path, str(path), layers, unread, notes, directed=True)


def _graphs(text: str) -> Iterator[tuple[int, dict[str, Any] | ConvbenchError]]:
    """The graphs of a log with their lines, and in place of one that cannot be read the reason."""
    cursor = json_text.Cursor(text)
    while start := _GRAPH.search(text, cursor.position):
        cursor.to(start.start())
        line, end = cursor.line, text.find("\n", cursor.position)
        try:
            found = cursor.value()
        except json_text.BrokenJsonError as error:
            yield line, error
            if end < 0:
                return
            cursor = json_text.Cursor(text, end, line)  # what follows is read even if the rest of a string hides it
            continue
        if isinstance(found, dict) and isinstance(found.get("nodes"), list):
            yield line, found


class _Graph:
    """The nodes and tensors of a logged graph."""

    def __init__(self, logged: dict[str, Any]) -> None:
        self.nodes = [node for node in logged["nodes"] if isinstance(node, dict)]
        context, tensors = logged.get("context"), logged.get("tensors")
        self.dtype = context.get("io_data_type") if isinstance(context, dict) else None
        if isinstance(tensors, list):
            pairs = [(tensor.get("uid"), tensor) for tensor in tensors if isinstance(tensor, dict)]
        else:
            pairs = list(tensors.items()) if isinstance(tensors, dict) else []
        self.tensors = {str(key): tensor for key, tensor in pairs if isinstance(tensor, dict)}
        self.derived: dict[str, list[int]] = {}  # sizes of tensors that the log leaves out

    def layer(self, node: dict[str, Any]) -> tuple[str, ConvProblem]:
        """The name and the problem of a convolution node. Raises ConvbenchError, with the node's name."""
        tag, own = str(node["tag"]), node.get("name")
        name = own if isinstance(own, str) and own and not own.isdecimal() else tag
        try:
            problem, more = self._problem(node, *_NODES[tag][1])
        except ConvbenchError as error:
            raise ConvbenchError(f"{tag} node {own!r}: {error}") from error
        return f"{name} [{', '.join(more)}]" if more else name, problem

    def shared_filters(self) -> list[str]:
        """The names that several nodes have for their filter; version 1.0 has one tensor for each name."""
        names = Counter(
            ports["W"]
            for node in self.nodes
            if isinstance(ports := node.get("inputs"), dict) and isinstance(ports.get("W"), str)
        )
        return [name for name, count in names.items() if count > 1]

    def derive(self, node: dict[str, Any]) -> None:
        """Keep the sizes of a node's output, where the log leaves them out and they follow from its inputs."""
        if node.get("tag") == "CONV_FPROP":
            try:
                _, problem = self.layer(node)
            except ConvbenchError:
                return
            if len(self._sizes(node, "X")) == 4:
                self.derived.setdefault(self._key(node, "Y"), list(problem.y_shape))
        elif node.get("tag") == "POINTWISE":
            given = node.get("inputs")
            sizes = [self._sizes(node, port) for port in given] if isinstance(given, dict) else []
            if sizes and all(sizes) and len({len(one) for one in sizes}) == 1:
                self.derived.setdefault(self._key(node, "OUT_0"), [max(axis) for axis in zip(*sizes, strict=True)])

    def _problem(self, node: dict[str, Any], x: str, w: str, y: str) -> tuple[ConvProblem, list[str]]:
        """The problem of a node, and what it does not have."""
        of_x, of_w, of_y = (self._sizes(node, port) for port in (x, w, y))
        for port, sizes in ((x, of_x), (w, of_w)):
            if not sizes:
                raise ConvbenchError(f"the log has no sizes of {port}, which is computed inside of the graph")
        if len({self._key(node, port) for port in (x, w, y)}) < 3:
            raise ConvbenchError("two of its tensors have one name in the log, which has the sizes of one of them only")
        axes = len(of_x) - 2
        if axes not in (1, 2) or len(of_w) != len(of_x):
            raise ConvbenchError(f"{x} has the sizes {of_x} and {w} {of_w}; a problem has one or two spatial axes")
        if min(of_x[1], of_w[1]) < 1 or of_x[1] % of_w[1]:
            raise ConvbenchError(f"the {of_x[1]} channels of {x} are no multiple of the {of_w[1]} of {w}")
        strides, dilations, before, after = (
            self._numbers(node, field, axes) for field in ("stride", "dilation", "pre_padding", "post_padding")
        )
        if axes == 1:
            of_x, of_w, strides, dilations = (
                [*of_x[:2], 1, *of_x[2:]], [*of_w[:2], 1, *of_w[2:]], [1, *strides], [1, *dilations],
            )  # fmt: skip
            before, after = [0, *before], [0, *after]
        more = []
        layout, fits = self._layout(node, x, y)
        if not fits:
            more.append(f"{x} strides {self._strides(node, x)}")
        filter_layout, fits = self._filter_layout(node, w, of_w)
        if not fits:
            more.append(f"{w} strides {self._strides(node, w)}")
        dtype, other = self._dtype(node, (x, w, y))
        more += other
        if node.get("math_mode") == "CONVOLUTION":
            more.append("flipped filter")
        (n, c, height, width), (k, _, r, s) = of_x, of_w
        problem = ConvProblem(
            n=n, c=c, h=height, w=width, k=k, r=r, s=s, stride=(strides[0], strides[1]),
            dilation=(dilations[0], dilations[1]),
            padding=((before[0], after[0]), (before[1], after[1])),
            groups=c // of_w[1], dtype=dtype, layout=layout, filter_layout=filter_layout,
        )  # fmt: skip
        expected = [problem.n, problem.k, *(problem.p, problem.q)[2 - axes :]]
        if of_y and of_y != expected:
            raise ConvbenchError(f"{y} has the sizes {of_y}, but {problem} has {expected}")
        return problem, more

    def _key(self, node: dict[str, Any], port: str) -> str:
        """The key of the tensor at a port of a node; empty if the node has no such port."""
        for side in ("inputs", "outputs"):
            ports = node.get(side)
            if isinstance(ports, dict) and port in ports:
                return str(ports[port])
        return ""

    def _tensor(self, node: dict[str, Any], port: str) -> dict[str, Any]:
        return self.tensors.get(self._key(node, port), {})

    def _sizes(self, node: dict[str, Any], port: str) -> list[int]:
        """The sizes of a tensor; empty if they are unknown."""
        return _whole(self._tensor(node, port).get("dim")) or self.derived.get(self._key(node, port), [])

    def _strides(self, node: dict[str, Any], port: str) -> list[int]:
        return _whole(self._tensor(node, port).get("stride"))

    def _numbers(self, node: dict[str, Any], field: str, axes: int) -> list[int]:
        found = _whole(node.get(field))
        if len(found) != axes:
            raise ConvbenchError(f"{field} is {node.get(field)!r}; it must be {axes} whole numbers")
        return found

    def _layout(self, node: dict[str, Any], x: str, y: str) -> tuple[Layout, bool]:
        """The layout of x, else of y, else NHWC, as the frontend chooses; and whether the strides are of a layout."""
        for port in (x, y):
            strides, sizes = self._strides(node, port), self._sizes(node, port)
            if len(strides) == len(sizes) == 4:
                _, c, h, w = sizes
                if _same(strides[1:], [h * w, w, 1], sizes[1:]):
                    return "NCHW", True
                return "NHWC", _same(strides[1:], [1, w * c, c], sizes[1:])
        return "NHWC" if len(self._sizes(node, x)) == 4 else "NCHW", True

    def _filter_layout(self, node: dict[str, Any], port: str, sizes: list[int]) -> tuple[FilterLayout | None, bool]:
        """The layout of a filter, None for the usual one; and whether its strides are those of a layout."""
        strides = self._strides(node, port)
        if len(strides) != 4 or len(sizes) != 4:
            return None, True
        k, c, r, s = sizes
        orders: dict[FilterLayout, list[int]] = {
            "KCRS": [c * r * s, r * s, s, 1], "KRSC": [r * s * c, 1, s * c, c], "RSCK": [1, k, s * c * k, c * k],
        }  # fmt: skip
        fitting = [name for name, order in orders.items() if _same(strides, order, sizes)]
        return (fitting[0] if len(fitting) == 1 else None), bool(fitting)

    def _dtype(self, node: dict[str, Any], ports: tuple[str, ...]) -> tuple[Dtype, list[str]]:
        """The dtype of the tensors that are read; and the output with its dtype, if that is another one."""
        kinds = {}
        for port in ports:
            tensor = self._tensor(node, port)
            kind = tensor.get("data_type") or (None if tensor.get("is_virtual") else self.dtype)
            if kind is not None:
                kinds[port] = str(kind)
        read = {kind for port, kind in kinds.items() if self._is_input(node, port)} or set(kinds.values())
        if len(read) != 1 or not read <= set(_DTYPES):
            told = " and ".join(sorted(read)) or "not in the log"
            raise ConvbenchError(f"its dtypes are {told}; a problem has one, of {', '.join(_DTYPES)}")
        (one,) = read
        return _DTYPES[one], [f"{port} {kind}" for port, kind in kinds.items() if kind != one]

    @staticmethod
    def _is_input(node: dict[str, Any], port: str) -> bool:
        ports = node.get("inputs")
        return isinstance(ports, dict) and port in ports


def _whole(found: Any) -> list[int]:
    """A list of whole numbers of up to 15 digits; empty for anything else."""
    fits = isinstance(found, list) and all(type(number) is int and abs(number) < MOST for number in found)
    return found if fits else []


def _same(strides: list[int], wanted: list[int], sizes: list[int]) -> bool:
    """Whether strides are those that are wanted; that of an axis of size 1 does not matter."""
    return all(size == 1 or stride == want for stride, want, size in zip(strides, wanted, sizes, strict=True))
