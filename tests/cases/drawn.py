"""Records of a network in which every figure of the report has data, and these figures."""

from dataclasses import replace

import numpy as np

from cases import synthetic
from convbench.report.chapters import chapters
from convbench.report.figures import THEMES, Figure, figures

ALL = [key for key, _, _ in THEMES]


def network(seed=0, layers=8, **fields):
    """Records whose fastest algorithm changes from layer to layer, with varied costs."""
    random = np.random.default_rng(seed)
    for one in synthetic.network(random, layers=layers, **fields):
        if one.timing is None:
            yield one
            continue
        us, phases = float(random.uniform(10, 5000)), random.uniform(1, 9, 3).tolist()
        made = synthetic.timed(random, us, noise=0.05).timing
        made = replace(made, phases_us=dict(zip(("pack", "multiply", "unpack"), phases, strict=True)))
        compile_s = 0.0 if one.algorithm == "cudnn" else float(random.uniform(0.1, 2))
        workspace = 0 if one.algorithm.startswith("direct") else int(random.integers(1, 2**25))
        clock = one.device["clock"]
        yield replace(one, timing=replace(made, compile_s=compile_s, clock=clock), workspace_bytes=workspace)


def named(records) -> dict[str, Figure]:
    """The figures of a single chapter, by their themes."""
    return {next(k for k in ALL if figure.key.endswith(f"-{k}")): figure for figure in figures(records)}


def rows_of(spec) -> list[dict]:
    return [row for rows in spec.get("datasets", {}).values() for row in rows]


NETWORK = list(network())


FIGURES = named(NETWORK)


PASSED = chapters(NETWORK)[0].passed
