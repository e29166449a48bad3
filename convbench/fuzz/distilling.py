"""Distils the cases of several corpora: of the cases that fail for one and the same bug, the smallest stays.

Whether two failures are one bug is decided as in a campaign (`convbench.fuzz.verdicts`): they have the same cause, and
the later one has all traits of the first. A case whose comment is no cause, such as one that a person wrote, always
stays.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from convbench.fuzz.corpus import KnownCase
from convbench.fuzz.verdicts import traits


@dataclass(frozen=True)
class Distilled:
    """What is new, and how many cases are left out, because they are there already or are of a known bug."""

    new: list[KnownCase]
    doubled: int
    explained: int


def distilled(cases: Iterable[KnownCase], there: Iterable[KnownCase] = ()) -> Distilled:
    """Distil cases, whose order does not matter. Those that are `there` already stay as they are."""
    kept = list(there)
    old, doubled, explained = len(kept), 0, 0
    for one in sorted(cases, key=_size):
        if any(one.case == known.case and one.words in ("", known.words) for known in kept):
            doubled += 1
        elif any(_explains(known, one) for known in kept):
            explained += 1
        else:
            kept.append(one)
    return Distilled(kept[old:], doubled, explained)


def _size(one: KnownCase) -> tuple[int, int, bool, int, str]:
    """The fewest traits and multiply-adds first, so that a case comes before those that it explains."""
    return len(traits(one.case)), one.case.problem.macs, not one.words, len(str(one)), str(one)


def _explains(known: KnownCase, other: KnownCase) -> bool:
    return (
        other.words == known.words
        and other.words.startswith(f"{other.case.algorithm}, {other.case.direction}: ")
        and traits(known.case) <= traits(other.case)
    )
