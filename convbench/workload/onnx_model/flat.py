"""Makes one list of all nodes of an ONNX model, with those inside If, Loop, Scan and the model's own functions.

Inner tensors get names of their own. A `Join` says where the shape of a tensor is from that no node of the list
computes: the result of an If or a Loop, or the input of a body.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from convbench.errors import ConvbenchError
from convbench.problem import FilterLayout, Layout
from convbench.workload.layer import printable
from convbench.workload.onnx_model import vendor
from convbench.workload.onnx_model.transposed import OPERATOR as TRANSPOSED
from convbench.workload.onnx_model.transposed import with_explicit_pads

MOST_NODES = 500_000  # of the list: functions that call functions can multiply
MOST_DEPTH = 50  # of functions and bodies inside each other; a function that calls itself is no model
DEFAULT_DOMAIN = ("", "ai.onnx")


@dataclass(frozen=True, kw_only=True)
class Join:
    """The shape of a tensor is that of all its sources, where they agree."""

    output: str
    sources: tuple[str, ...]
    condition: str | None = None  # of an If: true is the first source, false the second
    dropped_axis: int | None = None  # of the source of a Scan's input, whose slices the body gets
    returned: str | None = None  # of a loop's carried tensor: what the body returns for it


@dataclass(frozen=True)
class Place:
    """The place of a node in the model."""

    text: str = ""  # such as " in branch then of If 'switch'"
    conditions: tuple[tuple[str, bool], ...] = ()  # the tensors that decide whether it runs, with the value for it
    original: Any = None  # the node of the model for which this one stands
    layouts: tuple[Layout, FilterLayout] = ("NCHW", "KCRS")  # of the input and the weight of the original


@dataclass
class Flat:
    """A model without bodies and functions, the place of each node, and the joins."""

    model: Any
    places: list[Place] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    inner: set[str] = field(default_factory=set)  # inputs of the flat model that are those of bodies


def flat_of(model: Any, most_elements: int) -> Flat:
    """The list of a model's nodes; weights of more elements than that lose their values. Raises ConvbenchError."""
    return _Flattening(model, most_elements).found


class _Flattening:
    def __init__(self, model: Any, most_elements: int) -> None:
        import onnx  # an optional package

        self.onnx, self.most_elements = onnx, most_elements
        self.functions = {(each.domain, each.name, each.overload): each for each in model.functions}
        result = onnx.ModelProto()
        result.ir_version = max(4, model.ir_version)  # before version 4, each initialiser had to be an input too
        for opset in model.opset_import:
            result.opset_import.add(
                domain="" if opset.domain in DEFAULT_DOMAIN else opset.domain, version=opset.version
            )
        graph = result.graph
        graph.name = model.graph.name or "graph"
        for part in ("input", "output", "value_info", "sparse_initializer"):
            getattr(graph, part).extend(getattr(model.graph, part))
        self.found = Flat(result)
        self.dims: dict[str, tuple[int, ...]] = {}  # of the weights
        self.used = {name for node in model.graph.node for name in (*node.input, *node.output)}
        self.used |= {each.name for each in (*graph.input, *model.graph.initializer)}
        self._weights(model.graph, {})
        self._nodes(model.graph.node, {}, "", Place(), {}, 0)

    def _nodes(
        self,
        nodes: Iterable[Any],
        scope: dict[str, str],
        prefix: str,
        place: Place,
        given: Mapping[str, Any],
        depth: int,
    ) -> None:
        """Append nodes. `scope` has the new names of tensors, and `given` the attributes of a function's call."""
        if depth > MOST_DEPTH:
            raise ConvbenchError(f"its functions and bodies are nested more than {MOST_DEPTH} deep{place.text}")
        for original in nodes:
            if len(self.found.places) > MOST_NODES:
                raise ConvbenchError(f"it has more than {MOST_NODES} nodes, with those of the functions that it calls")
            node = self.onnx.NodeProto()
            node.CopyFrom(original)
            if node.domain in DEFAULT_DOMAIN:
                node.domain = ""
            _attributes(node, given)
            node.input[:] = [scope.get(name, name) for name in node.input]
            if prefix:
                for name in node.output:
                    if name and name not in scope:
                        scope[name] = self._name(prefix, name)
            node.output[:] = [scope.get(name, name) for name in node.output]
            function = self.functions.get((original.domain, node.op_type, original.overload))
            if function is not None:
                self._call(node, function, prefix, place, depth)
            elif not node.domain and node.op_type in ("If", "Loop", "Scan"):
                self._bodies(node, scope, prefix, place, given, depth)
            else:
                self._append(node, place)

    def _append(self, node: Any, place: Place) -> None:
        parts = vendor.standard(node, self.dims)
        if parts[-1] is not node:
            place = replace(place, original=node, layouts=vendor.layouts(parts))
        parts = [with_explicit_pads(part, self.dims) if part.op_type == TRANSPOSED else part for part in parts]
        for part in parts:
            self.found.model.graph.node.append(part)
            self.found.places.append(place)

    def _call(self, node: Any, function: Any, prefix: str, place: Place, depth: int) -> None:
        inputs: list[str] = [*node.input, *("" for _ in function.input)]  # the last ones may be left out
        scope = dict(zip(function.input, inputs, strict=False))
        scope |= {inner: outer for inner, outer in zip(function.output, node.output, strict=False) if outer}
        given = {each.name: each for each in function.attribute_proto} | {each.name: each for each in node.attribute}
        inside = Place(f" in function {printable(function.name)!r}{place.text}", place.conditions)
        self._nodes(function.node, scope, f"{prefix}{node.name or function.name}/", inside, given, depth + 1)

    def _bodies(
        self, node: Any, outer: Mapping[str, str], prefix: str, place: Place, given: Mapping[str, Any], depth: int
    ) -> None:
        graphs = {each.name: each.g for each in node.attribute if each.type == self.onnx.AttributeProto.GRAPH}
        label = f"{node.op_type} {printable(node.name or next(iter(node.output), ''))!r}"
        inner = f"{prefix}{node.name or next(iter(node.output), '')}/"
        if node.op_type == "If":
            results: list[list[str]] = []
            for value, branch in ((True, "then"), (False, "else")):
                graph = graphs.get(f"{branch}_branch", self.onnx.GraphProto())
                conditions = (*place.conditions, *((name, value) for name in node.input[:1]))
                scope = dict(outer)
                inside = Place(f" in branch {branch} of {label}{place.text}", conditions)
                self._body(graph, scope, f"{inner}{branch}/", inside, given, depth)
                results.append([scope.get(each.name, each.name) for each in graph.output])
            for output, then, otherwise in zip(node.output, *results, strict=False):
                self._join(output, [then, otherwise], condition=next(iter(node.input), None))
            return
        graph, scope = graphs.get("body", self.onnx.GraphProto()), dict(outer)
        names = [each.name for each in graph.input]
        scope |= {name: self._name(inner, name) for name in names}
        inside = Place(f" in the body of {label}{place.text}", place.conditions)
        self._body(graph, scope, inner, inside, given, depth)
        inputs = [scope[name] for name in names]
        results_of_body = [scope.get(each.name, each.name) for each in graph.output]
        if node.op_type == "Loop":
            for name, kind in zip(inputs[:2], ("INT64", "BOOL"), strict=False):  # the iteration, and whether to go on
                self.found.inner.add(name)
                number = self.onnx.TensorProto.DataType.Value(kind)
                self.found.model.graph.input.append(self.onnx.helper.make_tensor_value_info(name, number, ()))
            carried = list(zip(inputs[2:], node.input[2:], results_of_body[1:], strict=False))
        else:
            scanned = next((each.i for each in node.attribute if each.name == "num_scan_inputs"), 0)
            axes = next((list(each.ints) for each in node.attribute if each.name == "scan_input_axes"), [])
            states = len(inputs) - scanned
            carried = list(zip(inputs[:states], node.input[:states], results_of_body, strict=False))
            for place_, (name, source) in enumerate(zip(inputs[states:], node.input[states:], strict=False)):
                self._join(name, [source], dropped_axis=axes[place_] if place_ < len(axes) else 0)
        outputs: list[str] = [*node.output, *("" for _ in carried)]
        for (name, source, returned), output in zip(carried, outputs, strict=False):
            self._join(name, [source], returned=returned)
            self._join(output, [source, returned])

    def _body(
        self, graph: Any, scope: dict[str, str], prefix: str, place: Place, given: Mapping[str, Any], depth: int
    ) -> None:
        for weight in graph.initializer:
            scope[weight.name] = self._name(prefix, weight.name)
        for node in graph.node:  # an inner tensor hides an outer one of that name
            for name in node.output:
                if name:
                    scope[name] = self._name(prefix, name)
        self._weights(graph, scope)
        self._nodes(graph.node, scope, prefix, place, given, depth + 1)

    def _join(self, output: str, sources: list[str], **more: Any) -> None:
        if output and all(sources):
            self.found.joins.append(Join(output=output, sources=tuple(sources), **more))

    def _weights(self, graph: Any, scope: Mapping[str, str]) -> None:
        for weight in graph.initializer:
            if prod(weight.dims) <= self.most_elements:
                kept = self.found.model.graph.initializer.add()
                kept.CopyFrom(weight)
            else:
                kept = self.found.model.graph.initializer.add(dims=weight.dims, data_type=weight.data_type)
            kept.name = scope.get(weight.name, weight.name)
            self.dims[kept.name] = tuple(weight.dims)

    def _name(self, prefix: str, name: str) -> str:
        found, number = f"{prefix}{name}", 1
        while found in self.used:
            number += 1
            found = f"{prefix}{name}#{number}"
        self.used.add(found)
        return found


def _attributes(node: Any, given: Mapping[str, Any]) -> None:
    """Replace attributes that refer to one of the function's call; without a value they are left out."""
    kept = []
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            kept.append(attribute)
        elif attribute.ref_attr_name in given:
            value = type(attribute)()
            value.CopyFrom(given[attribute.ref_attr_name])
            value.name = attribute.name
            kept.append(value)
    if len(kept) < len(node.attribute) or any(each.ref_attr_name for each in node.attribute):
        copies = [type(each).FromString(each.SerializeToString()) for each in kept]
        del node.attribute[:]
        node.attribute.extend(copies)
