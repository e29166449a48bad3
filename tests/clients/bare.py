"""Import a module of a package without what the package imports beside it.

The kernels of NeMo and speechbrain lie in packages that import a training framework each. The folders are packages here
whose own `__init__` does not run; the modules with kernels are imported as they are.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType


def folder(name):
    """Make a package of a folder, and of all folders above it, without their `__init__`."""
    top, *rest = name.split(".")
    place = next(path for path in (Path(entry, top) for entry in sys.path) if path.is_dir())
    for depth in range(len(rest) + 1):
        package = ".".join([top, *rest[:depth]])
        if package not in sys.modules:
            module = sys.modules[package] = ModuleType(package)
            module.__path__ = [str(place.joinpath(*rest[:depth]))]


def module(name):
    """Import a module, for which each folder above it is bare."""
    folder(name.rpartition(".")[0])
    return importlib.import_module(name)


def stand_in(name, **values):
    """A module with these values in the place of one that is not needed."""
    found = sys.modules[name] = ModuleType(name)
    found.__dict__.update(values)
