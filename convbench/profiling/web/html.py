"""Write a profile as an HTML page: the source with counters beside each line, drawings of requests, and a roofline.

The page is one file without a script, and fetches nothing. Texts are escaped by Jinja2.
"""

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from convbench.emulator import CONFLICTED, UNCOALESCED, Counters, InstructionProfile, Profile
from convbench.errors import ConvbenchError
from convbench.profiling.chips import Chip
from convbench.profiling.demands import ATTAINABLE
from convbench.profiling.forecast import lacking
from convbench.profiling.model import MEDIAN_ERROR, Prediction
from convbench.profiling.page import alike, duration, predicted, summary_of
from convbench.profiling.predicted import PredictedPlan
from convbench.profiling.runs import ProfiledLaunch, ProfiledPlan
from convbench.profiling.web import drawings
from convbench.report import finalized

try:
    import jinja2
    from markupsafe import Markup
except ImportError as error:
    raise ConvbenchError(f'the page needs the extra `report`: pip install "convbench[report]" ({error})') from error

AROUND = 3  # lines of the source that are shown before and behind one that was counted
MOST_PICTURES = 6  # of a kernel
UNNAMED = "_cudapy"  # begins the names that the compiler gives to arrays of shared memory
FOOT = (
    "Counted from the addresses that the kernels access on the emulator, by the rules of the hardware; nothing was "
    "measured. Wavefronts are passes over the banks of shared memory; sectors have 32 bytes. Behind the stroke stand "
    "those without conflicts, and those of bytes side by side."
)


@dataclass(frozen=True)
class _Row:
    line: int = 0
    source: str = ""
    cells: tuple[tuple[str, str], ...] = ()
    marks: tuple[str, ...] = ()
    anchor: str = ""
    counted: bool = False
    gap: bool = False


@dataclass(frozen=True)
class _File:
    name: str
    rows: list[_Row]


@dataclass(frozen=True)
class _Mark:
    anchor: str
    line: int
    text: str


@dataclass(frozen=True)
class _Picture:
    title: str
    reading: str
    svg: Markup


@dataclass(frozen=True)
class _Kernel:
    name: str
    about: str
    sentences: list[str]
    marks: list[_Mark]
    files: list[_File]
    pictures: list[_Picture]


def to_html(found: ProfiledPlan, times: PredictedPlan | None = None) -> str:
    """The page of a plan, with predicted times and a roofline if there are any. Needs the extra `report`."""
    known = {} if times is None else dict(zip(map(id, found.launches), times.launches, strict=True))
    groups = alike(found.launches)
    style = (files("convbench.profiling.web") / "profile.css").read_text(encoding="utf-8")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    page = _template().render(
        title=f"{found.algorithm.name} {found.direction} of {found.problem} on {found.architecture.name}",
        config=f"config {found.config}",
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'",
        style=Markup(style),
        deck=_deck(found, times),
        roofline=_roofline(found, times),
        kernels=[_kernel(number, group, known.get(id(group[0]))) for number, group in enumerate(groups, 1)],
        foot=FOOT,
    )
    return page.encode(errors="replace").decode()  # a name may have half a surrogate pair, which no file can hold


def _deck(found: ProfiledPlan, times: PredictedPlan | None) -> str:
    if times is None:
        return ""
    reasons = [text for launch in found.launches if launch.stage == "run" and (text := lacking(launch))]
    if reasons:
        return f"No time is predicted for {times.chip.name}: {reasons[0]}."
    return (
        f"One run takes {duration(times.run_us)}, {times.launches[0].caption}. On published times of other kernels, "
        f"the model's median error is {MEDIAN_ERROR:.0%}."
    )


def _roofline(found: ProfiledPlan, times: PredictedPlan | None) -> dict[str, object] | None:
    if times is None:
        return None
    chip, points = times.chip, dict[str, drawings.Point]()
    for launch, time in zip(found.launches, times.launches, strict=True):
        if not lacking(launch):
            points.setdefault(launch.profile.kernel, _point(launch, time, chip))
    rate = chip.multiprocessors * chip.clock_mhz / 1e6
    drawn = drawings.roofline(
        list(points.values()), 2 * chip.rates.fma * rate, chip.dram_gbytes / 1e3, chip.rates.l2_bytes * rate,
        times.launches[0].caption,
    )  # fmt: skip
    return None if drawn is None else {"reading": drawn.reading, "picture": Markup(drawn.svg)}


def _point(launch: ProfiledLaunch, time: Prediction, chip: Chip) -> drawings.Point:
    flops = sum(
        i.counters.lanes * i.numbers * (2 if i.opcode.startswith(("fma", "mad")) else 1)
        for i in launch.profile.instructions
        if i.pipe == "fma"
    )
    memory = time.limits["DRAM"] * ATTAINABLE * chip.dram_gbytes * 1e3
    return drawings.Point(launch.profile.kernel, flops, time.us, memory, launch.profile.total.l2_bytes)


def _kernel(number: int, launches: list[ProfiledLaunch], time: Prediction | None) -> _Kernel:
    launch = launches[0]
    p = launch.profile
    once = ", once" if launch.stage == "load" else ""
    times = f", {len(launches)} launches" if len(launches) > 1 else ""
    shape = f"Grid {' × '.join(map(str, p.grid))}, block {' × '.join(map(str, p.block))}; {p.sampled}."
    told = [predicted(time).strip()] if time is not None and not lacking(launch) else []
    if lacks := lacking(launch):
        told = [f"No time is predicted: {lacks}."]
    marks = {at: _marks(p, *at) for at in p.by_line}
    sentences = [shape, *told, *summary_of(p, p.total).strip().split("\n\n")]
    names = dict.fromkeys(name for name, _ in p.by_line)
    return _Kernel(
        p.kernel, f"({launch.phase}{once}{times})", sentences,
        [_Mark(_anchor(number, *at), at[1], "; ".join(texts)) for at, texts in marks.items() if texts],
        [_File(Path(file).name or "no source", _rows(number, p, file, marks)) for file in names],
        _pictures(p),
    )  # fmt: skip


def _anchor(number: int, file: str, line: int) -> str:
    return f"k{number}-{Path(file).stem}-{line}"


def _marks(p: Profile, file: str, line: int) -> tuple[str, ...]:
    """What is wrong with the accesses of a line, in words."""
    here = [i for i in p.instructions if (i.file, i.line) == (file, line)]
    told = []
    for i in here:
        c = i.counters
        if CONFLICTED in i.marks:
            told.append(
                f"{CONFLICTED}, {c.conflict}-way: {c.wavefronts / max(c.ideal_wavefronts, 1):.1f} times the wavefronts"
            )
        if UNCOALESCED in i.marks:
            told.append(f"{UNCOALESCED}: {c.sectors / max(c.ideal_sectors, 1):.1f} times the sectors")
    return tuple(dict.fromkeys(told))


def _rows(number: int, p: Profile, file: str, marks: dict[tuple[str, int], tuple[str, ...]]) -> list[_Row]:
    """The lines of a file that were counted, with some around them; … stands for others."""
    counted = {line: counters for (name, line), counters in p.by_line.items() if name == file}
    source = _source(file)
    shown = sorted(
        {n for line in counted for n in range(line - AROUND, line + AROUND + 1) if 0 < n <= len(source)} | set(counted)
    )
    rows: list[_Row] = []
    for line in shown:
        if rows and line > rows[-1].line + 1:
            rows.append(_Row(gap=True, line=line - 1))
        text = source[line - 1].rstrip() if 0 < line <= len(source) else "(not known)"
        counters = counted.get(line)
        cells = tuple((name, "") for name, _ in _cells(Counters())) if counters is None else _cells(counters)
        told = marks.get((file, line), ()) if counters is not None else ()
        rows.append(
            _Row(line, text or " ", cells, told, _anchor(number, file, line) if told else "", counters is not None)
        )
    return rows


def _source(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8").splitlines() if file else []
    except (OSError, UnicodeDecodeError):
        return []


def _cells(c: Counters) -> tuple[tuple[str, str], ...]:
    used = f"{100 * c.used_bytes / c.moved_bytes:.0f} %" if c.moved_bytes else ""
    return (
        ("instructions", f"{c.instructions:,.0f}"),
        ("lanes", f"{c.lanes_active:.1f}" if c.instructions else ""),
        ("wavefronts", f"{c.wavefronts:,.0f} / {c.ideal_wavefronts:,.0f}" if c.shared_requests else ""),
        ("sectors", f"{c.sectors:,.0f} / {c.ideal_sectors:,.0f}" if c.global_requests else ""),
        ("used", used),
    )  # fmt: skip


def _pictures(p: Profile) -> list[_Picture]:
    """Drawings of one request each: first of the instructions that are marked, then of those that move the most."""

    def weight(i: InstructionProfile) -> tuple[bool, float]:
        c = i.counters
        return bool(i.marks), c.excessive_wavefronts + c.excessive_sectors if i.marks else c.wavefronts + c.sectors

    found: dict[tuple[int, str, bool], _Picture] = {}
    accessing = [i for i in p.instructions if i.pattern is not None and i.pattern.space != "local"]
    for i in sorted(accessing, key=weight, reverse=True):
        key = i.line, i.array, i.is_store
        if key in found or i.pattern is None or len(found) == MOST_PICTURES:
            continue
        drawn = drawings.request(i.pattern.space, i.pattern.lanes, i.width)
        where = "banks" if i.pattern.space == "shared" else "sectors of global memory"
        name = "shared memory" if i.array.startswith(UNNAMED) else i.array or "memory"
        title = f"Line {i.line}: one warp {'writes' if i.is_store else 'reads'} {name} over the {where}"
        found[key] = _Picture(title, drawn.reading, Markup(drawn.svg))
    return list(found.values())


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True, finalize=finalized
    )
    text = (files("convbench.profiling.web") / "profile.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)
