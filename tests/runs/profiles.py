"""Profile the kernels of every algorithm's default config on a few layers: reports/predicted/default_kernels.md.

python -m nox -s profiles
"""

from pathlib import Path

from convbench import profiling
from convbench.algorithm import registry
from convbench.errors import ConvbenchError
from convbench.inspection import architecture
from convbench.problem.notation import parse

LAYERS = (
    "n32c64h56w56-k64r3s3-pad1",
    "n32c96h56w56-k96r3s3-pad1-g96",
    "n32c64h56w56-k64r3s3-pad1-float16",
)
OUT = Path("reports/predicted/default_kernels.md")
HEAD = """# Profiles of the default kernels

Made by `python -m nox -s profiles`. Counts are those of the emulator on the PTX for the GPU. Times are predicted for
{gpu}, not measured; [published_times.md](published_times.md) has the errors of the model. Excessive wavefronts are
those that bank conflicts add; excessive sectors are those beside the bytes used.
"""
COLUMNS = (
    "| algorithm | kernel | predicted µs | wavefronts | excessive | sectors | excessive | bound by |",
    "|:--|:--|--:|--:|--:|--:|--:|:--|",
)


def rows_of(layer: str, name: str, chip: profiling.Chip) -> list[str]:
    problem = parse(layer)
    try:
        plan = profiling.profile_plan(
            registry.get(name), problem, "forward", architecture.get(chip.architecture), blocks=16
        )
    except ConvbenchError:
        return []  # it does not compute this layer
    times = profiling.predict_plan(plan, chip)
    rows = []
    for launch, time in zip(plan.launches, times.launches, strict=True):
        c, bound = launch.profile.total, time.sentence.replace("|", "\\|")
        rows.append(
            f"| {name} | {launch.profile.kernel} | {time.us:,.1f} | {c.wavefronts:,.0f} "
            f"| {c.excessive_wavefronts:,.0f} | {c.sectors:,.0f} | {c.excessive_sectors:,.0f} | {bound} |"
        )
    return list(dict.fromkeys(rows))


def main() -> None:
    chip = profiling.chip("h200")
    lines = [HEAD.format(gpu=chip.name)]
    for layer in LAYERS:
        lines += [f"## {layer}", "", *COLUMNS]
        for by in registry.available()[0]:
            found = rows_of(layer, by.name, chip)
            print(layer, by.name, len(found), flush=True)
            lines += found
        lines.append("")
    OUT.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
