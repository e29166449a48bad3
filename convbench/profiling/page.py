"""Print profiles as Markdown: a table by line for each kernel, with conflicts and uncoalesced lines marked."""

from convbench.emulator import CONFLICTED, UNCOALESCED, Counters, Profile, source_line
from convbench.profiling.model import MEDIAN_ERROR, Prediction
from convbench.profiling.predicted import PredictedPlan
from convbench.profiling.runs import ProfiledLaunch, ProfiledPlan

_WIDEST = 60  # characters of a line of source
_LEAST = 0.01  # of the instructions, below which a line that accesses no memory is not shown
_NOT_COUNTED = "Accesses of these instructions are not counted"


def to_markdown(found: ProfiledPlan, times: PredictedPlan | None = None) -> str:
    """The page of a plan, with predicted times if there are any."""
    title = f"# {found.algorithm.name} {found.direction} of {found.problem} on {found.architecture.name}"
    parts = [f"{title}, config {found.config}\n"]
    if times is not None:
        parts.append(
            f"One run takes {duration(times.run_us)}, {times.launches[0].caption}. On published times of other "
            f"kernels, the model's median error is {MEDIAN_ERROR:.0%}.\n"
        )
    known = {} if times is None else dict(zip(map(id, found.launches), times.launches, strict=True))
    parts += [_kernel(launches, known.get(id(launches[0]))) for launches in alike(found.launches)]
    parts.append(
        "Counted from the addresses that the kernel accesses on the emulator, by the rules of the hardware; nothing "
        "was measured. Wavefronts are passes over the banks of shared memory; sectors have 32 bytes. Ideal numbers are "
        "those without conflicts, and of bytes side by side.\n"
    )
    return "\n".join(parts)


def alike(launches: tuple[ProfiledLaunch, ...]) -> list[list[ProfiledLaunch]]:
    """Launches that have the same counts together."""
    found: list[list[ProfiledLaunch]] = []
    for launch in launches:
        same = next((group for group in found if _key(group[0]) == _key(launch)), None)
        if same is None:
            found.append([launch])
        else:
            same.append(launch)
    return found


def _key(launch: ProfiledLaunch) -> tuple[object, ...]:
    p = launch.profile
    return launch.stage, launch.phase, p.kernel, p.grid, p.block, p.shared_bytes, p.total


def _kernel(launches: list[ProfiledLaunch], time: Prediction | None) -> str:
    launch = launches[0]
    p, c = launch.profile, launch.profile.total
    once = ", once" if launch.stage == "load" else ""
    times = f", {len(launches)} launches" if len(launches) > 1 else ""
    shape = " × ".join(map(str, p.grid)), " × ".join(map(str, p.block))
    lines = [
        f"## {p.kernel} ({launch.phase}{once}{times})\n",
        f"Grid {shape[0]}, block {shape[1]}; {p.sampled}.\n",
        *([predicted(time)] if time else []),
        summary_of(p, c),
        "| line | source | instructions | lanes | wavefronts | ideal | conflict | sectors | ideal | used | |",
        "|--:|:--|--:|--:|--:|--:|--:|--:|--:|--:|:--|",
    ]
    shown = {at: counters for at, counters in p.by_line.items() if _matters(counters, c)}
    lines += [_row(p, file, line, counters) for (file, line), counters in shown.items()]
    rest = sum((counters for at, counters in p.by_line.items() if at not in shown), Counters())
    if rest.instructions:
        count = len(p.by_line) - len(shown)
        lines.append(f"\n{count} other lines have {rest.instructions:,.0f} instructions and access no memory.")
    return "\n".join(lines) + "\n"


def predicted(time: Prediction) -> str:
    """The predicted time of a launch with its interval, and its bottleneck."""
    low, high = time.interval
    return f"{duration(time.us)} ({duration(low)} to {duration(high)}), {time.caption}. {time.sentence}\n"


def duration(us: float) -> str:
    """A time in the text of a profile."""
    return f"{us / 1000:,.3g} ms" if us >= 1000 else f"{us:.3g} µs"


def _matters(line: Counters, whole: Counters) -> bool:
    """Whether a line is shown: it accesses memory, or has a share of the instructions that one can notice."""
    accesses = line.shared_requests + line.global_requests + line.local_requests
    return accesses > 0 or line.instructions >= _LEAST * whole.instructions


def summary_of(p: Profile, c: Counters) -> str:
    """What the kernel did, in sentences."""
    told = [f"{c.instructions:,.0f} warp instructions with {c.lanes_active:.1f} active lanes"]
    if c.global_requests:
        told.append(
            f"{c.global_requests:,.0f} requests to global memory move {c.sectors:,.0f} sectors "
            f"(ideal {c.ideal_sectors:,.0f}) and use {_percent(c.used_bytes, c.moved_bytes)} of their bytes"
        )
    if p.l2_hit_rate is not None:
        first = "" if p.l1_hit_rate is None else f"the L1 cache has {p.l1_hit_rate:.0%} of the sectors of loads, "
        told.append(
            f"{first}the L2 cache {p.l2_hit_rate:.0%} of those that go there, "
            f"and the memory moves {c.dram_bytes:,.0f} bytes"
        )
    if c.shared_requests:
        told.append(
            f"{c.shared_requests:,.0f} requests to shared memory take {c.wavefronts:,.0f} wavefronts "
            f"(ideal {c.ideal_wavefronts:,.0f})"
        )
    if c.local_requests:
        told.append(f"{c.local_requests:,.0f} requests to local memory move {c.local_sectors:,.0f} sectors")
    if c.barrier_waits:
        told.append(f"at barriers, warps wait for {c.barrier_waits:,.0f} instructions of slower ones")
    if c.atomics:
        told.append(f"{c.atomics:,.0f} atomic instructions, {c.contention / c.atomics:.1f} lanes for one address")
    pipes = {name: counters.instructions for name, counters in p.by_pipe.items()}
    told.append("by unit: " + ", ".join(f"{name} {number:,.0f}" for name, number in sorted(pipes.items())))
    text = "; ".join(told) + ".\n"
    if p.float64_lines:
        lines = ", ".join(str(line) for _, line in p.float64_lines)
        text += f"\nArithmetic in float64 that no argument asks for, on line {lines}.\n"
    if p.uncounted:
        text += f"\n{_NOT_COUNTED}: {', '.join(p.uncounted)}.\n"
    return text


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f}%" if whole else "–"


def _row(p: Profile, file: str, line: int, c: Counters) -> str:
    text = source_line(file, line).replace("|", "\\|") or "(not known)"
    text = text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
    marks = {mark for i in p.instructions if (i.file, i.line) == (file, line) for mark in i.marks}
    told = []
    if CONFLICTED in marks:
        told.append(f"{CONFLICTED}, {c.conflict}-way")
    if UNCOALESCED in marks:
        told.append(UNCOALESCED)
    shared = (
        (f"{c.wavefronts:,.0f}", f"{c.ideal_wavefronts:,.0f}", str(c.conflict)) if c.shared_requests else ("", "", "")
    )
    moved = (
        (f"{c.sectors:,.0f}", f"{c.ideal_sectors:,.0f}", _percent(c.used_bytes, c.moved_bytes))
        if c.global_requests
        else ("", "", "")
    )
    cells = [str(line or ""), f"`{text}`", f"{c.instructions:,.0f}", f"{c.lanes_active:.1f}", *shared, *moved]
    return f"| {' | '.join([*cells, '; '.join(told)])} |"
