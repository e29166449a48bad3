"""Python imports this module at start if its folder is in PYTHONPATH, as in the processes that tests start."""

from convbench.emulator.install import llvm_launches as shim

shim.install()
