"""One writer at a time: the lock of a file, which is another file beside it, `.NAME.lock`.

The operating system gives the lock back when the process that holds it ends, in whatever way. On a file system without
locks (some network file systems), filelock marks the file itself as locked, and warns.
"""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from convbench.errors import FileInUseError

TELL_S = 1.0  # a wait that is no longer than this needs no word
SIGN = "convbench: "  # a lock file that begins so says who holds the lock


def _tell(sentence: str) -> None:
    print(f"convbench: {sentence}", file=sys.stderr, flush=True)


@contextmanager
def one_writer(path: Path, *, wait_s: float = 0.0, tell: Callable[[str], None] = _tell) -> Iterator[None]:
    """Keep other processes, and other threads of this one, from writing a file while this context lasts.

    Parameters
    ----------
    path : the file, which need not exist; its folder must. A link stands for its target.
    wait_s : how long to wait for another writer, in seconds
    tell : called with a sentence when the wait is longer than a second

    Raises
    ------
    FileInUseError
        another writer has the file; the message says who.
    OSError
        the folder cannot be written.
    """
    from filelock import FileLock, Timeout  # takes long to import, and commands that only read do not need it

    place = path.resolve()
    file = place.with_name(f".{place.name}.lock")
    lock = FileLock(file)
    try:
        try:
            lock.acquire(timeout=min(wait_s, TELL_S))
        except Timeout:
            if wait_s <= TELL_S:
                raise
            tell(f"waiting for {path}, which {_holder(file)} writes")
            lock.acquire(timeout=wait_s - TELL_S)
    except Timeout:
        waited = f" for {wait_s:g} s" if wait_s else ""
        raise FileInUseError(
            f"{path} is being written by {_holder(file)}{waited}, and a file has one writer at a time"
        ) from None
    try:
        _sign(file)
        ours = file.stat()
        yield
    finally:
        with suppress(OSError):  # the folder may be gone, and may be there again with the lock of another
            if os.path.samestat(file.stat(), ours):
                file.unlink()  # who waits for a lock file that was removed makes a new one
        lock.release()


def _sign(file: Path) -> None:
    """Write into the lock file who holds it, unless filelock itself needs what is in it."""
    with suppress(OSError, UnicodeDecodeError):  # a full disk: the lock holds all the same, without a name
        known = file.read_text(encoding="utf-8")
        if not known or known.startswith(SIGN):
            now = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
            who = f"process {os.getpid()} on {socket.gethostname()}, since {now}"
            file.write_text(f"{SIGN}{who}\n", encoding="utf-8")


def _holder(file: Path) -> str:
    """Who holds the lock, as far as the lock file tells."""
    with suppress(OSError, UnicodeDecodeError):
        text = file.read_text(encoding="utf-8")
        if text.startswith(SIGN):
            return text.removeprefix(SIGN).strip()
    return "another process"
