"""The contract of an algorithm's class, checked where a value of the author's code enters.

    attributes   `check`, once for each class, when it is registered or loaded
    methods      `ask`, whenever one is called
    plans        `planned`, when one is made, and `workspace_of`, when its bytes are recorded
    error model  `bounds` and `reach`

Each raises ContractError, whose message has the class, the method or attribute, what it gave, and the rule. So every
value that goes on from here can be recorded and read again, and shown.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from inspect import isabstract
from typing import Any, Literal, get_args

import numpy as np

from convbench.algorithm.plan import Plan
from convbench.errors import ContractError, ConvbenchError, last_place, shortened, shown, told
from convbench.problem import DIRECTIONS, DTYPES
from convbench.records import as_json
from convbench.reference import ErrorModel

Family = Literal["direct", "gemm", "winograd", "fft", "baseline"]
FAMILIES: tuple[Family, ...] = get_args(Family)
OF_CALLERS = ("refuses", "configs_for", "space_for", "rivals_on", "resolved", "error_bounds", "precision_of")

MOST_OF_NAME, MOST_OF_PRECISION = 100, 40  # characters
MOST_OF_CONFIG = 10_000  # characters of a config as JSON
MOST_NESTED = 20  # levels of a config as JSON
MOST_BYTES = 2**63 - 1
CONFIG = "a config is an instance of a frozen dataclass"

Author = Any  # an `Algorithm`, whose module imports this one
Rule = Callable[[Any], str | None]  # a value → the rule that it breaks; None if it is right


# ---- rules


def config_fault(config: Any) -> str | None:
    """The rule that a config breaks."""
    settings = getattr(config, "__dataclass_params__", None)
    if isinstance(config, type) or settings is None or not settings.frozen:
        return CONFIG
    try:
        hash(config)
    except Exception:  # noqa: BLE001  (a field may be of any class)
        return "a config is hashable, and so are its fields"
    return _json_fault(config)


@lru_cache(maxsize=10_000)
def _json_fault(config: Any) -> str | None:
    try:
        text = as_json(asdict(config))
        text.encode()
        depth = _depth(json.loads(text))
    except Exception as error:  # noqa: BLE001  (a field may be of any class)
        return f"a config can be written as JSON ({told(error)})"
    if len(text) > MOST_OF_CONFIG or depth > MOST_NESTED:
        return f"a config as JSON has at most {MOST_OF_CONFIG:,} characters and {MOST_NESTED} levels"
    return None


def _depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inside), default=0)


def _configs_fault(configs: Any, *, least: int) -> str | None:
    if not isinstance(configs, Sequence) or isinstance(configs, str | bytes):
        return f"it gives a list or a tuple of configs; {CONFIG}"
    if len(configs) < least:
        return "it gives at least one config, the default first"
    for number, config in enumerate(configs, start=1):
        if broken := config_fault(config):
            return f"{broken}; number {number} is {shown(config)}"
    return None


def _text_fault(text: Any, most: int, *, without: str = "") -> str | None:
    if isinstance(text, str) and 0 < len(text) <= most and text.isprintable() and not set(text) & set(without):
        return None
    lacks = " and without spaces and commas" if without else ""
    return f"it is a text of 1 to {most} characters that can be printed{lacks}"


def _plans_fault(plans: Any) -> str | None:
    is_map = isinstance(plans, Mapping) and len(plans) > 0
    if is_map and all(one in DIRECTIONS and not _plan_class_fault(kind) for one, kind in plans.items()):
        return None
    return f"it maps directions ({', '.join(DIRECTIONS)}) to Plan classes, at least one"


def _plan_class_fault(kind: Any) -> str | None:
    if isinstance(kind, type) and issubclass(kind, Plan) and not isabstract(kind):
        return None
    return "it is a class derived from Plan that has a method run"


def _dtypes_fault(dtypes: Any) -> str | None:
    if isinstance(dtypes, tuple | list) and dtypes and all(one in DTYPES for one in dtypes):
        return None
    return f"it is a tuple of dtypes ({', '.join(DTYPES)}), at least one"


def _model_fault(model: Any) -> str | None:
    if not isinstance(model, ErrorModel):
        return "it is an ErrorModel"
    headroom = model.exact_headroom
    if headroom is not None and not (_is_number(headroom) and 0 < headroom < np.inf):
        return "its exact_headroom is a positive number or None"
    if not (_is_number(model.underflow) and 0 <= model.underflow < np.inf):
        return "its underflow is a number, at least 0"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _capability_fault(version: Any) -> str | None:
    if version is None:
        return None
    if isinstance(version, tuple) and len(version) == 2 and all(type(one) is int and one >= 0 for one in version):
        return None
    return "it is a pair of whole numbers such as (8, 0), or None"


def _limits_fault(reason: Any) -> str | None:
    if reason is None or (isinstance(reason, str) and reason.strip()):
        return None
    return "it gives None, or the reason for refusing the problem, a text"


ATTRIBUTES: dict[str, Rule] = {
    "__doc__": lambda text: None if text is None or isinstance(text, str) else "it is a text",
    "name": lambda name: _text_fault(name, MOST_OF_NAME, without=" ,"),
    "family": lambda family: None if family in FAMILIES else f"it is one of {', '.join(FAMILIES)}",
    "plans": _plans_fault,
    "dtypes": _dtypes_fault,
    "any_order": lambda value: None if isinstance(value, bool) else "it is True or False",
    "error_model": _model_fault,
    "least_compute_capability": _capability_fault,
}
METHODS: dict[str, Rule] = {
    "precision": lambda text: _text_fault(text, MOST_OF_PRECISION),
    "configs": lambda configs: _configs_fault(configs, least=1),
    "space": lambda configs: _configs_fault(configs, least=0),
    "default_on": config_fault,
    "rivals": lambda configs: _configs_fault(configs, least=0),
    "plan_class": _plan_class_fault,
    "limits": _limits_fault,
}


# ---- asking


def check(algorithm: Author) -> None:
    """Check the attributes of an algorithm, and that it leaves the methods of callers as they are."""
    for method in OF_CALLERS:
        owner = next(one for one in type(algorithm).__mro__ if method in vars(one))
        if not owner.__module__.startswith("convbench.algorithm"):
            raise ContractError(f"{_named(algorithm)}.{method} overrides a method that is not meant to be overridden")
    for name, rule in ATTRIBUTES.items():
        value = _given(algorithm, name, lambda name=name: getattr(algorithm, name, None))  # type: ignore[misc]
        _check(algorithm, name, value, rule, "is")


def ask(algorithm: Author, method: str, *arguments: Any) -> Any:
    """What a method of an author gives, when it is right.

    Raises
    ------
    ContractError
        the method raises an error, or what it gives breaks a rule.
    ConvbenchError, MemoryError
        the method raises one of convbench's own errors, or there is no memory left.
    """
    found = _given(algorithm, method, lambda: getattr(algorithm, method)(*arguments))
    _check(algorithm, method, found, METHODS[method], "gave")
    return shortened(found) if method == "limits" and found is not None else found


def planned(algorithm: Author, plan: Any) -> Plan:
    """The plan, when it is one and its class has called `Plan.__init__`. Raises ContractError."""
    if not isinstance(plan, Plan):
        raise ContractError(f"{_named(algorithm)}.plan gave {shown(plan)}; it gives a Plan")
    if not isinstance(getattr(plan, "scratch_arrays", None), list) or not hasattr(plan, "workspace_bytes"):
        name = type(plan).__qualname__
        raise ContractError(f"{name}, a plan of {_named(algorithm)}: its __init__ does not call Plan.__init__")
    workspace_of(plan)
    return plan


def workspace_of(plan: Plan) -> int:
    """The bytes of a plan's workspace. Raises ContractError."""
    found: Any = plan.workspace_bytes
    if isinstance(found, int | np.integer) and not isinstance(found, bool) and 0 <= found <= MOST_BYTES:
        return int(found)
    rule = "it is a whole number of bytes, at least 0"
    raise ContractError(f"{type(plan).__qualname__}.workspace_bytes is {shown(found)}; {rule}")


def bounds(algorithm: Author, *arguments: Any, expected: Mapping[str, Any], **more: Any) -> Any:
    """What `ErrorModel.bounds` of an algorithm gives: for each output a bound of its shape, a number and at least 0."""
    found = _given(
        algorithm, "error_model.bounds", lambda: algorithm.error_model.bounds(*arguments, expected=expected, **more)
    )
    _check(algorithm, "error_model.bounds", found, lambda bound: _bounds_fault(bound, expected), "gave")
    return found


def _bounds_fault(found: Any, expected: Mapping[str, Any]) -> str | None:
    if not isinstance(found, Mapping) or expected.keys() - found.keys():
        return f"it maps {', '.join(expected)} to their bounds"
    for name, values in expected.items():
        if not (np.broadcast_to(np.asarray(found[name], np.float64), values.shape) >= 0).all():
            return f"each bound of {name} is a number, at least 0"
    return None


def reach(algorithm: Author, *arguments: Any) -> Any:
    """What `ErrorModel.reach` of an algorithm gives."""
    return _given(algorithm, "error_model.reach", lambda: algorithm.error_model.reach(*arguments))


def end_copy(process: int) -> None:
    """End this process if it is a copy of `process`, which an author's code has forked: it must not do our work again.

    It is called where such code returns. Only the copies that the code keeps to itself go on.
    """
    if os.getpid() != process:
        os._exit(1)


# ---- messages


def _given(algorithm: Author, what: str, give: Callable[[], Any]) -> Any:
    process = os.getpid()
    try:
        return give()
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        if isinstance(error, ConvbenchError) and type(error).__module__.startswith("convbench."):
            raise
        raise ContractError(f"{_named(algorithm)}.{what} raised {told(error)} ({last_place(error)})") from error
    finally:
        end_copy(process)


def _check(algorithm: Author, what: str, value: Any, rule: Rule, verb: str) -> None:
    try:
        broken = rule(value)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        gave = f"{_named(algorithm)}.{what} {verb} {shown(value)}"
        raise ContractError(f"{gave}, which raised {told(error)}") from error
    if broken is not None:
        raise ContractError(f"{_named(algorithm)}.{what} {verb} {shown(value)}; {broken}")


def _named(algorithm: Author) -> str:
    return shortened(type(algorithm).__qualname__, MOST_OF_NAME)
