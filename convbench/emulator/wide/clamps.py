"""Numbers that are cut off below zero, and used only where they are not: there they are what they were before.

An index into a padded map is written so: it is −1 where it is outside, and a branch on its sign skips the access. The
number that it is made of grows by a constant from lane to lane, and the cut-off number does not.
"""

import re

from convbench.emulator.wide.code import LABEL, VALUE, Block, Line, read, read_line, typed
from convbench.emulator.wide.flow import Flow

_MAXIMUM = re.compile(r"@llvm\.smax\.i\d+\(")


def plain(body: list[str]) -> list[str]:
    """A kernel's body with the numbers as they were before in the place of those that are cut off."""
    flow = Flow(read(body))
    text = _unclamped(flow)
    found, label = [], ""
    for line in body:
        if match := LABEL.match(line):
            label = match["label"].strip('"')
            found += [line, *text[label]]
    return found


def _unclamped(flow: Flow) -> dict[str, list[str]]:
    """The lines of each block."""
    lines = {line.result: line for block in flow.blocks.values() for line in block.lines if line.result}
    text = {label: [line.text for line in block.lines] for label, block in flow.blocks.items()}
    count = 0
    for label in flow.order:
        found = _test(flow.blocks[label], lines)
        if found is None:
            continue
        value, inside = found
        known = _before_cut(value, lines)
        if known is None or flow.before[inside] != [label]:
            continue
        source, more = known
        kind, name = lines[value].type, source
        if more:
            count += 1
            name = f"%emu.plain.{count}"
            text[label].insert(-1, f"  {name} = add {kind} {source}, {more}")
        for block in flow.order:
            if inside in flow.dominators[block]:
                text[block] = [_renamed(line, value, name) for line in text[block]]
        # in the phis behind, what comes from these blocks
        for block in flow.order:
            for number, line in enumerate(text[block]):
                if " = phi " in line and value in line:
                    text[block][number] = _renamed_phi(line, value, name, flow, inside)
    return text


def _test(block: Block, lines: dict[str, Line]) -> tuple[str, str] | None:
    """The number whose sign decides where a block leads, and the block behind it where it is not negative."""
    end = block.end
    if end.op != "br" or len(block.targets) != 2:
        return None
    test = lines.get(typed(end.operands[0])[1])
    if test is None or test.op != "icmp":
        return None
    order = test.rest.split()[0]
    first, second = test.operands
    number = first.split(" ")[-1]
    if number not in lines or (order, second) not in (("slt", "0"), ("sgt", "-1")):
        return None
    return number, block.targets[1 if order == "slt" else 0]


def _before_cut(value: str, lines: dict[str, Line]) -> tuple[str, int] | None:
    """What a number is where it is not negative, if that is known: another number, plus a constant."""
    line = lines.get(value)
    if line is None:
        return None
    if line.op == "select":
        _, (_, first), (_, second) = map(typed, line.operands)
        for chosen, other in ((first, second), (second, first)):
            if _negative(other):
                return _before_cut(chosen, lines) or (chosen, 0)
    if line.op == "call" and _MAXIMUM.search(line.rest):
        (_, first), (_, second) = line.arguments
        if _negative(second):
            return first, 0
    if line.op == "add":
        first, second = line.operands[0].split(" ")[-1], line.operands[1]
        inner = lines.get(first)
        if inner is not None and re.fullmatch(r"-?\d+", second) and inner.op == "call" and _MAXIMUM.search(inner.rest):
            (_, number), (_, least) = inner.arguments
            if re.fullmatch(r"-?\d+", least) and -int(second) > int(least):
                return number, int(second)
    return None


def _negative(value: str) -> bool:
    return re.fullmatch(r"-\d+", value) is not None


def _renamed(line: str, value: str, name: str) -> str:
    if " = phi " in line:
        return line
    return VALUE.sub(lambda match: name if match[0] == value else match[0], line)


def _renamed_phi(line: str, value: str, name: str, flow: Flow, inside: str) -> str:
    result, rest = line.split(" = ", 1)
    for source, label in read_line(line).incoming:
        if source == value and label in flow.dominators and inside in flow.dominators[label]:
            rest = re.sub(rf"\[ {re.escape(value)}, (%\"?{re.escape(label)}\"?) \]", rf"[ {name}, \1 ]", rest)
    return f"{result} = {rest}"
