"""Readers of results and of what commands keep: records, tuned configs, the fuzzer's cases, chips, profiles."""

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cases import synthetic
from cases.parsers.parser import Parser, as_argument, as_line, of_file
from convbench.algorithm import Algorithm
from convbench.emulator import cache_folder
from convbench.errors import ConvbenchError
from convbench.fuzz.cases import FuzzCase, config_of
from convbench.profiling import chips, nsight
from convbench.records import BegunFile, Record
from convbench.tuning.entry import Entry

CHIP = """[mine]
name = "a chip"
architecture = "sm_90"
multiprocessors = 132
clock_mhz = 1980.5
dram_gbytes = 4800
l2_kib = 51200
source = "its data sheet"
"""
RAW = (
    '==PROF== Connected\n"ID","Kernel Name","inst_executed","memory_l1_wavefronts_shared"\n"","","inst","1"\n'
    '"0","direct(float*)","1,024","7.5"\n'
)
DETAILS = '"Kernel Name","Metric Name","Metric Value"\n"direct","smsp__inst_executed.sum","1,024"\n'
CASES = (
    "direct backward_data n1c1h3w3-k1r2s2-stride2 integers seed=7 config=threads=64",
    "winograd forward n1c4h8w8-k4r3s3-pad1 uniform seed=123456789  # wrong values (y)",
    "mine forward n1c1h3w3-k1r1s1 nonfinite seed=0 'config=Wide,tile=(4, 8)'",
)
BEGUN = '{"job": ["n1c2h3w3-k1r1s1", "forward", "direct", "", "simulator", "0"], "times": 1}\n'
SIZES = "2GiB", "500 MB", "7"


@dataclass(frozen=True)
class Config:
    """The default of `Tiled`."""

    threads: int = 32


@dataclass(frozen=True)
class Wide:
    """Another config of `Tiled`."""

    tile: tuple[int, int] = (2, 2)


class Tiled(Algorithm):
    """An algorithm that has configs, and computes nothing."""

    name, family = "mine", "direct"

    def configs(self, problem: Any, direction: Any) -> tuple[Any, ...]:
        return Config(), Config(64), Wide()


@cache
def records() -> tuple[bytes, ...]:
    """Lines of records: one with a timing and one with a reason."""
    random = np.random.default_rng(0)
    passed, failed = synthetic.timed(random, 12.5), synthetic.record(outcome="wrong", reason="it differs")
    return passed.to_json().encode(), failed.to_json().encode()


def record(text: bytes) -> None:
    """Read a record. What was read can be written and read again."""
    found = Record.from_json(as_line(text))
    again = Record.from_json(found.to_json())
    assert asdict(again) == asdict(found)
    str([found.key, found.tflops])


def entry(text: bytes) -> None:
    """Read a tuned config. What was read can be written and read again."""
    found = Entry.from_json(as_line(text))
    assert Entry.from_json(found.to_json()) == found
    str([found.key, found.moment])


def case(text: bytes) -> None:
    """Read a case of the fuzzer, and find its config. What was read can be written and read again."""
    found = FuzzCase.read(as_line(text))
    assert FuzzCase.read(str(found)) == found
    config_of(Tiled(), found)


def size(text: bytes) -> None:
    """Read a number of bytes."""
    cache_folder.bytes_of(as_argument(text))


def begun(path: Path) -> None:
    """Read what earlier commands left in a file of what was begun, and begin and end a job of it."""
    with BegunFile(path.with_suffix(""), goes_on=True) as file:
        for job in list(file.times)[:1]:
            file.begin(job)
            file.end(job)


ENTRY = Entry(
    device="NVIDIA H200", compute_capability="9.0", algorithm="direct", direction="forward",
    problem="n1c64h56w56-k64r3s3-pad1", config={"threads": 64, "tile": [4, 8]}, median_us=12.5,
    interval_us=(12.0, 13.0), default_us=14.0, clock="CUDA events", timed=9, seed=0, version="0.1.0", commit=None,
    when="2026-01-02T03:04:05+00:00",
)  # fmt: skip
PARSERS = (
    Parser(
        name="records", share=2, longest=4096, read=record,
        errors=(ConvbenchError, ValueError), texts=records(), is_json=True,
    ),
    Parser(
        name="tuned configs", share=8, longest=1024, read=entry, errors=(ConvbenchError, ValueError),
        texts=(ENTRY.to_json().encode(),), is_json=True,
    ),
    Parser(
        name="files of what was begun", share=2, longest=512, read=of_file(begun, ".begun"), texts=(BEGUN.encode(),),
        is_json=True,
    ),
    Parser(name="cases of the fuzzer", share=4, longest=300, read=case, texts=tuple(text.encode() for text in CASES)),
    Parser(
        name="chips", share=2, longest=512, read=of_file(lambda path: chips.get(str(path)), ".toml"),
        texts=(CHIP.encode(),),
    ),
    Parser(
        name="profiles of Nsight Compute", share=3, longest=512, read=of_file(nsight.read_profile, ".csv"),
        texts=(RAW.encode(), DETAILS.encode()),
    ),
    Parser(name="sizes of --cache-size", share=6, longest=100, read=size, texts=tuple(text.encode() for text in SIZES)),
)  # fmt: skip
