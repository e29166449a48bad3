"""One writer at a time: the lock of a file, which is another file beside it, `.NAME.lock`.

The operating system gives the lock back when the process that holds it ends, in whatever way. On a file system without
locks (some network file systems), filelock marks the file itself as locked, and warns.
"""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from convbench.errors import FileInUseError, shortened

TELL_S = 1.0  # a wait that is no longer than this needs no word
SIGN = "convbench: "  # a lock file that begins so says who holds the lock


class HeldError(Exception):
    """Another holds the lock. `holder` says who."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"it is held by {holder}")
        self.holder = holder


def tell_user(sentence: str) -> None:
    """Tell the user a sentence on standard error."""
    print(f"convbench: {sentence}", file=sys.stderr, flush=True)


@contextmanager
def one_writer(path: Path, *, wait_s: float = 0.0, tell: Callable[[str], None] = tell_user) -> Iterator[None]:
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
    place = path.resolve()
    with ExitStack() as lock:
        try:
            lock.enter_context(
                held(
                    place.with_name(f".{place.name}.lock"),
                    wait_s=wait_s,
                    waits=lambda holder: tell(f"waiting for {path}, which {holder} writes"),
                )
            )
        except HeldError as error:
            waited = f" for {wait_s:g} s" if wait_s else ""
            raise FileInUseError(
                f"{path} is being written by {error.holder}{waited}, and a file has one writer at a time"
            ) from None
        yield


@contextmanager
def held(
    file: Path, *, wait_s: float = 0.0, waits: Callable[[str], None] = lambda _holder: None, note: str = ""
) -> Iterator[None]:
    """Hold a lock file while this context lasts. It is removed at the end.

    Parameters
    ----------
    file : the lock file, which need not exist; its folder must
    wait_s : how long to wait for the one who holds it, in seconds
    waits : called with who holds it when the wait is longer than a second
    note : what the holder does, for those who find it held

    Raises
    ------
    HeldError
        another process, or another thread of this one, holds it.
    OSError
        the folder cannot be written.
    """
    from filelock import FileLock, Timeout  # takes long to import, and commands that only read do not need it

    lock = FileLock(file)
    try:
        try:
            lock.acquire(timeout=min(wait_s, TELL_S))
        except Timeout:
            if wait_s <= TELL_S:
                raise
            waits(_holder(file))
            lock.acquire(timeout=wait_s - TELL_S)
    except Timeout:
        raise HeldError(_holder(file)) from None
    try:
        _sign(file, note)
        ours = file.stat()
        yield
    finally:
        with suppress(OSError):  # the folder may be gone, and may be there again with the lock of another
            if os.path.samestat(file.stat(), ours):
                file.unlink()  # who waits for a lock file that was removed makes a new one
        lock.release()


def _sign(file: Path, note: str) -> None:
    """Write into the lock file who holds it, unless filelock itself needs what is in it."""
    with suppress(OSError, UnicodeDecodeError):  # a full disk: the lock holds all the same, without a name
        known = file.read_text(encoding="utf-8")
        if not known or known.startswith(SIGN):
            now = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
            who = f"process {os.getpid()} on {socket.gethostname()}, since {now}" + (f": {note}" if note else "")
            file.write_text(f"{SIGN}{who}\n", encoding="utf-8", errors="replace")


def _holder(file: Path) -> str:
    """Who holds the lock, as far as the lock file tells."""
    with suppress(OSError, UnicodeDecodeError):
        text = file.read_text(encoding="utf-8")
        if text.startswith(SIGN):
            return shortened(text.removeprefix(SIGN).strip())
    return "another process"
