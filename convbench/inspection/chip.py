"""The chips that predictions are made for: one for each architecture, with figures from its data sheet."""

from dataclasses import dataclass

from convbench.inspection.architecture import Architecture
from convbench.problem import roofline

TENSOR = "tf32", "float16", "bfloat16"  # precisions whose rate in `roofline.FMA_PER_CLOCK` is that of tensor cores

# Compute capabilities that `roofline.FMA_PER_CLOCK` lacks: 128 lanes of float32. Sources: NVIDIA Blackwell architecture
# technical brief (B200); NVIDIA RTX Blackwell GPU architecture white paper (GB202).
_FMA_PER_CLOCK = {
    "8.7": {"float64": 2, "float32": 128},
    "8.8": {"float64": 2, "float32": 128},
    "10.0": {"float32": 128},
    "10.3": {"float64": 2, "float32": 128},
    "11.0": {"float64": 2, "float32": 128},
    "12.0": {"float64": 2, "float32": 128},
    "12.1": {"float64": 2, "float32": 128},
}


@dataclass(frozen=True)
class Chip:
    """A GPU on the market: its multiprocessors, and the ceilings of its data sheet for float32 and memory."""

    ceilings: roofline.Ceilings
    multiprocessors: int
    rates: dict[str, int]  # multiply-adds of a multiprocessor in a clock, by precision of the factors
    tensor_rates: dict[str, int]  # the same for its tensor cores

    @property
    def name(self) -> str:
        return self.ceilings.name

    @property
    def clock_ghz(self) -> float:
        """The clock at which the chip reaches the TFLOP/s of its data sheet."""
        return self.ceilings.tflops * 1e3 / (2 * self.rates["float32"] * self.multiprocessors)

    @property
    def tbytes(self) -> float:
        return self.ceilings.tbytes


_SHEETS = {ceilings.name: ceilings for ceilings in roofline.KNOWN}
_CHIPS: dict[str, tuple[roofline.Ceilings, int]] = {
    # NVIDIA Turing white paper (TU104) and T4 data sheet
    "sm_75": (roofline.Ceilings("NVIDIA T4", 8.1, 0.32), 40),
    # NVIDIA A100 white paper, table 4
    "sm_80": (_SHEETS["NVIDIA A100 80GB SXM"], 108),
    # NVIDIA Ampere GA102 white paper, table 2
    "sm_86": (roofline.Ceilings("NVIDIA GeForce RTX 3090", 35.6, 0.936), 82),
    # NVIDIA Jetson AGX Orin series technical brief (64 GB)
    "sm_87": (roofline.Ceilings("NVIDIA Jetson AGX Orin", 5.325, 0.2048), 16),
    # No chip of this compute capability is documented: figures of the AGX Orin
    "sm_88": (roofline.Ceilings("none documented, figures of NVIDIA Jetson AGX Orin", 5.325, 0.2048), 16),
    # NVIDIA Ada white paper, appendix A
    "sm_89": (_SHEETS["NVIDIA GeForce RTX 4090"], 128),
    # NVIDIA H100 white paper, table 2 (the same GH100 with other memory), H200 data sheet
    "sm_90": (_SHEETS["NVIDIA H200 SXM"], 132),
    # NVIDIA HGX B200 data sheet (an eighth of its 600 TFLOP/s and 64 TB/s)
    "sm_100": (roofline.Ceilings("NVIDIA B200", 75.0, 8.0), 148),
    # NVIDIA HGX B300 data sheet (an eighth of its 600 TFLOP/s and 64 TB/s)
    "sm_103": (roofline.Ceilings("NVIDIA B300", 75.0, 8.0), 148),
    # NVIDIA Jetson T5000 data sheet: 2560 lanes at 1.57 GHz
    "sm_110": (roofline.Ceilings("NVIDIA Jetson Thor T5000", 8.0, 0.273), 20),
    # NVIDIA DGX Spark data sheet: 6144 lanes
    "sm_121": (roofline.Ceilings("NVIDIA GB10", 31.0, 0.273), 48),
    # NVIDIA RTX Blackwell white paper (GB202), table of the RTX 5090
    "sm_120": (roofline.Ceilings("NVIDIA GeForce RTX 5090", 104.8, 1.792), 170),
}


def of(architecture: Architecture) -> Chip:
    """The chip that stands for an architecture."""
    ceilings, multiprocessors = _CHIPS[architecture.name]
    capability = ".".join(map(str, architecture.compute_capability))
    known = roofline.FMA_PER_CLOCK.get(capability) or _FMA_PER_CLOCK[capability]
    rates = {precision: rate for precision, rate in known.items() if precision not in TENSOR}
    tensor_rates = {precision: rate for precision, rate in known.items() if precision in TENSOR}
    return Chip(ceilings, multiprocessors, rates, tensor_rates)
