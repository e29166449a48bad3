#!/usr/bin/env bash
# Dask distributed 2026.8.0: `Client.run` of a plain function with wait=False does not run it, and may say nothing.
#
# `wait` is documented as "if the function is asynchronous whether or not to wait until that function finishes". With a
# plain function and wait=False every worker refuses ("Combination not supported"). The client is told so with the
# default of on_error alone. With on_error="ignore", and with on_error="return" too, which is to give the errors, the
# call returns None, as it does for a coroutine function that is run. So a message to all workers that is sent this way
# reaches none.
#
# Seen: plain raise: AssertionError, not run; plain return and ignore: None, not run; coroutine, all three: None, run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet "distributed==2026.8.0" "dask==2026.8.0"
cat > "$folder/find.py" <<'PYTHON'
import logging
import sys
import time
from pathlib import Path

from distributed import Client


def plain(path):
    Path(path).touch()


async def coroutine(path):
    Path(path).touch()


def told(client, function, on_error):
    """What the call gives, and whether the function has run."""
    path = Path(sys.argv[1]) / f"{function.__name__} {on_error}"
    try:
        given = str(client.run(function, str(path), wait=False, on_error=on_error))
    except BaseException as error:
        given = "AssertionError" if "AssertionError" in repr(error) else repr(error)
    time.sleep(1.0)
    return given, "run" if path.exists() else "not run"


logging.disable(logging.CRITICAL)
with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
    found = {
        (function.__name__, on_error): told(client, function, on_error)
        for function in (plain, coroutine) for on_error in ("raise", "return", "ignore")
    }
for (name, on_error), (given, ran) in found.items():
    print(f"{name}, on_error={on_error}: gives {given}, {ran}")
assert found["plain", "raise"] == ("AssertionError", "not run")
assert found["plain", "return"] == found["plain", "ignore"] == ("None", "not run"), "a plain function is run, or the error is told"
assert all(found["coroutine", how] == ("None", "run") for how in ("raise", "return", "ignore"))
PYTHON
"$folder/bin/python" "$folder/find.py" "$folder"
