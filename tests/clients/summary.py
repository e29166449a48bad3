"""The tables of README.md, from `expected.csv` and `by_hand.csv`. Run as a program, it writes them into README.md."""

import csv
from itertools import groupby
from pathlib import Path

FOLDER = Path(__file__).parent
README = FOLDER / "README.md"
BEGIN, END = "<!-- from summary.py -->", "<!-- end -->"
RIGHT, ELSEWHERE = {"passed"}, {"other library", "not on a GPU"}  # what does not run on a GPU with Numba alone


def rows(name):
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cell(reasons):
    return "<br>".join(dict.fromkeys(reason for reason in reasons if reason))


def tables():
    tests, by_hand = rows("expected.csv"), rows("by_hand.csv")
    yield "| package | version | tests | right values | clean when checked | reports, and what was not checked |"
    yield "|:--|:--|--:|--:|--:|:--|"
    for (client, version), group in groupby(tests, key=lambda row: (row["client"], row["version"])):
        own = list(group)
        right, clean = (
            sum(row[mode] == word for row in own) for mode, word in (("emulator", "passed"), ("checked", "clean"))
        )
        yield f"| {client} | {version} | {len(own)} | {right} | {clean} | {cell(row['reason'] for row in own)} |"
    yield ""
    yield "| run by hand | version | what | fast | checked | reason |"
    yield "|:--|:--|:--|:--|:--|:--|"
    for row in by_hand:
        yield (
            "| "
            + " | ".join(row[name] for name in ("client", "version", "what", "emulator", "checked", "reason"))
            + " |"
        )
    yield ""
    counted = [row["emulator"] for row in (*tests, *by_hand) if row["emulator"] not in ELSEWHERE]
    right = sum(outcome in RIGHT for outcome in counted)
    share = f"{right / len(counted):.1%}"
    yield f"**{right} of {len(counted)} programs that run on a GPU with Numba alone have the right values: {share}.**"


def whole(text):
    """The text of README.md with the tables of today."""
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n\n" + "\n".join(tables()) + f"\n\n{END}{after}"


if __name__ == "__main__":
    README.write_text(whole(README.read_text(encoding="utf-8")), encoding="utf-8")
