"""The worked examples that stand at the end of each command's --help; a test runs them all."""

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "list": (
        ("convbench list", "every algorithm and every workload"),
        ("convbench list --json | python -m json.tool", "the same for a script"),
    ),
    "show": (
        ("convbench show n8c64h56w56-k64r3s3-pad1", "shapes, FLOPs, ceilings, who can compute it"),
        ("convbench show 'mb8_ic64ih56oc64oh56kh3ph1'", "the same layer, as benchdnn writes it"),
        ("convbench show n1c3h48w48-k2r3s3-pad1 --maps --out maps.png", "what each channel adds, as a picture"),
    ),
    "verify": (
        ("convbench verify n1c4h12w12-k4r3s3-pad1", "all algorithms on one problem"),
        (
            "convbench verify --workload lenet5 --algorithm direct,fft_tiled --direction backward_data",
            "gradients of a network's layers by two algorithms",
        ),
        ("convbench verify --workload lenet5 --where 'r == 5 and k < 10' --batch 1", "some layers, one image"),
    ),
    "fuzz": (
        ("convbench fuzz --algorithm direct --examples 20", "twenty random cases"),
        ("convbench fuzz --replay 'direct forward n1c1h1w1-k1r1s1 integers seed=0'", "one case again"),
    ),
    "bench": (
        ("convbench bench n1c4h12w12-k4r3s3-pad1 --algorithm direct", "one problem, into reports/"),
        ("convbench bench --workload lenet5 --batch 1 --baselines --resume", "a network, beside other libraries"),
    ),
    "tune": (
        ("convbench tune n1c4h12w12-k4r3s3-pad1 --algorithm direct", "which of its configs is fastest here"),
        (
            "convbench tune --workload lenet5 --batch 1 --algorithm direct --trials 2 --database mine.jsonl",
            "a network's layers, two configs of each algorithm, into a file of one's own",
        ),
    ),
    "gpu": (
        ("convbench gpu --out survey", "on a machine with a GPU: everything, in under nine minutes"),
        (
            "convbench gpu --out survey --device emulator --algorithm direct --check n1c2h5w5-k2r3s3 --seconds 3",
            "a trial of the command without one, cut short",
        ),
    ),
    "report": (
        ("convbench report reports/emulator/lenet5-n1.jsonl", "a page of what was measured"),
        ("convbench report reports/emulator/lenet5-n1.jsonl --format csv --format junit", "for a spreadsheet and CI"),
    ),
    "compare": (
        ("convbench compare before after", "two folders, or files, of records; exit status 1 if anything is slower"),
        ("convbench compare before after --threshold 5% --strict", "3 if anything is undecided, too"),
    ),
    "inspect": (
        ("convbench inspect direct n32c64h56w56-k64r3s3-pad1", "registers, spills, hot loop, bound, on sm_90"),
        (
            "convbench inspect im2col_gemm n32c64h56w56-k64r3s3-pad1 --arch sm_80 --config tile=8 --json",
            "another architecture and config, for a script",
        ),
    ),
    "doctor": (("convbench doctor", "what is missing, and the command that mends it"),),
}


def epilog(command: str) -> str:
    """What --help ends with; the first character keeps the lines as they are."""
    lines = (f"  {example}\n      {meaning}" for example, meaning in EXAMPLES[command])
    return "\b\nExamples:\n" + "\n".join(lines)
