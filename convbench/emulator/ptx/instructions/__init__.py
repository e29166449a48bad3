"""The instructions of PTX: each module has functions that lower some, and enters them into the `table`.

`integers`, `logic`, `comparison`, `floats` and `conversions` compute. `accesses` moves data and has the atomics.
`control` has branches, calls, barriers and what warps do together; `mbarriers` has
barriers in memory. `matrices`, `wmma` and `warpgroups`
have matrix products, whose operands `blocks` moves.
"""

from convbench.emulator.ptx.instructions import (  # noqa: F401  (importing them fills the table)
    accesses,
    comparison,
    control,
    conversions,
    floats,
    integers,
    logic,
    matrices,
    mbarriers,
    warpgroups,
    wmma,
)
from convbench.emulator.ptx.instructions.control import block_name, let_others_run, unset
from convbench.emulator.ptx.instructions.table import handler_of

__all__ = ["block_name", "handler_of", "let_others_run", "unset"]
