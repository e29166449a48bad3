"""Launch a kernel on arrays in host memory, and spread its blocks over the cores of the machine."""

import gc
import os
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, get_args

import numpy.typing as npt

from convbench.emulator import schedule
from convbench.emulator.arguments import Arguments, flat
from convbench.emulator.building import Cache, Compiled, Linked, build
from convbench.emulator.counting.tally import Tally
from convbench.emulator.errors import KernelFault, LaunchError, OrderDependenceError, Remark, raise_first
from convbench.emulator.limits import Limits
from convbench.emulator.one_launch import How, OneLaunch
from convbench.emulator.orders import ORDERS, Order, Repetition
from convbench.emulator.ranges import WrittenMemory
from convbench.emulator.ready import LAUNCHES, Again, Given, Ready
from convbench.emulator.sources import Code, Source, default_code, machine, source_of
from convbench.emulator.workers import Shape

Dimensions = int | tuple[int, ...]
STEPS = 100_000_000  # default of `budget`
LONG_S = 0.5  # a run that takes longer is repeated in other orders without checks
MORE_SEEDS = 8  # of random orders that are tried if a result depends on the order, in case they show a race
PAYS = 3  # code for the integers of a launch alone is made when its runs took this many times as long as a compilation
MOST_NOTED = 1000  # launches with different integers whose times are counted for one kernel


class Emulator:
    """Runs Numba CUDA kernels on the CPU.

    Parameters
    ----------
    orders : the orders of threads and blocks in which a kernel is run. Hardware promises none of them, so all must give
        the same result. By default "forward" in fast mode, all three in checked mode
    seed : seed of the order "random"
    workers : number of blocks that run at once; by default the number of cores. In checked mode it is always 1, and no
        other number is taken
    compute_capability : the capability to compile for, whose limits a launch must keep
    checked : whether to check every access and every barrier; blocks then run one after another, and side by side if
        they wait for each other. In PTX an access is an instruction: an index beyond its axis that stays inside the
        array is no fault there
    budget : in checked mode, how many steps of loops a thread may take in one block; in both modes, how many turns of
        a loop threads may wait for others while nobody gets on
    keep_going : in checked mode, whether to go on behind a fault. The exception is the earliest fault, and its `others`
        are all further ones, one for each kind and line. A thread ends at a fault that is no race and no read of
        unwritten memory, and its block at the next barrier
    strict_index : in checked mode, whether a negative index is a fault. Numba counts it from the end, so that by
        default it is a remark (`remarks`). One below the beginning is out of bounds in any case
    strict_return : in checked mode, whether a thread that returns before a barrier at which others of its block wait is
        a fault, which is the default; otherwise the barrier waits for those that have not returned, as hardware does
        since Volta
    strict_store : in checked mode, whether it is a race that threads of several warps, or of several blocks, store one
        value in one place, with nothing that orders them, which is the default; otherwise it is a remark. Lanes of one
        warp may do so
    code : what runs: "ptx", the code that a GPU gets, with the values of the PTX ISA; or "llvm", numba-cuda's own code
        before NVVM. PTX needs NVIDIA's compiler (the extra `cu13` or `cu12`). By default
        "llvm" in checked mode, where more is known of arrays, and else `default_code()`

    Raises
    ------
    ValueError
        an option has a value that it cannot have, or that would have no effect beside the others.
    """

    def __init__(
        self,
        *,
        orders: Sequence[Order] | None = None,
        seed: int = 0,
        workers: int | None = None,
        compute_capability: tuple[int, int] = (9, 0),
        checked: bool = False,
        budget: int = STEPS,
        keep_going: bool = False,
        strict_index: bool = False,
        strict_return: bool | None = None,
        strict_store: bool | None = None,
        code: Code | None = None,
    ) -> None:
        _check_options(orders, workers, budget, code, checked=checked)
        if not checked:
            _require_checks(
                keep_going=keep_going or None, strict_index=strict_index or None,
                strict_return=strict_return, strict_store=strict_store,
            )  # fmt: skip
        self.orders = tuple((ORDERS if checked else ORDERS[:1]) if orders is None else orders)
        self.seed = seed
        self.checked = checked
        self.budget = budget
        self.keep_going, self.strict_index = keep_going, strict_index
        self.strict_return, self.strict_store = strict_return is not False, strict_store is not False
        self.remarks: list[Remark] = []  # of the last launch: what is no fault, and perhaps not meant
        self.code: Code = code or ("llvm" if checked else default_code())
        self.workers = 1 if checked else workers or os.cpu_count() or 1
        self.memory = WrittenMemory()
        self.limits = Limits(compute_capability)
        self.compile_s = 0.0
        self.again: Again | None = None  # of a caller that makes the next launch by `ready.LAUNCHES` itself
        self.tally: Tally | None = None  # of a profile: chooses the blocks that run, and gets what was counted

    def launch(
        self,
        kernel: Any,
        grid: Dimensions,
        block: Dimensions,
        *args: Any,
        shared_bytes: int = 0,
        types: tuple[Any, ...] | None = None,
        memory: Sequence[npt.NDArray[Any]] = (),
    ) -> None:
        """Run `kernel[grid, block, 0, shared_bytes](*args)` to its end.

        Parameters
        ----------
        kernel : the result of `numba.cuda.jit`
        grid, block : one to three dimensions
        args : NumPy arrays, which the kernel reads and writes in place; numbers; tuples and records of them
        shared_bytes : dynamic shared memory of a block
        types : Numba types to compile for; by default those that numba-cuda finds for `args`
        memory : in PTX, arrays that it reaches through pointers alone: in structures, in other arrays, or as constants

        Raises
        ------
        CompilationError
            it is no kernel, numba-cuda cannot compile it, or it cannot pass an argument; nothing ran.
        UnsupportedError
            the kernel or an argument needs something that the emulator lacks; nothing ran.
        LaunchError
            the hardware would refuse the launch; nothing ran.
        KernelFault
            the kernel made an error.
        OrderDependenceError
            another order of threads and blocks gave another result.
        Exception
            in PTX, any that a kernel with `debug=True` raises.

        Afterwards `remarks` has what is no fault and may be a mistake.
        """
        self.remarks = []
        grid_3, block_3 = _three(grid), _three(block)
        again = self.again
        if again is None and (plain := self._plain(kernel, grid_3, block_3, shared_bytes, types, memory, args)):
            key, given = plain
            if (ready := LAUNCHES.get(key)) is not None and ready.run(given):
                return
            again = Again(key, len(given.words))
        source = source_of(
            kernel, args, types, memory, self.limits.compute_capability, self.code,
            checked=self.checked, strict=self.strict_index,
        )  # fmt: skip
        name, arguments = source.name, source.arguments
        self.limits.check(name, grid_3, block_3, static=0, dynamic=shared_bytes, local=0, bounds=source.bounds)
        compiled = self._compiled(source, block_3, checked=self.checked)
        static, local = compiled.static_bytes, compiled.local_bytes
        self.limits.check(name, grid_3, block_3, static=static, dynamic=shared_bytes, local=local)
        arguments = Arguments(arguments.words, [*arguments.arrays, *compiled.variables])
        shape = Shape(grid_3, block_3, shared_bytes)
        found: list[KernelFault] = []

        def run(order: Order, *, checked: bool, muted: bool = False, seed: int = self.seed) -> None:
            this = compiled if checked == self.checked else self._compiled(source, block_3, checked=checked)
            this = self._specialised(this, source, block_3)
            loaded = len(schedule.run_blocks.signatures)
            start = time.perf_counter()
            found.extend(OneLaunch(self._how(), this, arguments, shape, muted=muted).run(order, seed))
            if loaded == len(schedule.run_blocks.signatures):  # else most of the time was that of loading the scheduler
                _note(this, arguments, time.perf_counter() - start)
            if this.raises is not None and this.memory is not None:
                this.raises(this.memory)

        first, *others = self.orders
        if not others:
            start = time.perf_counter()
            run(first, checked=self.checked)
            raise_first(found)
            if again is not None:
                ran = self._specialised(compiled, source, block_3)
                self._make_ready(again, compiled, ran, arguments, shape, time.perf_counter() - start)
            return
        start = time.perf_counter()
        with Repetition(name, arguments, self.memory) as repetition:
            repetition.first(first, partial(run, first, checked=self.checked))
            # the checks find the same in every order: after a long run they are not worth their time again
            is_quick = time.perf_counter() - start < LONG_S
            # variables of a module belong to its machine code: code without checks has others
            checked = self.checked and (is_quick or source.has_raw_pointer or bool(compiled.variables))
            if self.checked and not checked and not found:
                repetition.other_code(partial(run, first, checked=False, muted=True))
            try:
                for order in others:
                    this = partial(run, order, checked=checked or bool(found), muted=True)
                    repetition.again(order, this, lambda: not found)
            except OrderDependenceError:
                if self.checked and is_quick:  # there may be a race, which some order shows at its line
                    for seed in range(self.seed + 1, self.seed + 1 + MORE_SEEDS):
                        repetition.repeat(partial(run, "random", checked=True, muted=True, seed=seed))
                if not found:
                    raise
        raise_first(found)

    def _plain(
        self,
        kernel: Any,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        shared_bytes: int,
        types: tuple[Any, ...] | None,
        memory: Sequence[npt.NDArray[Any]],
        args: tuple[Any, ...],
    ) -> tuple[Hashable, Given] | None:
        """What tells a launch in fast mode from others, and what it is given; None if it is not plain."""
        is_fast = not self.checked and self.orders == _FORWARD and self.tally is None
        if not is_fast or types is not None or memory or not getattr(kernel, "_can_compile", False):
            return None
        given = flat(args)
        if given is None:
            return None
        key = (
            kernel, self.code, self.limits.compute_capability, grid, block, shared_bytes, self.budget,
            self.strict_return, self.workers, given.kinds,
        )  # fmt: skip

        def arguments() -> Arguments:
            capability = self.limits.compute_capability
            source = source_of(kernel, args, None, (), capability, self.code, checked=False, strict=False)
            return source.arguments

        return key, Given(given.words, given.extents, arguments)

    def _make_ready(
        self,
        again: Again,
        compiled: Compiled,
        ran: Compiled,
        arguments: Arguments,
        shape: Shape,
        seconds: float,
    ) -> None:
        """Keep what the next launch of the same kind needs: `ran` is `compiled`, or code for the integers alone."""
        if not Ready.is_possible(compiled):
            return
        key, words = again
        ready = LAUNCHES.get(key)
        if ready is None:
            ready = Ready(compiled, shape, words, lambda: PAYS * compiled.build_s, self.workers)
            LAUNCHES.keep(key, ready)
        if ran is not compiled:
            ready = ready.special(arguments.scalars, lambda: Ready(ran, shape, words, float, self.workers))
        ready.took(seconds)
        if ready.lacks_worker:
            ready.keep(OneLaunch(self._how(), ran, arguments, shape, muted=False).worker())

    def forget(self, array: npt.NDArray[Any]) -> None:
        """Declare that nobody has written the array: a checked kernel must write an element before it reads it."""
        if self.checked:
            self.memory.forget(array)

    def wrote(self, array: npt.NDArray[Any]) -> None:
        """Declare that the host has written the array, after a call of `forget`."""
        if self.checked:
            self.memory.wrote(array)

    def _how(self) -> How:
        return How(
            workers=self.workers, budget=self.budget, keep_going=self.keep_going, strict_return=self.strict_return,
            strict_store=self.strict_store, memory=self.memory, remarks=self.remarks, tally=self.tally,
        )  # fmt: skip

    def _specialised(self, compiled: Compiled, source: Source, block: tuple[int, int, int]) -> Compiled:
        """The code for a launch's integers alone, once the common code has run with them long enough to pay for it."""
        if compiled.pointers is None or compiled.watch is not None or compiled.tables is not None:
            return compiled
        scalars = source.arguments.scalars
        if compiled.ran_s.get(scalars, 0.0) < PAYS * compiled.build_s:
            return compiled
        return self._compiled(source, block, checked=False, scalars=scalars)

    def _compiled(
        self, source: Source, block: tuple[int, int, int], *, checked: bool, scalars: tuple[int, ...] | None = None
    ) -> Compiled:
        counted = self.tally is not None
        key = (*source.key(checked=checked), *(("counted",) if counted else ()))

        def linked() -> Linked:
            return _LINKED.get(key, lambda: source.linked(key, checked=checked, counted=counted))

        def made() -> Compiled:
            start = time.perf_counter()
            try:
                with _no_collections():
                    return build(linked(), machine(), block, scalars)
            finally:
                self.compile_s += time.perf_counter() - start

        return _CACHE.get((*key, block, scalars), made)


def _note(compiled: Compiled, arguments: Arguments, seconds: float) -> None:
    """Count the time that common code of PTX has run, for `Emulator._specialised`."""
    if compiled.pointers is None or compiled.watch is not None or compiled.scalars is not None:
        return
    if len(compiled.ran_s) > MOST_NOTED:
        compiled.ran_s.clear()
    scalars = arguments.scalars
    compiled.ran_s[scalars] = compiled.ran_s.get(scalars, 0.0) + seconds


@contextmanager
def _no_collections() -> Iterator[None]:
    """Switch off garbage collection: compiling makes millions of objects, most of which live until it is done."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


_FORWARD: tuple[Order, ...] = ORDERS[:1]
_CACHE: Cache[Compiled] = Cache()
_LINKED: Cache[Linked] = Cache()


def _check_options(
    orders: Sequence[Order] | None, workers: int | None, budget: int, code: Code | None, *, checked: bool
) -> None:
    """Raise ValueError for a value that an option cannot have."""
    if orders is not None and (isinstance(orders, str) or not orders or any(order not in ORDERS for order in orders)):
        raise ValueError(f"orders is a list of one or more of {', '.join(ORDERS)}, not {orders!r}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers is a number of blocks that run at once, at least 1, not {workers!r}")
    if checked and workers not in (None, 1):
        raise ValueError(
            f"workers={workers} has no effect with checked=True, which runs one block at a time: leave it out"
        )
    if budget < 1:
        raise ValueError(f"budget is a number of steps of loops, at least 1, not {budget!r}")
    if code not in (None, *get_args(Code)):
        raise ValueError(f"code is one of {', '.join(get_args(Code))}, not {code!r}")


def _require_checks(**given: bool | None) -> None:
    """Raise ValueError if one of these options was given: each says what checked mode does with a fault."""
    for option, value in given.items():
        if value is not None:
            raise ValueError(
                f"{option}={value} needs checked=True: without checks there are no faults that it is about"
            )


def _three(dimensions: Dimensions) -> tuple[int, int, int]:
    given = (dimensions,) if isinstance(dimensions, int) else tuple(map(int, dimensions))
    if not 1 <= len(given) <= 3:
        raise LaunchError(f"a grid or block has one to three dimensions, not {given}")
    x, y, z = (*given, 1, 1)[:3]
    return x, y, z


def launch(
    kernel: Any, grid: Dimensions, block: Dimensions, *args: Any, shared_bytes: int = 0, checked: bool = True
) -> None:
    """Run `kernel[grid, block, 0, shared_bytes](*args)` on the CPU, with checks. `Emulator` has more options.

    Parameters
    ----------
    kernel : the result of `numba.cuda.jit`
    grid, block : one to three dimensions
    args : NumPy arrays, which the kernel reads and writes in place; numbers; tuples and records of them
    shared_bytes : dynamic shared memory of a block
    checked : whether to check every access and barrier, and to try every order of threads; if False, run fast

    Raises
    ------
    CompilationError, UnsupportedError, LaunchError
        it is no kernel, or numba-cuda, the emulator or the hardware could not run it; nothing ran.
    KernelFault, OrderDependenceError
        the kernel made an error, or its result depends on the order of threads.
    """
    Emulator(checked=checked).launch(kernel, grid, block, *args, shared_bytes=shared_bytes)
