"""Launches of numba-cuda on the emulator, in the place of `_Kernel.launch`.

Numba-cuda's dispatcher, choice of signature and compilation stay unchanged. In fast mode as PTX, the launch stays
unchanged too, down to the calls of the driver (`modules`). In checked mode, and where there is no compiler for PTX, a
launch gives the kernel itself to the emulator, which then knows the names and shapes of its arrays.
"""

from collections.abc import Callable, Iterator
from functools import cache, wraps
from typing import Any

import numpy as np
from cuda.core._utils.cuda_utils import CUDAError
from numba.cuda import args as hints
from numba.cuda import codegen, dispatcher
from numba.cuda.cudadrv import devicearray, driver

from convbench.emulator.errors import (
    CompilationError,
    EmulatorError,
    KernelFault,
    LaunchError,
    OrderDependenceError,
    UnsupportedError,
)
from convbench.emulator.install import host_driver, host_memory, modules, quick, settings
from convbench.emulator.install.captures import reaches_other_memory
from convbench.emulator.install.findings import FINDINGS
from convbench.emulator.install.habits import early_return, note_of
from convbench.emulator.install.options import Options
from convbench.emulator.install.profiles import PROFILES
from convbench.emulator.install.told import Launch, explain
from convbench.emulator.limits import MAX_THREADS
from convbench.emulator.ptx.numba_code import with_lines
from convbench.emulator.ready import Again

_original_init = dispatcher._Kernel.__init__
_original_bind = dispatcher._Kernel.bind
_original_launch = dispatcher._Kernel.launch
_original_load = dispatcher.CUDACache.load_overload
_original_call = dispatcher._LaunchConfiguration.__call__
_original_add = dispatcher.CUDADispatcher.add_overload

_returns_early: set[Any] = set()  # kernels whose threads may return before a barrier, which was noted
_known: set[Any] = set()  # kernels that were looked at: see `captures`
_as_ptx: set[Any] = set()  # kernels that checked mode must run as PTX


class _Function:
    """A stand-in for a function on a device, without any properties of its machine code."""

    max_threads_per_block = maxthreads = MAX_THREADS

    @property
    def kernel(self) -> "_Function":
        return self

    attributes = attrs = kernel

    def __getattr__(self, name: str) -> Any:
        raise UnsupportedError(
            f"{name} of a function is a property of a GPU's machine code, which needs NVIDIA's compiler: "
            'pip install "convbench[cu13]" (or [cu12])'
        )


@cache
def _give_lines() -> None:
    """Let numba-cuda link code with lines from now on."""
    for owner, name, value in with_lines():
        setattr(owner, name, value)


@wraps(_original_init)
def _init(kernel: Any, py_func: Any, argument_types: Any, **options: Any) -> None:
    if settings.options().profile:
        _give_lines()
        options["lineinfo"] = not options.get("debug")  # which has lines of its own
    kernel.targetoptions = options
    if settings.fix_code() == "ptx":
        _original_init(kernel, py_func, argument_types, **options)
        return
    write_ptx = codegen.CUDACodeLibrary.get_asm_str
    codegen.CUDACodeLibrary.get_asm_str = lambda library: ""  # it is only searched for libraries to link
    try:
        _original_init(kernel, py_func, argument_types, **options)
    finally:
        codegen.CUDACodeLibrary.get_asm_str = write_ptx


def _bind(kernel: Any) -> None:
    """`_Kernel.bind`: link the kernel. Checked mode does not need what is linked."""
    if settings.fix_code() == "ptx" and not settings.options().checked:
        _original_bind(kernel)


def _load(cache: Any, *given: Any) -> Any:
    """`CUDACache.load_overload`: a kernel from the disk has no source, which checked mode and LLVM code need."""
    options = settings.options()
    if options.checked or options.profile or settings.fix_code() == "llvm":  # nor has it lines, for a profile
        return None
    return _original_load(cache, *given)


class _Types(tuple[Any, ...]):
    """The types of a signature, which compute their hash once: each launch of a declared kernel asks for it."""

    def __hash__(self) -> int:
        found: int | None = self.__dict__.get("kept_hash")
        if found is None:
            found = self.__dict__["kept_hash"] = super().__hash__()
        return found


def _add_overload(kernels: Any, kernel: Any, argument_types: Any) -> None:
    """`CUDADispatcher.add_overload`."""
    _original_add(kernels, kernel, _Types(argument_types))


def _call(configuration: Any, *args: Any) -> Any:
    """`_LaunchConfiguration.__call__`: an error of the emulator keeps no frames of numba-cuda."""
    __tracebackhide__ = True
    try:
        return _original_call(configuration, *args)
    except EmulatorError as error:
        raise error.with_traceback(None) from error.__cause__


def _launch(kernel: Any, args: Any, griddim: Any, blockdim: Any, stream: Any = 0, sharedmem: int = 0) -> None:
    """`_Kernel.launch`."""
    options = settings.options()
    function = getattr(kernel, "py_func", None)
    name = function.__name__ if function is not None else str(kernel.entry_name)
    launch = Launch(name, settings.count(name), tuple(griddim), tuple(blockdim), function)
    only = options.only
    checks = options.checked and (only is None or (name, launch.number) == (only.kernel, only.number))
    is_own = function is not None and function.__code__.co_filename == devicearray.__file__
    if is_own:
        checks = False  # `array[index] = value`, whose threads all write the same value
    run = _Run(kernel, args, stream, sharedmem, launch, options)
    try:
        if checks:
            run.checked()
        else:
            run.fast(profiles=not is_own and PROFILES.wants(kernel, launch, options))
    except (KernelFault, OrderDependenceError) as error:
        launch.arguments.update(_named(function, args))
        explain(error, launch)
        for one in (error, *getattr(error, "others", ())):
            FINDINGS.add(one, launch)
        if not options.keep_going:
            raise
        run.go_on()
    except UnsupportedError as refused:
        if isinstance(refused.__cause__, TypeError):  # of an argument that its declared type cannot take
            raise refused.__cause__ from None
        if not (checks and options.keep_going) or isinstance(refused, CompilationError):
            raise
        FINDINGS.add(UnsupportedError(f"{name} was not checked: {refused}"), launch, note=True)
        run.go_on()
    except LaunchError as refused:
        raise CUDAError(f"CUDA_ERROR_INVALID_VALUE: {refused}") from refused  # in the driver's words


class _Run:
    """One launch, which may run again after a fault."""

    def __init__(
        self, kernel: Any, args: Any, stream: Any, shared_bytes: int, launch: Launch, options: Options
    ) -> None:
        self._kernel, self._args, self._stream, self._shared_bytes = kernel, args, stream, shared_bytes
        self._launch, self._options = launch, options
        self._before: list[tuple[Any, Any]] = []

    def fast(self, *, profiles: bool = False) -> None:
        """Run it without checks; count it before with `profiles`."""
        if settings.fix_code() == "llvm":
            self._whole(checked=False)
        else:
            self._linked(profiles=profiles)

    def checked(self) -> None:
        """Run it with checks. Raises KernelFault, OrderDependenceError and what `Emulator.launch` raises."""
        kernel = key = self._kernel
        if settings.fix_code() == "ptx" and key not in _known:
            _known.add(key)
            if reaches_other_memory(kernel):
                _as_ptx.add(key)
        if getattr(kernel, "py_func", None) is None or key in _as_ptx:
            self._linked(checked=True)
            return
        self._remember()
        try:
            if not self._is_clean(may_return=key in _returns_early):
                _returns_early.add(key)
                self._restore()
                self._is_clean(may_return=True)
        except UnsupportedError as refused:
            if settings.fix_code() != "ptx" or isinstance(refused.__cause__, TypeError):
                raise
            _as_ptx.add(key)
            self._restore()
            self._linked(checked=True)

    def _is_clean(self, *, may_return: bool) -> bool:
        """Run it with checks. Returns False if threads return before a barrier, which is noted and no fault yet."""
        try:
            self._whole(checked=True, may_return=may_return)
        except KernelFault as fault:
            note = early_return(fault)
            if note is None or self._options.strict_return or may_return:
                raise
            self._note(note)
            return False
        return True

    def _note(self, note: KernelFault) -> None:
        self._launch.arguments.update(_named(self._launch.function, self._args))
        FINDINGS.add(note, self._launch, note=True)

    def go_on(self) -> None:
        """After a fault, let the program go on with the results of a run without checks, as far as there are any."""
        self._restore()
        try:
            self.fast()
        except KernelFault as fault:
            explain(fault, self._launch)

    def _linked(self, *, checked: bool = False, profiles: bool = False) -> None:
        """Run the kernel's PTX, as numba-cuda has linked it."""
        kernel, launch, again = self._kernel, self._launch, None
        if checked:
            _original_bind(kernel)
        elif (
            not profiles
            and (found := quick.find(kernel, self._args, launch.grid, launch.block, self._shared_bytes)) is not None
        ):
            if quick.run(found, _parameters(kernel)):
                return
            again = Again(found.key, len(found.words))
        counted = launch if profiles else None
        with modules.launching(_parameters(kernel), checked=checked, again=again, counted=counted):
            _original_launch(kernel, self._args, launch.grid, launch.block, self._stream, self._shared_bytes)

    def _whole(self, *, checked: bool, may_return: bool = False) -> None:
        """Give the kernel itself to the emulator, with its arguments on the host."""
        kernel, launch, after = self._kernel, self._launch, list[Any]()
        if (given := len(self._args)) != (taken := len(kernel.argument_types)):
            raise TypeError(f"{launch.kernel} takes {taken} arguments and was given {given}")
        values = []
        for kind, value in zip(kernel.argument_types, self._args, strict=True):
            for extension in reversed(kernel.extensions):
                kind, value = extension.prepare_args(kind, value, stream=self._stream, retr=after)
            values.append(_value(value))
        emulator = self._options.emulator("llvm", checked=checked, may_return=may_return)
        declared = tuple(kernel.argument_types)
        try:
            emulator.launch(kernel, launch.grid, launch.block, *values, shared_bytes=self._shared_bytes, types=declared)
        finally:
            for remark in emulator.remarks:
                self._note(note_of(remark))
        for done in after:
            done()

    def _remember(self) -> None:
        arrays = list(_arrays(tuple(map(_value, self._args))))
        self._before = [(array, array.copy()) for array in arrays if array.flags.writeable]

    def _restore(self) -> None:
        for array, content in self._before:
            array[...] = content


def _arrays(value: Any) -> Iterator[Any]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _arrays(item)


def _value(argument: Any) -> Any:
    if isinstance(argument, hints.In):
        value = host_memory.on_host(argument.value)
        return value.copy() if value is argument.value else value  # what the kernel writes there is lost
    if isinstance(argument, tuple):
        values = tuple(map(_value, argument))
        return values if type(argument) is tuple else type(argument)(*values)
    return host_memory.on_host(argument.value if isinstance(argument, hints.ArgHint) else argument)


def _named(function: Any, args: Any) -> dict[str, Any]:
    """The arguments by the names of the parameters, with arrays as NumPy sees them."""
    if function is None:
        return {}
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return dict(zip(names, map(_value, args), strict=False))


def _parameters(kernel: Any) -> tuple[str, ...]:
    """What `_words` finds, kept with the kernel."""
    known = kernel.__dict__.get("_parameters_of_words")
    if known is None:
        known = kernel._parameters_of_words = _words(kernel)
    return known  # type: ignore[no-any-return]


def _words(kernel: Any) -> tuple[str, ...]:
    """The name of a kernel, and the names of its parameters' words."""
    function = getattr(kernel, "py_func", None)
    if function is None:
        return ()
    found: list[str] = [function.__name__]
    for name, kind in zip(function.__code__.co_varnames, kernel.argument_types, strict=False):
        words = 5 + 2 * kind.ndim if hasattr(kind, "ndim") else 1
        if hasattr(kind, "types") or str(kind).startswith("complex"):
            break  # a tuple: the names of what follows are not worth the count
        found += [name] * words
    return tuple(found)


def _refuse_module(context: Any, *_: Any) -> Any:
    raise UnsupportedError(
        'a module of PTX or machine code needs NVIDIA\'s compiler: pip install "convbench[cu13]" (or [cu12])'
    )


def install() -> None:
    """Make every kernel of this process run on the emulator."""
    host_driver.install()
    driver._to_core_stream = _to_core_stream
    patches: dict[tuple[Any, str], Callable[..., Any]] = {
        (dispatcher._Kernel, "__init__"): _init,
        (dispatcher._Kernel, "bind"): _bind,
        (dispatcher._Kernel, "launch"): _launch,
        (dispatcher.CUDACache, "load_overload"): _load,
        (dispatcher._LaunchConfiguration, "__call__"): _call,
        (dispatcher.CUDADispatcher, "add_overload"): _add_overload,
    }
    for (owner, name), function in patches.items():
        setattr(owner, name, function)
    if settings.fix_code() == "ptx":
        modules.install()
        return
    codegen.CUDACodeLibrary.get_cufunc = lambda library: _Function()
    driver.Context.create_module_image = _refuse_module


def _to_core_stream(stream: Any) -> Any:
    """`driver._to_core_stream`: every launch has ended when it returns, so that any stream is as good as another."""
    return stream or driver.Stream(driver.binding.CUstream(0))
