"""Write an inspection as Markdown for people, or as JSON for programs."""

from dataclasses import asdict
from typing import Any

from convbench.inspection.inspector import InspectedKernel, Inspection
from convbench.report import NOTHING, duration, markdown_table, percent

_NAMES = {
    "LDS": "shared loads", "LDSM": "matrix loads", "STS": "shared stores", "STSM": "matrix stores",
    "LDGSTS": "asynchronous copies", "LDG": "global loads", "STG": "global stores", "LD": "generic loads",
    "ST": "generic stores", "LDL": "local loads", "STL": "local stores",
}  # fmt: skip


def to_markdown(inspection: Inspection) -> str:
    """Two tables: the resources and least times of the kernels, and the instructions of their hot loops."""
    chip, problem = inspection.chip, inspection.problem
    config = f", config {inspection.config}" if str(inspection.config) != "NoConfig()" else ""
    takes = markdown_table(
        ["kernel", "launches × blocks × threads", "registers", "spilled bytes", "shared bytes", "resident blocks",
         "bound", "least time"],
        map(_takes, inspection.kernels),
    )  # fmt: skip
    does = markdown_table(
        ["kernel", "hot loop", "FFMA", "tensor", "integer, address", "moves", "accesses to memory, bytes of a thread"],
        map(_does, inspection.kernels),
    )
    warnings = [f"- {kernel.name}: {text}" for kernel in inspection.kernels for text in kernel.resources.warnings]
    least, roof = inspection.least_us, chip.ceilings
    at_least = "" if inspection.is_complete else " or more (how often some hot loops are passed is not known)"
    tflops = problem.flops / least / 1e6
    run = f"One run: {duration(least)}{at_least}, which would be at most {tflops:.3g} TFLOP/s of the definition."
    made = sum(kernel.products or 0.0 for kernel in inspection.kernels if kernel.launch.stage == "run")
    if 0 < made < problem.macs:  # Winograd and FFT: the rate can be above the peak, because fewer products are made
        rate = 2 * made / least / 1e6
        run += f" The kernels make {made / problem.macs:.0%} of its products: at most {rate:.3g} TFLOP/s."
    if problem.dtype == "float32":  # the ceilings are those of float32
        run += f" A direct method at the chip's ceilings of float32: {duration(roof.floor_us(problem))}."
    model = (
        "A prediction from the machine code by a static model, not a measurement. The chip is taken to be an "
        f"{chip.name}: {chip.multiprocessors} multiprocessors, {roof.tflops:g} TFLOP/s of float32, "
        f"{chip.tbytes:g} TB/s. What is in no hot loop, waiting, and the launches themselves take no time in the model."
    )
    title = (
        f"# {inspection.algorithm.name} {inspection.direction} of {problem} on {inspection.architecture.name}{config}"
    )
    warned = ["What the assembler warns of:\n\n" + "\n".join(warnings)] if warnings else []
    return "\n\n".join([title, takes, does, *warned, run, model])


def _takes(kernel: InspectedKernel) -> tuple[object, ...]:
    resources, held, launch = kernel.resources, kernel.occupancy, kernel.launch
    blocks = f"{launch.blocks} × {launch.threads}"
    stack = f", stack {resources.stack_bytes}" if resources.stack_bytes else ""
    return (
        f"{kernel.name} ({launch.phase}{', once' if launch.stage == 'load' else ''})",
        blocks if len(kernel.launches) == 1 else f"{len(kernel.launches)} × {blocks}",
        resources.registers,
        f"{resources.spill_bytes}{stack}",
        f"{resources.static_shared_bytes} + {launch.shared_bytes}",
        f"{held.blocks} ({percent(held.share)} of the warps), by {' and '.join(held.limited_by)}",
        kernel.bound.name,
        duration(kernel.bound.least_us) + ("" if kernel.bound.compute_us is not None else " or more"),
    )


def _does(kernel: InspectedKernel) -> tuple[object, ...]:
    hot, code = kernel.hot, kernel.code
    rare = f" + {code.rare} rare" if code.rare else ""
    where = "" if code.hot_loop else ", the whole kernel"
    accesses = [
        f"{sum(widths.values())} {_NAMES.get(name, name)} of {' and '.join(map(str, widths))}"
        for name, widths in hot.accesses.items()
    ]
    return (
        kernel.name, f"{hot.total}{rare}{where}",
        *(percent(hot.share(kind)) for kind in ("FFMA", "tensor", "integer and address", "moves")),
        ", ".join(accesses) or NOTHING,
    )  # fmt: skip


def to_json(inspection: Inspection) -> dict[str, Any]:
    """Everything that was found, except the machine code."""
    chip = inspection.chip
    return {
        "algorithm": inspection.algorithm.name,
        "problem": str(inspection.problem),
        "direction": inspection.direction,
        "config": repr(inspection.config),
        "architecture": inspection.architecture.name,
        "chip": {
            "name": chip.name, "multiprocessors": chip.multiprocessors, "clock_ghz": chip.clock_ghz,
            "tflops": chip.ceilings.tflops, "tbytes": chip.tbytes,
        },
        "predicted_least_us": inspection.least_us,
        "predicted_least_is_complete": inspection.is_complete,
        "kernels": [_kernel_to_json(kernel) for kernel in inspection.kernels],
    }  # fmt: skip


def _kernel_to_json(kernel: InspectedKernel) -> dict[str, Any]:
    code, hot, held, once, bound = kernel.code, kernel.hot, kernel.occupancy, kernel.once, kernel.bound
    loop = code.hot_loop
    return {
        "kernel": kernel.name,
        "stage": kernel.launch.stage,
        "phase": kernel.launch.phase,
        "grids": [launch.grid for launch in kernel.launches],
        "block": kernel.launch.block,
        "argument_types": [str(kind) for kind in kernel.launch.types],
        "compiled_for": kernel.compiled.architecture,
        **asdict(kernel.resources),
        "dynamic_shared_bytes": kernel.launch.shared_bytes,
        "occupancy": {
            "blocks": held.blocks, "warps": held.warps, "max_warps": held.max_warps, "limits": held.limits,
            "limited_by": held.limited_by,
        },
        "instructions": kernel.whole.total,
        "local_loads_and_stores": kernel.whole.counts.get("local memory", 0),
        "loops": [(each.first, each.last) for each in code.loops],
        "hot_loop": None if loop is None else (loop.first, loop.last),
        "hot": {
            "instructions": hot.total, "rare_instructions": code.rare, "counts": hot.counts,
            "ffma_share": kernel.ffma_share, "tensor_share": hot.share("tensor"),
            "integer_share": hot.share("integer and address"), "accesses": hot.accesses,
            "ffma_per_16_shared_bytes": hot.ffma_per_wide_load,
        },
        "bound": {
            "name": bound.name, "cycles_of_a_pass": once.cycles, "products_of_a_pass": once.products,
            "products": kernel.products, "predicted_compute_us": bound.compute_us,
            "predicted_memory_us": bound.memory_us, "predicted_least_us": bound.least_us,
        },
    }  # fmt: skip
