"""What an author's code gives is checked where it enters, and whatever it gives, the records can be read again."""

import json
from dataclasses import dataclass, field, make_dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench import ErrorModel
from convbench.algorithm import Algorithm, Plan, contract, registry
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import MOST_SHOWN, ContractError
from convbench.fuzz import FuzzCase
from convbench.fuzz.verdicts import judge
from convbench.measurement import Effort, Harness, jobs
from convbench.problem.notation import parse
from convbench.records import Record, RecordsFile, read_records
from convbench.workload import from_texts
from support.strategies import fewer

TEXT = "n1c1h3w3-k1r1s1"
PROBLEM = parse(TEXT)
LONE = "half of a pair \ud800, and \x1b[31m red"


class Product(Plan):
    """The one product of a pixel and a filter of one tap, by NumPy, so that nothing is compiled."""

    def run(self, x, y):
        self.device.call("multiply", lambda: np.multiply(x, self.weights[0, 0, 0, 0], out=y))


class Right(Algorithm):
    """An algorithm that keeps its contract."""

    name, family = "right", "direct"
    plans = {"forward": Product}


class UnspeakableError(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError


class Mute:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError


class Beyond(BaseException):
    """An error that `except Exception` lets through."""


@dataclass(frozen=True)
class Config:
    """A config whose field has any value."""

    value: Any = field(hash=False, compare=False)


@dataclass
class Loose:
    """A dataclass that is not frozen."""

    tile: int = 4


def raising(error):
    def method(self, *_):
        raise error

    return method


def giving(value):
    return lambda self, *_, **__: value


def nested(levels):
    return () if levels == 0 else (nested(levels - 1),)


def generator(self, *_):
    yield Config(1)


NO_CONFIGS = {
    "None": None, "a number": 42, "a text": "tile=4", "a set": frozenset({Config(1)}), "a number in it": [42],
    "a class in it": [Config], "not frozen": [Loose()], "unhashable": [make_dataclass("List", ["a"], frozen=True)([1])],
    "NaN": [Config(float("nan"))], "infinity": [Config(np.float32("inf"))], "half of a pair": [Config(LONE)],
    "huge": [Config("x" * 20_000)], "deep": [Config(nested(30))],
    "keys": [Config({(1, 2): 3})], "mute": [Config(Mute())],
}  # fmt: skip
ERRORS = {
    "an error": ValueError("no"), "an exit": SystemExit(0), "beyond": Beyond("x"), "unspeakable": UnspeakableError(),
    "half of a pair": ValueError(LONE), "long": ValueError("x" * 10**6), "recursion": RecursionError(),
}  # fmt: skip
WRONG = {
    "limits": {
        "a number": 42, "True": True, "empty": "", "blank": " \n", "bytes": b"no", "mute": Mute(), "a list": ["no"],
    },
    "precision": {
        "a number": 42, "None": None, "empty": "", "long": "x" * 1000, "half of a pair": LONE, "two lines": "a\nb",
    },
    "configs": {**NO_CONFIGS, "none": ()},
    "space": NO_CONFIGS,
    "default_on": {"None": None, **{name: value[0] for name, value in NO_CONFIGS.items() if isinstance(value, list)}},
    "rivals": NO_CONFIGS,
    "plan_class": {"None": None, "no Plan": int, "an instance": 42, "abstract": Plan},
}  # fmt: skip
FAULTY = [
    pytest.param(method, giving(value), id=f"{method} gives {name}")
    for method, values in WRONG.items() for name, value in values.items()
] + [
    pytest.param(method, raising(error), id=f"{method} raises {name}")
    for method in WRONG for name, error in ERRORS.items()
] + [pytest.param(method, generator, id=f"{method} is a generator") for method in WRONG]  # fmt: skip


@pytest.fixture(scope="module")
def device():
    """A device whose arrays are NumPy's."""
    return EmulatorDevice(workers=1)


ASKED = {  # the method of callers that asks, and more arguments than the problem
    "limits": "refuses", "precision": "precision_of", "configs": "configs_for", "space": "space_for",
    "default_on": "resolved", "rivals": "rivals_on", "plan_class": "plan",
}  # fmt: skip


def algorithm(**changes: Any) -> Algorithm:
    """An algorithm that is right, but for what is changed."""
    return type("Mine", (Right,), {"name": "mine", **changes})()


def ask(wrong: Algorithm, method: str, device: Any) -> Any:
    match method:
        case "precision":
            return wrong.precision_of(PROBLEM)
        case "default_on":
            return wrong.resolved(PROBLEM, "forward", None, device)
        case "rivals":
            return wrong.rivals_on(PROBLEM, "forward", device)
        case "plan_class":
            return wrong.plan(PROBLEM, device)
    return getattr(wrong, ASKED[method])(PROBLEM, "forward")


@pytest.mark.parametrize(("method", "faulty"), FAULTY)
def test_what_a_method_gives_is_checked(device, method, faulty):
    with pytest.raises(ContractError) as caught:
        ask(algorithm(**{method: faulty}), method, device)
    told = str(caught.value)
    assert told.startswith(f"Mine.{method} ")
    assert " gave " in told or " raised " in told
    assert len(told) < 2 * MOST_SHOWN
    assert told.replace("\n", "").isprintable()


def test_every_method_that_an_author_may_override_has_a_rule():
    own = {name for name, value in vars(Algorithm).items() if callable(value) and not name.startswith("_")}
    assert own - {"plan", *contract.OF_CALLERS} == set(contract.METHODS) == set(WRONG)
    attributes = set(Algorithm.__annotations__)
    assert attributes == set(contract.ATTRIBUTES) - {"__doc__"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "two words"), ("name", "a,b"), ("name", "\x1b[31m"), ("name", "x" * 101), ("name", 42),
        ("family", "magic"), ("family", 42), ("family", ["direct"]), ("plans", {"forward": int}),
        ("plans", [Product]), ("plans", {"sideways": Product}), ("plans", {"forward": Plan}),
        ("dtypes", ()), ("dtypes", "float32"),
        ("dtypes", ("int8",)), ("dtypes", [[]]), ("any_order", 1), ("any_order", None), ("error_model", None),
        ("error_model", ErrorModel), ("error_model", ErrorModel(exact_headroom="x")),
        ("error_model", ErrorModel(exact_headroom=float("nan"))), ("error_model", ErrorModel(underflow=None)),
        ("least_compute_capability", 8), ("least_compute_capability", (8, "0")), ("__doc__", 42),
        ("refuses", giving(None)), ("configs_for", giving([])), ("family", property(raising(UnspeakableError()))),
    ],
)  # fmt: skip
def test_a_class_with_a_wrong_attribute_is_not_registered(monkeypatch, name, value):
    monkeypatch.setattr(registry, "_registered", {})
    with pytest.raises(ContractError) as caught:
        registry.register(type("Mine", (Right,), {"name": "mine", name: value}))
    assert str(caught.value).startswith(f"Mine.{name} ")
    assert str(caught.value).isprintable()
    assert registry._registered == {}


# ---- plans and error models


class NoInit(Product):
    """A plan whose constructor leaves out that of its base."""

    def __init__(self, *_: Any) -> None:
        pass


def with_workspace(value):
    class Wide(Product):
        def run(self, x, y):
            super().run(x, y)
            self.workspace_bytes = value

    return Wide


def that_runs(run):
    return type("Odd", (Product,), {"run": run})


def in_phase(phase):
    def run(self, x, y):
        self.device.call(phase, lambda: None)
        Product.run(self, x, y)

    return run


def model(**changes):
    return {"error_model": ErrorModel(exact_headroom=None, **changes)}


def with_plan(kind):
    return {"plans": {"forward": kind}}


LATER = {
    "no __init__": (with_plan(NoInit), "crashed", "does not call Plan.__init__"),
    **{
        f"workspace {value!r}": (with_plan(with_workspace(value)), "crashed", "Wide.workspace_bytes is")
        for value in (float("nan"), "4 MB", -1, None, 2**63, True)
    },
    "a phase": (with_plan(that_runs(in_phase(LONE))), "crashed", "is no phase of a plan"),
    "a phase of any class": (with_plan(that_runs(in_phase([Mute()]))), "crashed", "no phase"),
    "a run that fails": (with_plan(that_runs(raising(UnspeakableError()))), "crashed", "__str__ raises RuntimeError"),
    "a run that fails in half": (with_plan(that_runs(raising(ValueError(LONE)))), "crashed", r"\ud800"),
    "a run that exits": (with_plan(that_runs(raising(SystemExit(0)))), "crashed", "SystemExit"),
    "no memory": (with_plan(that_runs(raising(MemoryError(LONE)))), "out_of_memory", r"\ud800"),
    "plan gives nothing": ({"plan": giving(None)}, "crashed", "Mine.plan gave None"),
    "count fails": (model(count=lambda *_: 1 / 0), "crashed", "Mine.error_model.bounds raised ZeroDivisionError"),
    "count is NaN": (model(count=lambda *_: float("nan")), "crashed", "each bound of y is a number, at least 0"),
    "magnitude is negative": (model(magnitude=lambda *_: np.float64(-1)), "crashed", "Mine.error_model.bounds"),
    "magnitude is a text": (model(magnitude=lambda *_: "big"), "crashed", "Mine.error_model.bounds"),
}


@pytest.fixture(scope="module")
def harness(device):
    return Harness(device, effort=Effort(warmup=0, minimum=1, maximum=1, caches=("warm",)))


@pytest.mark.parametrize(("changes", "outcome", "told"), LATER.values(), ids=LATER)
def test_what_a_plan_and_an_error_model_give_is_checked(harness, tmp_path, changes, outcome, told):
    found = written(harness, tmp_path, algorithm(**changes))
    assert (found.outcome, told in str(found.reason)) == (outcome, True), found.reason


def written(harness: Harness, folder: Any, wrong: Algorithm) -> Record:
    """The record of an algorithm as it is read again; that of a right one beside it is as it must be."""
    workload = from_texts([TEXT])
    with RecordsFile(folder / "records.jsonl") as file:
        for record in harness.records(workload, jobs(workload, [wrong, Right()])):
            file.append(record)
    records, bad = read_records(folder / "records.jsonl")
    assert bad == []
    first, second = sorted(records[-2:], key=lambda record: record.algorithm != wrong.name)
    assert (second.algorithm, second.outcome) == ("right", "passed")
    return first


@pytest.mark.parametrize(
    ("method", "faulty"),
    [
        ("limits", giving(42)), ("precision", raising(UnspeakableError())), ("configs", generator),
        ("default_on", giving(Config(float("nan")))), ("plan_class", giving(int)), ("limits", raising(Beyond())),
    ],
)  # fmt: skip
def test_a_broken_contract_is_recorded_and_found_by_the_fuzzer(harness, tmp_path, method, faulty):
    wrong = algorithm(**{method: faulty})
    found = written(harness, tmp_path, wrong)
    assert (found.outcome, found.algorithm) == ("crashed", "mine")
    assert f"Mine.{method} " in str(found.reason)
    if method != "precision":  # nothing but a record asks for it
        case = FuzzCase(algorithm="mine", direction="forward", problem=PROBLEM, kind="integers", seed=0)
        verdict = judge(case, wrong, harness.device)
        assert verdict.outcome == "failed" or method == "default_on"


def test_a_long_reason_is_cut(harness, tmp_path):
    found = written(harness, tmp_path, algorithm(limits=giving("no " * 10_000)))
    assert found.outcome == "refused"
    assert len(str(found.reason)) < MOST_SHOWN + 100


# ---- whatever a plugin does

anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=())),
        st.binary(), st.builds(Mute), st.just(Config), st.sampled_from([np.float32("nan"), np.int64(3), Loose()]),
        st.text("\x1b\x9b\u202e\ud800ab\n", max_size=10),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner), st.builds(Config, inner),
        st.dictionaries(st.text(), inner, max_size=2)
    ),
    max_leaves=5,
)  # fmt: skip


class Idle(Plan):
    """Computes nothing."""

    def run(self, x, y):
        pass


@fewer(4)
@given(method=st.sampled_from(sorted(WRONG)), value=anything, error=st.booleans(), workspace=anything)
def test_whatever_a_plugin_does_its_record_can_be_read(harness, method, value, error, workspace):
    def faulty(self, *_):
        if error:
            raise UnspeakableError if isinstance(value, bytes) else ValueError(value)
        return value

    def run(self, x, y):
        self.workspace_bytes = workspace

    wrong = type(
        "Mine", (Right,), {"name": "mine", "plans": {"forward": type("P", (Idle,), {"run": run})}, method: faulty}
    )
    workload = from_texts([TEXT])
    for record in harness.records(workload, jobs(workload, [wrong()])):
        line = record.to_json()
        assert Record.from_json(line.encode().decode()).to_json() == line


# ---- commands

PLUGIN = """
import numpy as np
from convbench import Algorithm, Plan, register

class Product(Plan):
    def run(self, x, y):
        self.device.call("multiply", lambda: np.multiply(x, self.weights[0, 0, 0, 0], out=y))

@register
class Right(Algorithm):
    name, family = "right", "direct"
    plans = {"forward": Product}

class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError

@register
class Number(Right):
    name = "number"
    def limits(self, problem, direction):
        return 42

@register
class Silent(Right):
    name = "silent"
    def precision(self, problem):
        raise Unspeakable

@register
class Lazy(Right):
    name = "lazy"
    def configs(self, problem, direction):
        yield from super().configs(problem, direction)
"""


@pytest.fixture
def plugin(here, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    (here / "broken.py").write_text(PLUGIN)
    return "--plugin", "broken.py", "--device", "emulator", "--algorithm"


@pytest.mark.parametrize("command", ["verify", "bench"])
def test_commands_record_a_broken_contract_and_go_on(convbench, here, plugin, command):
    names = ["number", "silent", "lazy", "right"]
    more = ("--gpu", "none", "--out", "out") if command == "bench" else ("--json",)
    status, out, err = convbench(command, TEXT, *plugin, ",".join(names), *more)
    assert status == 1
    assert "Traceback" not in err
    if command == "verify":
        found = {row["algorithm"]: (row["outcome"], row["reason"]) for row in json.loads(out)}
    else:
        records, bad = read_records(here / "out" / "emulator" / "problems.jsonl")
        assert bad == []
        found = {record.algorithm: (record.outcome, record.reason) for record in records}
    assert found["right"] == ("passed", None)
    for name, told in (("number", "Number.limits "), ("silent", "Silent.precision "), ("lazy", "Lazy.configs ")):
        assert found[name][0] == "crashed"
        assert str(found[name][1]).startswith(told)


@pytest.mark.parametrize(("name", "told"), [("number", "Number.limits "), ("lazy", "Lazy.configs ")])
def test_tune_and_replay_tell_a_broken_contract(convbench, plugin, name, told):
    status, out, err = convbench("tune", TEXT, *plugin, name, "--database", "tuned.jsonl")
    assert (status, out) == (2, "")
    assert told in err
    registry._registered.clear()  # the plugin is imported once more
    case = f"{name} forward {TEXT} integers seed=0"
    status, out, _ = convbench("fuzz", *plugin[:-1], "--replay", case)
    assert status == 1
    assert told in out
