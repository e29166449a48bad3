"""Give computed NaNs of float32 the bits that a GPU gives them, where a program looks at the bits.

Every NaN that arithmetic makes is 0x7fffffff on a GPU (PTX ISA, "Floating Point Instructions"). The processor here
keeps payloads, and makes negative ones. A NaN that is only copied keeps its bits on both.
"""

import re

from convbench.emulator.ptx.kinds import CANONICAL_NAN

_NAME = r'%(?:"[^"]+"|[\w.$-]+)'
_FLAGS = r"(?: (?:fast|nnan|ninf|nsz|arcp|contract|afn|reassoc))*"
_KIND = r"(?:float|<\d+ x float>)"  # LLVM has made vectors of what a program stores side by side
_COMPUTED = re.compile(
    rf"^  (?P<result>{_NAME}) = (?:(?:fadd|fsub|fmul|fdiv|frem){_FLAGS} {_KIND} |fptrunc{_FLAGS} .+ to {_KIND}"
    rf"|(?:tail )?call{_FLAGS} {_KIND} @(?:llvm\.(?:fma|sqrt|rint|floor|ceil|trunc)\.(?:v\d+)?f32|emu\.frem|__nv_))"
)
_PASSED = re.compile(
    rf"^  (?P<result>{_NAME}) = (?:(?:phi|select|freeze){_FLAGS} (?:(?:i1|<\d+ x i1>) [^,]+, )?"
    rf"|insertelement |extractelement |shufflevector ){_KIND} "
)
_STORE = re.compile(rf"^  store (?P<kind>{_KIND}) (?P<value>{_NAME}), (?P<rest>.*)$")
_BITS = re.compile(
    rf"^  (?P<result>{_NAME}) = bitcast (?P<kind>{_KIND}) (?P<value>{_NAME}) to (?P<to>[^!]+?)(?P<tail>, !.*)?$"
)
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
            before, kind, bits = _bits(match["kind"], match["value"], number)
            lines[number] = f"{before}\n  store {kind} {bits}, {match['rest']}"
        elif (match := _BITS.match(line)) and match["value"] in computed:
            before, kind, bits = _bits(match["kind"], match["value"], number)
            taken = f"or {kind} {bits}, zeroinitializer" if kind != "i32" else f"or i32 {bits}, 0"
            made = taken if match["to"] == kind else f"bitcast {kind} {bits} to {match['to']}"
            lines[number] = f"{before}\n  {match['result']} = {made}{match['tail'] or ''}"
        elif (match := _SIGN.match(line)) and match["value"] in computed:
            before, _, bits = _bits("float", match["value"], number)
            value = f'%"nan.{number}.value"'
            cast = f"  {value} = bitcast i32 {bits} to float"
            lines[number] = f"{before}\n{cast}\n{match['head']}{value}){line[match.end() :]}"


def _bits(kind: str, value: str, number: int) -> tuple[str, str, str]:
    """IR that makes the bits of float32, their kind and their name, with integers alone (`Emitter.canonical_nan`)."""
    count = 0 if kind == "float" else int(kind[1:].partition(" ")[0])

    def many(one: str, constant: object = None) -> str:
        """LLVM's kind of as many numbers, or a constant of it."""
        if not count:
            return f"{one} {constant}" if constant is not None else one
        of = f"<{count} x {one}>"
        return of if constant is None else f"{of} <{', '.join([f'{one} {constant}'] * count)}>"

    words = many("i32")
    word, size, is_nan, found = (f'%"nan.{number}.{part}"' for part in ("word", "size", "is", "bits"))
    nan = many("i32", CANONICAL_NAN["f32"])
    text = (
        f"  {word} = bitcast {kind} {value} to {words}\n"
        f"  {size} = and {many('i32', 2147483647)}, {word}\n"
        f"  {is_nan} = icmp ult {many('i32', 2139095040)}, {size}\n"
        f"  {found} = select {many('i1')} {is_nan}, {nan}, {words} {word}"
    )
    return text, words, found
