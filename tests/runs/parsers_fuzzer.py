"""The process that feeds one reader: libFuzzer draws the inputs, and the exceptions that are faults are noted."""

import json
import random
import re
import sys
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import atheris

from runs.parsers import MEBIBYTES, MOST_KEPT, SECONDS_OF_AN_INPUT, slug

if TYPE_CHECKING:
    from cases.parsers import Parser

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, 10**30, -(10**18), 1e308, float("nan"), float("inf"), "", "x", "1", "\u202e",
    "[1, 1]", [], {}, [1], [[1]], [None] * 3, {"x": 1}, "forward", "float16",
)  # fmt: skip
WORD = re.compile(rb"[A-Za-z_]{2,}|[0-9]+|[^\sA-Za-z0-9_]{1,3}")


def feed(name: str, inputs: int, seed: int, seconds: int, keep: Path) -> None:
    """Feed the reader GROUP/NAME with so many inputs. It does not return, because libFuzzer ends the process."""
    of, name = name.split("/", 1)
    with atheris.instrument_imports(include=["convbench", "tomllib", "shlex"], enable_loader_override=False):
        from cases.parsers import group

        parser = group(of)[name]
        for text in parser.texts:
            parser.read(text)  # imports what a reader imports only when it is needed
    corpus = keep / f"{slug(name)}-texts"
    corpus.mkdir(exist_ok=True)
    for number, text in enumerate(parser.texts):
        (corpus / f"text-{number}").write_bytes(text)
    words = keep / f"{slug(name)}.words"
    words.write_text("\n".join(f'"{quoted(word)}"' for word in sorted(set(WORD.findall(b" ".join(parser.texts))))))
    settings = [
        sys.argv[0], str(corpus), f"-runs={inputs}", f"-seed={seed}", f"-max_total_time={seconds}", f"-dict={words}",
        f"-timeout={SECONDS_OF_AN_INPUT}", f"-rss_limit_mb={MEBIBYTES}", f"-max_len={parser.longest}",
        "-print_final_stats=1",         f"-artifact_prefix={keep}/{slug(name)}-",
    ]  # fmt: skip
    more = {"custom_mutator": mutated} if parser.is_json else {}
    atheris.Setup(settings, noted(parser, keep), **more)
    atheris.Fuzz()


def quoted(word: bytes) -> str:
    """A word in the syntax of libFuzzer's dictionaries."""
    return "".join(chr(one) if 32 < one < 127 and one not in b'"\\' else f"\\x{one:02x}" for one in word)


def noted(parser: "Parser", keep: Path) -> Any:
    """A target of libFuzzer that notes faults and goes on."""
    seen: Counter[str] = Counter()

    def target(text: bytes) -> None:
        error = parser.fault(text)
        if error is None:
            return
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
        seen[what] += 1
        if seen[what] <= MOST_KEPT:
            place = keep / f"{slug(parser.name)}-{slug(what)}-{seen[what]}"
            place.write_bytes(text)
            place.with_suffix(".txt").write_text("".join(traceback.format_exception(error))[-4000:], errors="replace")
        if seen[what] == 1:
            with (keep / f"{slug(parser.name)}.faults").open("a") as file:
                file.write(f"{what}\n")

    return target


def mutated(text: bytes, longest: int, seed: int) -> bytes:
    """JSON with another value in one place, or, as often, bytes as libFuzzer changes them."""
    draw = random.Random(seed)
    if draw.random() < 0.5:
        with suppress(ValueError, RecursionError):
            whole = json.loads(text)
            places = list(inside(whole))
            if places:
                holder, key = draw.choice(places)
                if draw.random() < 0.2:
                    del holder[key]
                else:
                    holder[key] = draw.choice((*VALUES, draw.choice(places)[0]))
                changed = json.dumps(whole).encode()
                if len(changed) <= longest:
                    return changed
    found: bytes = atheris.Mutate(text, longest)
    return found


def inside(value: Any) -> Any:
    """The places of a JSON value: a list or an object, and an index or a key."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from inside(part)
