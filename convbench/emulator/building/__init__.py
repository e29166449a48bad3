"""Make machine code of a kernel: link it, then build it for each shape of block, and keep what was made."""

from convbench.emulator.building.build import build
from convbench.emulator.building.cache import Cache
from convbench.emulator.building.kernels import Compiled, Linked, Watch
from convbench.emulator.building.link import link, link_ptx
from convbench.emulator.building.symbols import bind

__all__ = ["Cache", "Compiled", "Linked", "Watch", "bind", "build", "link", "link_ptx"]
