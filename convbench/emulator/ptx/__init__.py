"""Run PTX, the code that a GPU gets: PTX in, LLVM IR out.

The text of a module enters, Numba's (`numba_code`) or anyone's. It is parsed (`parser`, into what `syntax` has), and
each instruction of a kernel is lowered by the function that the table of `instructions` has for it. `fusion` fuses sums
of products first, as ptxas does. `flow` finds where addresses come from, and `memory` compares each with the bounds of
its array. `emitter` and `body` write the lines. What leaves is a module with the same markers as one that `retarget`
has made, which is woven, compiled and scheduled like that.
"""
