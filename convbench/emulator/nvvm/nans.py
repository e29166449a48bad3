"""Give computed NaNs of float32 the bits that a GPU gives them, where a program looks at the bits.

Every NaN that arithmetic makes is 0x7fffffff on a GPU (PTX ISA, "Floating Point Instructions"). The processor here
keeps payloads, and makes negative ones. A NaN that is only copied keeps its bits on both.
"""

import re

from convbench.emulator.ptx.kinds import CANONICAL_NAN

_NAME = r'%(?:"[^"]+"|[\w.$-]+)'
_FLAGS = r"(?: (?:fast|nnan|ninf|nsz|arcp|contract|afn|reassoc))*"
_COMPUTED = re.compile(
    rf"^  (?P<result>{_NAME}) = (?:(?:fadd|fsub|fmul|fdiv|frem){_FLAGS} float |fptrunc{_FLAGS} double \S+ to float"
    r"|(?:tail )?call" + _FLAGS + r" float @(?:llvm\.(?:fma|sqrt|rint|floor|ceil|trunc)\.f32|emu\.frem|__nv_))"
)
_PASSED = re.compile(rf"^  (?P<result>{_NAME}) = (?:phi|select|freeze){_FLAGS} (?:i1 [^,]+, )?float ")
_STORE = re.compile(rf"^  store float (?P<value>{_NAME}), (?P<rest>.*)$")
_BITS = re.compile(rf"^  (?P<result>{_NAME}) = bitcast float (?P<value>{_NAME}) to i32(?P<tail>.*)$")
_SIGN = re.compile(
    rf"^(?P<head>  {_NAME} = (?:tail )?call{_FLAGS} float @llvm\.copysign\.f32\(float [^,]+, float )"
    rf"(?P<value>{_NAME})\)"
)
_NAMES = re.compile(_NAME)


def canonical(text: str) -> str:
    """The text of a module in which stores, bit casts and signs see canonical NaNs."""
    lines = text.splitlines()
    begin = None
    for number, line in enumerate(lines):
        if line.startswith("define "):
            begin = number + 1
        elif line == "}" and begin is not None:
            _rewrite(lines, begin, number)
            begin = None
    return "\n".join(lines)


def _rewrite(lines: list[str], begin: int, end: int) -> None:
    computed = {match["result"] for line in lines[begin:end] if (match := _COMPUTED.match(line))}
    if not computed:
        return
    passed = [
        (match["result"], set(_NAMES.findall(line[match.end() :])))
        for line in lines[begin:end]
        if (match := _PASSED.match(line))
    ]
    has_grown = True
    while has_grown:
        more = {result for result, sources in passed if result not in computed and sources & computed}
        computed |= more
        has_grown = bool(more)
    for number in range(begin, end):
        line = lines[number]
        if (match := _STORE.match(line)) and match["value"] in computed:
            before, bits = _bits(match["value"], number)
            lines[number] = f"{before}\n  store i32 {bits}, {match['rest']}"
        elif (match := _BITS.match(line)) and match["value"] in computed:
            before, bits = _bits(match["value"], number)
            lines[number] = f"{before}\n  {match['result']} = or i32 {bits}, 0{match['tail']}"
        elif (match := _SIGN.match(line)) and match["value"] in computed:
            before, bits = _bits(match["value"], number)
            value = f'%"nan.{number}.value"'
            cast = f"  {value} = bitcast i32 {bits} to float"
            lines[number] = f"{before}\n{cast}\n{match['head']}{value}){line[match.end() :]}"


def _bits(value: str, number: int) -> tuple[str, str]:
    """IR that makes the bits of a float32, and their name, with integers alone (see `Emitter.canonical_nan`)."""
    word, size, is_nan, found = (f'%"nan.{number}.{part}"' for part in ("word", "size", "is", "bits"))
    text = (
        f"  {word} = bitcast float {value} to i32\n  {size} = and i32 {word}, 2147483647\n"
        f"  {is_nan} = icmp ugt i32 {size}, 2139095040\n"
        f"  {found} = select i1 {is_nan}, i32 {CANONICAL_NAN['f32']}, i32 {word}"
    )
    return text, found
