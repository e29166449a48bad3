"""The folder of the emulator works without the rest of the package, and without what only the rest needs."""

import re
import shutil
import tomllib

from support.programs import ROOT, python

OWN = {"numba-cuda", "numba", "llvmlite", "numpy", "packaging", "cuda-core"}  # what `layout.md` says it needs

PROGRAM = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1:]))  # an import of one of these fails
import numpy as np
from numba import cuda

@cuda.jit
def twice(x):
    x[cuda.grid(1)] *= 2

x = cuda.to_device(np.arange(32.0))
twice[1, 32](x)
print(x.copy_to_host().sum(), sorted({name.split(".")[1] for name in sys.modules if name.startswith("convbench.")}))
"""


def test_the_folder_alone_runs_programs(tmp_path):
    shutil.copytree(ROOT / "convbench" / "emulator", tmp_path / "convbench" / "emulator")
    (tmp_path / "convbench" / "__init__.py").touch()
    (tmp_path / "program.py").write_text(PROGRAM)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=\[]", line)[0] for line in project["dependencies"]}
    assert needed >= OWN
    others = [name.replace("-", "_") for name in needed - OWN - {"ml-dtypes"}]  # NumPy's own packages may import this
    others[others.index("nvidia_ml_py")] = "pynvml"
    for mode in ((), ("--checked",)):
        words = "-m", "convbench.emulator", *mode, "program.py", *others
        ended = python(*words, folder=tmp_path, PYTHONPATH=str(tmp_path))
        assert ended.out == "992.0 ['emulator']\n", ended.err
