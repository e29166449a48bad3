"""Run somebody's program with the emulator installed, as `python script.py` and `python -m module` run it.

The program sees its own `sys.argv`, `sys.path` and `__main__`. Its exit status and traceback come through as they are.
"""

import importlib
import importlib.util
import os
import pkgutil
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

from convbench.emulator.errors import EmulatorError

WRONG_CALL = 2  # the exit status


class ProgramError(EmulatorError):
    """The program cannot be started."""


@dataclass(frozen=True)
class Program:
    """A program, and what is to be written of it.

    Parameters
    ----------
    name : path of a script; the name of a module with `is_module`
    arguments : its arguments
    is_module : whether to run it as `python -m` does
    json, junit : files to write findings to
    """

    name: str
    arguments: Sequence[str] = ()
    is_module: bool = False
    json: Path | None = None
    junit: Path | None = None


def run(program: Program, options: dict[str, Any]) -> NoReturn:
    """Install the emulator with `options` and run the program to its end. Ends as the program ends.

    The exit status is 1 if checked mode found a fault and the program itself ended well.
    """
    sys.excepthook = sys.__excepthook__  # Typer has set one of its own
    try:
        for name, value in options.items():  # for the processes that the program starts
            if value is not None:
                os.environ[f"CONVBENCH_{name.upper()}"] = str(value)
        door: Any = importlib.import_module("convbench.emulator.install")
        from convbench.emulator.install import report

        door(**options)
        reports = report.Report(program.json, program.junit)
        code, spec, path = code_of(program)
    except EmulatorError as error:
        print(f"convbench: {error}", file=sys.stderr)
        sys.exit(WRONG_CALL)
    main = ModuleType("__main__")
    main.__dict__.update(__file__=path, __spec__=spec, __builtins__=__builtins__)
    if spec is not None:
        main.__dict__.update(__package__=spec.parent, __loader__=spec.loader)
    sys.modules["__main__"] = main
    sys.argv[:] = [path if program.is_module else program.name, *program.arguments]
    sys.path.insert(0, str(Path.cwd()) if program.is_module else str(Path(path).resolve().parent))
    status: object = 0
    try:
        exec(code, main.__dict__)
    except SystemExit as ended:
        status = ended.code
        if status:
            raise
    except BaseException as error:
        status = 1
        _hide_our_frames(error)
        raise
    finally:
        worse = reports.end(ended_well=not status)
    sys.exit(worse)


def _hide_our_frames(error: BaseException) -> None:
    """Let Python's own report of an uncaught error begin at the program's first frame."""
    hook, own = sys.excepthook, error.__traceback__
    theirs = own.tb_next if own is not None else None

    def shown(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        error.__traceback__ = theirs
        hook(kind, error, theirs)

    sys.excepthook = shown


def code_of(program: Program) -> tuple[CodeType, ModuleSpec | None, str]:
    """The code of a program, its spec if it is a module, and its path. Raises ProgramError if it cannot be run."""
    return _module_code(program) if program.is_module else _script_code(program)


def _script_code(program: Program) -> tuple[CodeType, ModuleSpec | None, str]:
    """The code of a script, and its path. Raises ProgramError, and SyntaxError for one that is not Python."""
    path = Path(program.name)
    if path.is_dir() or zipfile.is_zipfile(path):
        return _packed_code(program)
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ProgramError(f"the script {program.name} cannot be read: {error.strerror}") from None
    absolute = os.path.join(Path.cwd(), program.name.removeprefix("./"))  # noqa: PTH118  (as Python spells it)
    return _compiled(source, absolute), None, absolute


def _packed_code(program: Program) -> tuple[CodeType, ModuleSpec, str]:
    """The code of `__main__.py` in a folder or a zip file, its spec and its path. Raises ProgramError."""
    place = os.path.join(Path.cwd(), program.name)  # noqa: PTH118  (as Python spells it)
    finder = pkgutil.get_importer(place)
    spec = finder.find_spec("__main__") if finder is not None else None
    loader: Any = spec.loader if spec is not None else None
    if spec is None or loader is None:
        kind = "folder" if Path(program.name).is_dir() else "zip file"
        raise ProgramError(f"{program.name} is a {kind}: name a script, or a module with -m; it has no __main__.py")
    path = str(spec.origin or Path(place, "__main__.py"))
    return _compiled(loader.get_source("__main__").encode(), path), spec, path


def _compiled(source: bytes, path: str) -> CodeType:
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        error.__traceback__ = None
        sys.excepthook(type(error), error, None)
        sys.exit(1)  # as Python does
    except ValueError as error:
        raise ProgramError(f"{path} is no Python: {error}") from None


def _module_code(program: Program) -> tuple[CodeType, ModuleSpec, str]:
    """The code of a module, its spec and its path. Raises ProgramError."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    spec = _found(program.name)
    if spec is None:
        raise ProgramError(f"there is no module {program.name}")
    if spec.submodule_search_locations is not None:
        spec = _found(f"{program.name}.__main__")
        if spec is None:
            raise ProgramError(f"{program.name} is a package without __main__, which cannot be run")
    loader: Any = spec.loader
    code = loader.get_code(spec.name) if hasattr(loader, "get_code") else None
    if code is None:
        raise ProgramError(f"the module {program.name} has no Python code to run")
    return code, spec, str(spec.origin)


def _found(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:
        raise ProgramError(f"there is no module {name}: {error}") from None
