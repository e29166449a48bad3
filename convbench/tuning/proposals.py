"""Propose the configs that a search tries next: all configs of a space in order, or those that Optuna draws.

Optuna's sampler is TPE (Bergstra et al. 2011, "Algorithms for hyper-parameter optimization", §4), with one categorical
parameter for each field of the config. A combination that is not in the space, or whose config failed, is reported to
Optuna as pruned, so that it draws similar ones less often. Times are reported unchanged, because TPE only uses their
order.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal, get_args

import numpy as np

from convbench.errors import ConvbenchError

Search = Literal["exhaustive", "optuna"]
SEARCHES: tuple[Search, ...] = get_args(Search)
MOST_EXHAUSTIVE = 100  # size of the largest space that is searched exhaustively, unless the caller gives a limit
MOST_ASKED = 30  # draws of Optuna that are no untried config, before one is chosen at random instead


class Proposals(ABC):
    """Proposes configs of a space. The first config of the space is the default, and it is proposed first."""

    @abstractmethod
    def next(self, count: int) -> list[Any]:
        """At most `count` configs that were not tried yet; an empty list if there are no more."""

    def tell(self, config: Any, us: float | None) -> None:  # noqa: B027  (only some proposals depend on results)
        """Report the result of a config: its time in microseconds, or None if it failed."""


class Exhaustive(Proposals):
    """Proposes all configs, in the order of the space."""

    def __init__(self, space: Sequence[Any]) -> None:
        self._left = list(space)

    def next(self, count: int) -> list[Any]:
        found, self._left = self._left[:count], self._left[count:]
        return found


class Optuna(Proposals):
    """Proposes the configs that Optuna's TPE draws. Raises ConvbenchError if Optuna is not installed."""

    def __init__(self, space: Sequence[Any], seed: int) -> None:
        try:  # Optuna is an optional package
            import optuna
        except ImportError as error:
            raise ConvbenchError(
                f'a space of {len(space)} configs is searched with Optuna: pip install "convbench[tune]" ({error}); '
                "or try them all with --search exhaustive"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # by default it prints a line for every trial
        self._pruned = optuna.trial.TrialState.PRUNED
        self._study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        self._random = np.random.default_rng(seed)
        self._configs = {_words(config): config for config in space}
        self._untried = dict(self._configs)
        self._times: dict[tuple[str, ...], float | None] = {}
        self._open: dict[tuple[str, ...], Any] = {}  # trials whose result Optuna does not have yet
        names = list(dict.fromkeys(name for words in self._configs for name, _ in _pairs(words)))
        values = {
            name: tuple(dict.fromkeys(dict(_pairs(words)).get(name, "") for words in self._configs)) for name in names
        }
        self._space: dict[str, Any] = {
            name: optuna.distributions.CategoricalDistribution(found) for name, found in values.items()
        }
        self._study.enqueue_trial(self._parameters(_words(space[0])))

    def next(self, count: int) -> list[Any]:
        found: list[Any] = []
        while self._untried and len(found) < count:
            words = self._drawn()
            found.append(self._untried.pop(words))
        return found

    def tell(self, config: Any, us: float | None) -> None:
        words = _words(config)
        self._times[words] = us
        self._close(self._open.pop(words), us)

    def _drawn(self) -> tuple[str, ...]:
        """Draw a config that was not tried yet, and open a trial for it. Gives the config as words."""
        for _ in range(MOST_ASKED):
            trial = self._study.ask(self._space)
            words = tuple(f"{name}={value}" for name, value in trial.params.items() if value)
            if words in self._untried:
                self._open[words] = trial
                return words
            self._close(trial, self._times.get(words))
        words = [*self._untried][int(self._random.integers(len(self._untried)))]
        self._study.enqueue_trial(self._parameters(words))
        self._open[words] = self._study.ask(self._space)
        return words

    def _close(self, trial: Any, us: float | None) -> None:
        if us is None:
            self._study.tell(trial, state=self._pruned)
        else:
            self._study.tell(trial, us)

    def _parameters(self, words: tuple[str, ...]) -> dict[str, str]:
        known = dict(_pairs(words))
        return {name: known.get(name, "") for name in self._space}


def _words(config: Any) -> tuple[str, ...]:
    """A config as words `field=value`. The first word is its type, because an algorithm may have several."""
    return (f"type={type(config).__name__}", *(f"{f.name}={getattr(config, f.name)!r}" for f in fields(config)))


def _pairs(words: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def proposals(space: Sequence[Any], search: Search | None, most: int | None, seed: int) -> Proposals:
    """The proposals for a space.

    Parameters
    ----------
    search : how to search; None: exhaustively if the space has at most `most` configs, else with Optuna
    most : how many configs are tried; None stands for `MOST_EXHAUSTIVE`
    """
    if search is None:
        search = "exhaustive" if len(space) <= (MOST_EXHAUSTIVE if most is None else most) else "optuna"
    return Exhaustive(space) if search == "exhaustive" else Optuna(space, seed)
