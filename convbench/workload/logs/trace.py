"""Reads the convolutions of a trace of `torch.profiler`, in Chrome's trace format.

An operator calls other operators: `aten::conv2d` calls `aten::convolution`, and that calls the one of a library, such
as `aten::mkldnn_convolution`. An event lies inside another if it starts on the same thread before the other one ends.
Each convolution is one layer: the innermost `aten::convolution` (or `aten::_convolution`), which has the batch, the
padding in numbers and the dtype that runs. An operator that such an event does not surround is a layer of its own.

Source: https://docs.pytorch.org/docs/stable/profiler.html; events as PyTorch 2.13 writes them.
"""

from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from convbench.errors import ConvbenchError
from convbench.problem import ConvProblem, Direction
from convbench.workload import faults
from convbench.workload.layer import Layer
from convbench.workload.logs import json_text, trace_operators
from convbench.workload.workload import Workload

_MODULE = "nn.Module: "  # the name of an event that with_modules or with_stack records
LONGEST = 200  # characters of an operator's name; the pattern would take long for a longer one
_CATEGORIES = ("cpu_op", "Operator")  # of operators; the second is that of old versions


@dataclass
class _Event:
    """A convolution operator or a module that ran, and the operators that it called."""

    name: str
    line: int
    number: int  # its place in the list of events, from 1; it tells more than the line if the trace is one line
    start: float
    end: float
    recorded: dict[str, Any]
    module: str = ""  # the innermost module around it
    calls: "list[_Event]" = field(default_factory=list)


def looks_like(text: str) -> bool:
    """Whether the text is a trace."""
    start = text.lstrip()[:1]
    return (start == "{" and '"traceEvents"' in text) or (start == "[" and '"ph"' in text[:10_000])


def read(name: str, path: Path | Traversable, text: str) -> Workload:
    """The workload of a trace's text. Raises ConvbenchError if it has no convolution, or no shapes."""
    events, unread = _events(path, text)
    unit: Literal["line", "event"] = "line" if "\n" in text.strip() else "event"
    layers: dict[tuple[str, ConvProblem, Direction], list[int]] = {}
    without_shapes = transposed = 0
    for outer, event in _innermost(_nested(events)):
        try:
            found = trace_operators.read(event.name, event.recorded)
        except ConvbenchError as error:
            without_shapes += isinstance(error, trace_operators.NoShapesError)
            of = error if unit == "line" else ConvbenchError(f"event {event.number}: {error}")
            unread.append(faults.placed(path, event.line, of))
            continue
        for each in found:
            layers.setdefault((event.module or outer, each.problem, each.direction), []).append(
                event.line if unit == "line" else event.number
            )
            transposed += each.transposed
    if without_shapes and not layers:
        raise ConvbenchError(
            f"{path}: the trace has {without_shapes} × convolution and no shapes; record it again with "
            "torch.profiler.profile(record_shapes=True)"
        )
    notes = []
    if transposed:
        notes.append(
            f"{path}: {transposed} × transposed convolution, read as another direction of the problem from its "
            "output to its input, without its bias"
        )
    if not (layers or unread):
        raise ConvbenchError(f"{path}: the trace has no convolution; its operators are recorded with activities CPU")
    found_layers = [
        Layer(name=of, problem=problem, direction=direction, count=len(lines), place=faults.place(lines, unit))
        for (of, problem, direction), lines in layers.items()
    ]
    return faults.assemble(name, path, str(path), found_layers, unread, notes, directed=True)


def _events(path: Path | Traversable, text: str) -> tuple[dict[tuple[str, str], list[_Event]], list[ConvbenchError]]:
    """The convolution operators and modules of each thread, and what of the text cannot be read."""
    threads: dict[tuple[str, str], list[_Event]] = {}
    unread = list[ConvbenchError]()
    try:
        for number, (line, item) in enumerate(json_text.items(text, "traceEvents"), start=1):
            if not isinstance(item, dict) or item.get("ph") != "X":
                continue
            name, recorded = item.get("name"), item.get("args")
            if not (isinstance(name, str) and (_is_operator(name, item.get("cat")) or name.startswith(_MODULE))):
                continue
            try:
                start = float(item["ts"])
                end = start + float(item.get("dur", 0))
            except (KeyError, TypeError, ValueError, OverflowError):
                unread.append(faults.placed(path, line, ConvbenchError(f"{name}: its ts and dur are no numbers")))
                continue
            thread = str(item.get("pid")), str(item.get("tid"))
            event = _Event(name, line, number, start, end, recorded if isinstance(recorded, dict) else {})
            threads.setdefault(thread, []).append(event)
    except json_text.BrokenJsonError as error:
        unread.append(faults.placed(path, error.line, error))
    return threads, unread


def _is_operator(name: str, category: Any) -> bool:
    """Whether an event is a convolution operator; a range that a user has named is none."""
    if category not in (None, *_CATEGORIES) or len(name) > LONGEST:
        return False
    return bool(trace_operators.OTHERS.fullmatch(name))


def _nested(threads: dict[tuple[str, str], list[_Event]]) -> list[_Event]:
    """The operators that no other one calls, in the order of the file; each has those that it calls."""
    outermost = list[_Event]()
    for events in threads.values():
        events.sort(key=lambda event: (event.start, -event.end))
        around: list[tuple[float, _Event | None, str]] = []  # ends, and the innermost operator and module
        for event in events:
            while around and event.start >= around[-1][0]:
                around.pop()
            _, operator, module = around[-1] if around else (0.0, None, "")
            if event.name.startswith(_MODULE):
                around.append((event.end, operator, event.name.removeprefix(_MODULE)))
                continue
            event.module = module
            (outermost if operator is None else operator.calls).append(event)
            around.append((event.end, event, module))
    return sorted(outermost, key=lambda event: event.number)


def _innermost(events: list[_Event]) -> list[tuple[str, _Event]]:
    """The events that are layers, each with the name of the outermost operator around it.

    Instead of an operator that only calls another one, it is the one that is called.
    """
    found = []
    todo = [("", event) for event in reversed(events)]
    while todo:
        outer, event = todo.pop()
        known = event.name in trace_operators.OPERATORS
        inner = [each for each in event.calls if not known or each.name in trace_operators.DISPATCHERS]
        outer = outer or (event.name if known or not inner else "")
        if inner and (not known or event.name in trace_operators.DISPATCHERS):
            todo += [(outer, each) for each in reversed(inner)]
        else:
            found.append((outer, event))
    return found
