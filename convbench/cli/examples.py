"""The worked examples at the end of each command's --help. A test runs them all."""

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "list": (
        ("convbench list", "every algorithm and every workload"),
        ("convbench list lenet5", "the layers of a workload; of a file also their lines, and what was skipped"),
        ("convbench list --json | python -m json.tool", "the same as JSON, for a script"),
    ),
    "show": (
        ("convbench show n8c64h56w56-k64r3s3-pad1", "shapes, FLOPs, least times, and which algorithms can compute it"),
        ("convbench show 'mb8_ic64ih56oc64oh56kh3ph1'", "the same layer in benchdnn's notation"),
        ("convbench show n1c3h48w48-k2r3s3-pad1 --maps --out maps.png", "a picture of what each channel adds"),
    ),
    "verify": (
        ("convbench verify n1c4h12w12-k4r3s3-pad1", "all algorithms on one problem"),
        (
            "convbench verify --workload lenet5 --algorithm direct,fft_tiled --direction backward_data",
            "data gradients of a network's layers, by two algorithms",
        ),
        ("convbench verify --workload lenet5 --where 'r == 5 and k < 10' --batch 1", "some layers, at batch size 1"),
    ),
    "fuzz": (
        ("convbench fuzz --algorithm direct --examples 20", "twenty random cases"),
        ("convbench fuzz --replay 'direct forward n1c1h1w1-k1r1s1 integers seed=0'", "repeat one case"),
    ),
    "bench": (
        ("convbench bench n1c4h12w12-k4r3s3-pad1 --algorithm direct", "one problem; the results go to reports/local/"),
        (
            "convbench bench --workload lenet5 --batch 1 --baselines --resume",
            "a network, with other libraries for comparison; skip what is already measured",
        ),
    ),
    "tune": (
        ("convbench tune n1c4h12w12-k4r3s3-pad1 --algorithm direct", "find the fastest config of one algorithm here"),
        (
            "convbench tune --workload lenet5 --batch 1 --algorithm direct --trials 2 --database mine.jsonl",
            "a network's layers, two configs for each of them; the results go to your own file",
        ),
    ),
    "gpu": (
        ("convbench gpu --out survey", "the whole survey on a machine with a GPU, in under nine minutes"),
        (
            "convbench gpu --out survey --device emulator --algorithm direct --check n1c2h5w5-k2r3s3 --seconds 3",
            "a short trial of the command on a machine without a GPU",
        ),
    ),
    "report": (
        ("convbench report reports/local/emulator/lenet5-n1.jsonl", "a page of the results"),
        (
            "convbench report reports/local/emulator/lenet5-n1.jsonl --format csv --format junit",
            "files for a spreadsheet and CI",
        ),
    ),
    "compare": (
        ("convbench compare before after", "two folders or files of records; exit status 1 if something got worse"),
        ("convbench compare before after --threshold 5% --strict", "exit status 3 if something is undecided"),
    ),
    "merge": (
        ("convbench merge both.jsonl before after", "one file of the records of two folders"),
        ("convbench merge fuzz_corpus.txt theirs.txt", "add the failing cases of somebody else, each bug once"),
    ),
    "profile": (
        ("convbench profile direct n1c8h16w16-k8r3s3-pad1", "conflicts, sectors and instructions by line"),
        (
            "convbench profile im2col_gemm n1c8h16w16-k8r3s3-pad1 --gpu l4 --blocks all --csv profile.csv",
            "times predicted for an L4; all blocks are counted; a table by line",
        ),
    ),
    "inspect": (
        ("convbench inspect direct n32c64h56w56-k64r3s3-pad1", "registers, spills, hot loop and bound on sm_90"),
        (
            "convbench inspect im2col_gemm n32c64h56w56-k64r3s3-pad1 --arch sm_80 --config tile=8 --json",
            "another architecture and config, as JSON for a script",
        ),
    ),
    "doctor": (("convbench doctor", "what is missing, and the command that installs it"),),
    "cache": (
        ("convbench cache", "where the compiled kernels are, and their size"),
        ("convbench cache clear", "remove them all"),
    ),
    "run": (
        ("convbench run program.py", "a Numba CUDA program of yours, without a GPU"),
        ("convbench run --checked --keep-going program.py", "all its races and wrong accesses; exit status 1 if any"),
    ),
}


def epilog(command: str) -> str:
    """The end of a command's --help. Its first character, a backspace, tells Click to keep the lines as they are."""
    lines = (f"  {example}\n      {meaning}" for example, meaning in EXAMPLES[command])
    return "\b\nExamples:\n" + "\n".join(lines)
