"""The options of the drop-in: how kernels run, from words of a command line, environment variables or Python values."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Self, cast, get_args

from convbench.emulator.cache_folder import bytes_of
from convbench.emulator.errors import EmulatorError, LaunchError
from convbench.emulator.launch import STEPS, Emulator
from convbench.emulator.limits import Limits
from convbench.emulator.orders import Order
from convbench.emulator.ptx.numba_code import compiler_fault
from convbench.emulator.sources import Code

MEMORY_BYTES = 8 * 2**30
PREFIX = "CONVBENCH_"

_CLOSE = 0.85  # how alike two names are, for `difflib`
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class OptionError(EmulatorError):
    """An option has a value that it cannot have."""


@dataclass(frozen=True)
class Only:
    """The launch that is checked: the one with this number of this kernel; launches are counted from 1."""

    kernel: str
    number: int

    def __str__(self) -> str:
        return f"{self.kernel}:{self.number}"


@dataclass(frozen=True)
class Options:
    """How the kernels of a program run.

    Parameters
    ----------
    checked : whether every access and barrier is checked
    compute_capability : the capability of the device that the program sees
    memory : bytes of the device's memory
    orders : the orders of threads and blocks in which each launch runs; by default those of `Emulator`
    budget : how many steps of loops a thread may take in one block
    strict_index : whether checked mode takes a negative index for a fault; otherwise it is a note
    strict_return : whether checked mode takes a thread that returns before a barrier for a fault; else it is a note
    strict_store : whether checked mode takes it for a race that several threads store one value; else it is a note
    only : the one launch that is checked; all others run fast
    keep_going : whether a program goes on after a fault, which is told at its end
    profile : whether the first launch of each kernel is counted (`profiles`); with `only`, that launch is
    code : "ptx" or "llvm", as for `Emulator`; by default "ptx" where NVIDIA's compiler is installed
    """

    checked: bool = False
    compute_capability: tuple[int, int] = (9, 0)
    memory: int = MEMORY_BYTES
    orders: tuple[Order, ...] | None = None
    budget: int = STEPS
    strict_index: bool = False
    strict_return: bool = False
    strict_store: bool = False
    only: Only | None = None
    keep_going: bool = False
    code: Code | None = None
    profile: bool = False

    def but(self, **given: Any) -> Self:
        """These options with other values, given as text or as Python values. Raises OptionError."""
        known = {field.name for field in fields(self)}
        if unknown := [name for name in given if name not in known]:
            raise OptionError(f"the emulator has no option {unknown[0]!r}; its options are {', '.join(sorted(known))}")
        found = {name: _READERS[name](_shown(name), value) for name, value in given.items() if value is not None}
        profile = found.get("profile", self.profile)
        checking = ("strict_index", "strict_return", "strict_store", "keep_going", *(() if profile else ("only",)))
        for name in checking:
            if found.get(name) and not found.setdefault("checked", True):  # each of them says how to check
                raise OptionError(
                    f"{_shown(name)} is about checks, which {_shown('checked')} switches off: leave one out"
                )
        chosen = replace(self, **found)
        if profile:
            chosen.check_profile()
        return chosen

    def check_profile(self) -> None:
        """Raise OptionError if a profile is not possible with the other options."""
        if self.checked:
            raise OptionError(
                f"{_shown('profile')} and checks exclude each other: run the program once with each of them"
            )
        if self.runs() != "ptx":
            why = "" if self.code else f": {compiler_fault()}"
            raise OptionError(f"{_shown('profile')} counts PTX, which does not run here{why}")

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The options that environment variables set, such as CONVBENCH_CHECKED=1. Raises OptionError.

        A name that is nearly that of an option is an error, because nothing else would tell of it.
        """
        names = [PREFIX + field.name.upper() for field in fields(cls)]
        for name in environment:
            close = get_close_matches(name, names, 1, _CLOSE) if name.startswith(PREFIX) and name not in names else []
            if close:
                raise OptionError(f"the environment variable {name} sets nothing; did you mean {close[0]}?")
        given = {field.name: environment.get(PREFIX + field.name.upper()) for field in fields(cls)}
        return cls().but(**{name: value for name, value in given.items() if value})

    def runs(self) -> Code:
        """The code that kernels run as."""
        if self.code is None:
            return "llvm" if compiler_fault() else "ptx"
        return self.code

    def emulator(self, code: Code, *, checked: bool, may_return: bool = False) -> Emulator:
        """An emulator with these options. With `may_return`, threads may return before a barrier."""
        return Emulator(
            orders=self.orders,
            compute_capability=self.compute_capability,
            checked=checked,
            budget=self.budget,
            code=code,
            strict_index=checked and self.strict_index,
            strict_return=not may_return if checked else None,
            strict_store=self.strict_store if checked else None,
            keep_going=checked and self.keep_going,
        )


def _shown(name: str) -> str:
    return f"--{name.replace('_', '-')} ({PREFIX}{name.upper()})"


def _switch(option: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = _SWITCH.get(str(value).lower())
    if found is None:
        raise OptionError(f"{option} is 1 or 0, not {value!r}")
    return found


def _capability(option: str, value: Any) -> tuple[int, int]:
    text = ".".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    found = re.fullmatch(r"(\d{1,2})\.(\d)", text, re.ASCII)
    if not found:
        raise OptionError(f"{option} is a compute capability such as 8.6, not {value!r}")
    capability = int(found[1]), int(found[2])
    try:
        Limits(capability)
    except LaunchError as error:
        raise OptionError(f"{option} is {text}: {error}") from None
    return capability


def _memory(option: str, value: Any) -> int:
    size = bytes_of(str(value))
    if not size:
        raise OptionError(f"{option} is a number of bytes such as 8GiB or 512MiB, at least 1, not {value!r}")
    return size


def _orders(option: str, value: Any) -> tuple[Order, ...]:
    names = value.split(",") if isinstance(value, str) else list(value)
    if not names or any(name not in get_args(Order) for name in names):
        raise OptionError(f"{option} is one or more of {', '.join(get_args(Order))}, with commas, not {value!r}")
    return cast("tuple[Order, ...]", tuple(dict.fromkeys(names)))


def _budget(option: str, value: Any) -> int:
    text = str(value).replace("_", "")
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or not int(text):
        raise OptionError(f"{option} is a number of steps of loops, at least 1, not {value!r}")
    return int(text)


def _only(option: str, value: Any) -> Only:
    if isinstance(value, Only):
        return value
    kernel, _, number = str(value).rpartition(":")
    if not kernel or not re.fullmatch(r"[1-9]\d{0,17}", number, re.ASCII):
        raise OptionError(f"{option} is KERNEL:N, the N-th launch of a kernel, counted from 1, not {value!r}")
    return Only(kernel, int(number))


def _code(option: str, value: Any) -> Code:
    if value not in get_args(Code):
        raise OptionError(f"{option} is ptx or llvm, not {value!r}")
    return cast("Code", value)


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "checked": _switch,
    "compute_capability": _capability,
    "memory": _memory,
    "orders": _orders,
    "budget": _budget,
    "strict_index": _switch,
    "strict_return": _switch,
    "strict_store": _switch,
    "only": _only,
    "keep_going": _switch,
    "code": _code,
    "profile": _switch,
}
