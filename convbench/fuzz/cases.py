"""The case: one run of one algorithm that a fuzzer judges, as one line of text that reads back.

    direct backward_data n1c1h3w3-k1r2s2-stride2 integers seed=7 config=threads=64

The words are the algorithm, the direction, the problem, the kind of data (`convbench.reference.data`), the seed of the
data and, unless it is the algorithm's default, the config: the fields that differ from the default's. They are quoted
as a shell needs it; what follows a # is a comment.
"""

import ast
import shlex
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, cast

from convbench.algorithm import Algorithm
from convbench.errors import CaseError, ConfigError, ConvbenchError
from convbench.problem import DIRECTIONS, ConvProblem, Direction
from convbench.problem.notation import parse
from convbench.reference import KINDS, Kind


@dataclass(frozen=True, kw_only=True)
class FuzzCase:
    """What to run, and on which data."""

    algorithm: str  # by name
    direction: Direction
    problem: ConvProblem
    kind: Kind
    seed: int
    config: str = ""  # as `config_text` has it; empty for the default

    def __str__(self) -> str:
        words = [self.algorithm, self.direction, str(self.problem), self.kind, f"seed={self.seed}"]
        words += [f"config={self.config}"] if self.config else []
        return shlex.join(words)

    @classmethod
    def read(cls, line: str) -> "FuzzCase":
        """The case of a line; raises CaseError, with the line and what is wrong with it."""
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
        for what, word, known in (("direction", direction, DIRECTIONS), ("kind of data", kind, KINDS)):
            if word not in known:
                raise CaseError(f"{what} {word!r} is unknown; there are {', '.join(known)}: {line!r}")
        try:
            read = parse(problem)
        except ConvbenchError as error:
            raise CaseError(f"{error}\nin the case {line!r}") from error
        return cls(
            algorithm=algorithm, direction=cast("Direction", direction), problem=read, kind=cast("Kind", kind),
            seed=int(seed), config=config,
        )  # fmt: skip


def config_text(config: Any, default: Any) -> str:
    """The fields in which a config differs from the default, `threads=64,tile_p=4`; empty where none does.

    Before them stands the class of a config of another class; they are then those that differ from its own defaults.
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
    """The config that a case names, of an algorithm that does not refuse its problem; raises ConfigError.

    It need not be one of those that the algorithm still offers.
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
