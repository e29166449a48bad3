"""The case of a fuzzer: one run of one algorithm, written as one line of text that can be read again.

    direct backward_data n1c1h3w3-k1r2s2-stride2 integers seed=7 config=threads=64

The words are the algorithm, the direction, the problem, the kind of data (`convbench.reference.data`) and the seed of
the data. The config follows unless it is the algorithm's default; it has the fields that differ from the default's.
Words are quoted as a shell needs it. A # begins a comment.
"""

import ast
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, cast

from convbench.algorithm import Algorithm
from convbench.errors import CaseError, ConfigError, ConvbenchError, did_you_mean
from convbench.problem import DIRECTIONS, ConvProblem, Direction
from convbench.problem.notation import parse
from convbench.reference import KINDS, Kind

MOST_DIGITS = 100  # of a seed; Python itself refuses to read a number of some thousands


@dataclass(frozen=True, kw_only=True)
class FuzzCase:
    """One run of one algorithm, and the data that it is run on."""

    algorithm: str  # its name
    direction: Direction
    problem: ConvProblem
    kind: Kind
    seed: int
    config: str = ""  # the text that `config_text` gives; empty for the default

    def __str__(self) -> str:
        words = [self.algorithm, self.direction, str(self.problem), self.kind, f"seed={self.seed}"]
        words += [f"config={self.config}"] if self.config else []
        return shlex.join(words)

    @classmethod
    def read(cls, line: str) -> "FuzzCase":
        """Read the case of a line. Raises CaseError, whose message has the line and what is wrong with it."""
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise CaseError(f"{error}: {line!r}") from error
        if not 5 <= len(words) <= 6:
            raise CaseError(
                f"{len(words)} words; a case has five or six, "
                f"ALGORITHM DIRECTION PROBLEM KIND seed=N [config=C]: {line!r}"
            )
        algorithm, direction, problem, kind, *options = words
        found = dict(option.partition("=")[::2] for option in options)
        seed, config = found.pop("seed", ""), found.pop("config", "")
        if found or not (seed.isascii() and seed.isdigit()) or (len(options) == 2 and not config):
            raise CaseError(f"{' '.join(options)!r}; the last words of a case are seed=N [config=C]: {line!r}")
        if len(seed) > MOST_DIGITS:
            raise CaseError(f"the seed has {len(seed):,} digits; a case's has at most {MOST_DIGITS}: {line!r}")
        for what, word, known in (("direction", direction, DIRECTIONS), ("kind of data", kind, KINDS)):
            if word not in known:
                like = did_you_mean(word, known)
                raise CaseError(f"{what} {word!r} is unknown; there are {', '.join(known)}{like}: {line!r}")
        try:
            read = parse(problem)
        except ConvbenchError as error:
            raise CaseError(f"{error}\nin the case {line!r}") from error
        return cls(
            algorithm=algorithm, direction=cast("Direction", direction), problem=read, kind=cast("Kind", kind),
            seed=int(seed), config=config,
        )  # fmt: skip


Announce = Callable[[FuzzCase | None], None]  # called with a case before the code of its algorithm, and with None after


def config_text(config: Any, default: Any) -> str:
    """The fields in which a config differs from the default, as `threads=64,tile_p=4`; empty if none differs.

    A config of another class than the default's begins with the name of its class. The fields that follow are those
    that differ from the defaults of that class.
    """
    if config == default:
        return ""
    if not is_dataclass(config):
        return repr(config)
    same = type(config) is type(default)
    words = [] if same else [type(config).__name__]
    for field in fields(config):
        value, usual = getattr(config, field.name), getattr(default, field.name) if same else field.default
        if field.init and value != usual:
            words.append(f"{field.name}={value!r}")
    return ",".join(words)


def config_of(algorithm: Algorithm, case: FuzzCase) -> Any:
    """The config that a case names. The algorithm must not refuse the case's problem. Raises ConfigError.

    The config need not be one that the algorithm still offers.
    """
    offered = algorithm.configs_for(case.problem, case.direction)
    default, every = offered[0], tuple(offered)
    if not any(config_text(config, default) == case.config for config in offered):
        every = tuple(algorithm.space_for(case.problem, case.direction))
    for config in every:
        if config_text(config, default) == case.config:
            return config
    try:
        call = cast("ast.Call", ast.parse(f"config({case.config})", mode="eval").body)
        given = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        if not call.args:
            return replace(default, **given)
        (name,) = call.args
        return {type(one).__name__: type(one) for one in every}[ast.unparse(name)](**given)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"config {case.config!r} is none of {algorithm.name}, such as {default!r}") from error
