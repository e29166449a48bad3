"""What is told and written when a program ends."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from convbench.emulator.install import profiles, settings
from convbench.emulator.install.findings import FINDINGS, MARK
from convbench.emulator.install.options import OptionError

FOUND, WRONG_CALL = 1, 2  # exit statuses


class Report:
    """The summary on standard error, and the files that were asked for. Raises OptionError for one in no folder.

    Two of the same name are an error, too.
    """

    def __init__(self, json: Path | None, junit: Path | None) -> None:
        self._json, self._junit = json, junit
        for option, path in (("--json", json), ("--junit", junit)):
            if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
                raise OptionError(f"{option} {path}: there is no such folder, or a folder is in its place")
        if json is not None and junit is not None and json.absolute() == junit.absolute():
            raise OptionError(f"--json and --junit both write {json}: one would be lost")
        atexit.unregister(tell_at_exit)  # the summary is told here
        self._mark = Path(tempfile.mkdtemp(prefix="convbench-"), "fault")
        os.environ[MARK] = str(self._mark)
        atexit.register(_remove, self._mark.parent)

    def end(self, *, ended_well: bool) -> int:
        """Tell and write what was found. Returns the exit status of a program that ended well itself."""
        launches, options = settings.launches(), settings.options()
        status = FOUND if FINDINGS.faults or self._mark.exists() else 0  # of this process, or of one that it started
        _remove(self._mark.parent)
        tell()
        if self._json is not None:
            counted = [profiles.to_json(*one) for one in profiles.PROFILES.found] if options.profile else None
            self._json.write_text(FINDINGS.to_json(launches, counted) + "\n", encoding="utf-8")
        if self._junit is not None:
            self._junit.write_bytes(FINDINGS.to_junit(launches))
        only = options.only
        if only is not None and launches.get(only.kernel, 0) < only.number:
            times = launches.get(only.kernel, 0)
            known = f"; it launched {', '.join(launches)}" if launches and not times else ""
            often = f"{times} time" if times == 1 else f"{times} times"
            print(f"convbench: --only {only}: the program launched {only.kernel} {often}{known}", file=sys.stderr)
            status = status or WRONG_CALL
        return status if ended_well else 0


def tell() -> None:
    """Print the summary on standard error, if a program that kept going has one, or there are notes; and profiles."""
    kept_going = settings.options().keep_going
    if FINDINGS.notes or (kept_going and FINDINGS.faults):
        sys.stdout.flush()
        print(FINDINGS.summary(settings.launches(), faults=kept_going), file=sys.stderr)
    if counted := profiles.PROFILES.summary():
        sys.stdout.flush()
        print(counted, file=sys.stderr)


def tell_at_exit() -> None:
    """Print the summary of a program that has installed the emulator itself."""
    if os.getpid() == _pid:
        tell()


def _remove(folder: Path) -> None:
    """Remove a folder of this process. A fork of it leaves the folder."""
    if os.getpid() == _pid:
        shutil.rmtree(folder, ignore_errors=True)


_pid = os.getpid()
