"""The command `cache`: the compiled kernels on disk."""

import json
from typing import Annotated

import typer

from convbench.cli import completion, options
from convbench.errors import ConvbenchError, did_you_mean

ACTIONS = "info", "clear"


def cache(
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help="info: where they are, and their size. clear: remove them all.",
            autocompletion=completion.one_of(ACTIONS),
        ),
    ] = "info",
    json_: options.JsonOption = False,
) -> None:
    """Show or remove the compiled kernels that the emulator keeps on disk for the next process.

    They are made again when they are needed. CONVBENCH_CACHE_SIZE limits their size.
    """
    from convbench.emulator import cache_folder

    if action not in ACTIONS:
        raise ConvbenchError(f"cache {action!r} is neither info nor clear{did_you_mean(action, ACTIONS)}")
    options.keep_cache_within(None)
    try:
        found = cache_folder.clear() if action == "clear" else cache_folder.usage()
    except RuntimeError as error:
        raise ConvbenchError(f"the folder of compiled kernels is not known: {error}; set XDG_CACHE_HOME") from None
    most = cache_folder.limit()
    if json_:
        told = {"action": action, "folder": str(found.folder), "kernels": found.kernels, "bytes": found.bytes}
        print(json.dumps(told | {"limit": most}))
    else:
        verb = "removed " if action == "clear" else ""
        kernels = "1 compiled kernel" if found.kernels == 1 else f"{found.kernels:,} compiled kernels"
        print(f"{found.folder}: {verb}{kernels}, {_size(found.bytes)} of at most {_size(most)}")


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
