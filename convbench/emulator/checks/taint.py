"""Follow values that a shuffle read from a lane outside its mask, which are unspecified.

Such a value does no harm until it reaches memory or control flow: the unused lanes of a reduction may add it up. So
each value that may depend on one has a word beside it, which is 0 or tells the lane and the place of the shuffle.
"""

import re
from collections.abc import Iterable

from convbench.emulator.analysis import RESULT, VALUE
from convbench.emulator.state import FaultKind

TAKE, GIVE = "@emu.take(", "@emu.give("
_INCOMING = re.compile(r"\[ (?P<value>[^,\]]+(?:\([^)]*\))?), (?P<label>%[^\]]+) \]")
_SELECT = re.compile(
    rf" select (?:\w+ )*?i1 (?P<condition>{VALUE}|true|false), .*? (?P<yes>\S+), \S+ (?P<no>[^\s,]+)(?:, !|$)"
)
_ENDING = ("load", "atomicrmw", "cmpxchg")  # operations whose result does not depend on a value as arithmetic does
LANES = 64  # the word is 1 + lane + LANES * site


def find_tainted(body: list[str]) -> set[str]:
    """The values that may depend on what a shuffle read from outside its mask."""
    tainted: set[str] = set()
    users: dict[str, list[str]] = {}
    for line in body:
        match = RESULT.match(line)
        if match is None:
            continue
        if TAKE in line:
            tainted.add(match["value"])
        elif not _ends(line, match["operation"]):
            for operand in operands(line):
                users.setdefault(operand, []).append(match["value"])
    waiting = list(tainted)
    while waiting:
        for user in users.get(waiting.pop(), ()):
            if user not in tainted:
                tainted.add(user)
                waiting.append(user)
    return tainted


def operands(line: str) -> list[str]:
    """The values that an instruction uses, and its labels."""
    return re.findall(VALUE, line.partition(" = ")[2] if RESULT.match(line) else line)


def reached(line: str, tainted: set[str]) -> list[str]:
    """The tainted values that an instruction takes to memory, to a branch or to a function."""
    match = RESULT.match(line)
    if TAKE in line or GIVE in line or (match and not _ends(line, match["operation"])):
        return []
    return [value for value in dict.fromkeys(operands(line)) if value in tainted]


def follow(line: str, tainted: set[str]) -> str:
    """IR of the word of an instruction's result; "" if it is not tainted."""
    match = RESULT.match(line)
    if match is None or match["value"] not in tainted or TAKE in line:
        return ""
    word = word_of(match["value"])
    if match["operation"] == "phi":
        pairs = ((found["value"], found["label"]) for found in _INCOMING.finditer(line))
        listed = ", ".join(f"[ {_or_zero(value, tainted)}, {label} ]" for value, label in pairs)
        return f"  {word} = phi i64 {listed}"
    names = [value for value in dict.fromkeys(operands(line)) if value in tainted]
    if match["operation"] == "select" and (chosen := _SELECT.search(line)):
        either = f"i64 {_or_zero(chosen['yes'], tainted)}, i64 {_or_zero(chosen['no'], tainted)}"
        part = f'{word[:-1]}.of"' if word.endswith('"') else f"{word}.of"
        if chosen["condition"] not in tainted:
            return f"  {word} = select i1 {chosen['condition']}, {either}"
        first = f"  {part} = select i1 {chosen['condition']}, {either}"
        return "\n".join([first, *_largest(word, [part, word_of(chosen["condition"])])])
    return "\n".join(_largest(word, [word_of(name) for name in names]))


def word_of(value: str) -> str:
    """The name of the word beside a value."""
    return f'%"taint.{value[2:]}' if value.startswith('%"') else f"%taint.{value[1:]}"


def fault_kind() -> int:
    """The fault of a value that has reached memory or control flow."""
    return int(FaultKind.SOURCE_NOT_IN_MASK)


def _ends(line: str, operation: str) -> bool:
    if operation in ("call", "tail", "musttail", "notail"):
        return "@llvm." not in line
    return operation in _ENDING


def _or_zero(value: str, tainted: set[str]) -> str:
    return word_of(value) if value in tainted else "0"


def _largest(word: str, words: list[str]) -> Iterable[str]:
    """The largest of some words, which is not 0 if one of them is not."""
    if len(words) == 1:
        return [f"  {word} = add i64 {words[0]}, 0"]
    found, last = [], words[0]
    for number, other in enumerate(words[1:]):
        base = word.removesuffix('"')
        end = '"' if word.endswith('"') else ""
        name = word if number == len(words) - 2 else f"{base}.{number}{end}"
        found.append(f"  {base}.more.{number}{end} = icmp ugt i64 {last}, {other}")
        found.append(f"  {name} = select i1 {base}.more.{number}{end}, i64 {last}, i64 {other}")
        last = name
    return found
