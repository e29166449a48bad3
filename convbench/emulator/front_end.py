"""Get a kernel's LLVM IR for NVVM from numba-cuda's own front end, without a driver, a GPU or NVVM.

numba-cuda has no public function that returns the IR of a kernel without a device, so this module uses its internals.
It compiles with typing and target contexts of its own, so that a compilation for a real GPU never finds code that was
compiled here. It also chooses the compute capability, and has every array index checked against its axis.
"""

import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from packaging.specifiers import SpecifierSet

from convbench.emulator import powers, shortcuts
from convbench.emulator.checks import unset
from convbench.emulator.checks.index_checks import IndexChecks, keep_negative
from convbench.emulator.compilation import why_not
from convbench.emulator.errors import CompilationError, UnsupportedError, VersionError
from convbench.emulator.patching import patched

NUMBA_CUDA = SpecifierSet(">=0.30.4,<0.31")
NUMBA = SpecifierSet(">=0.68,<0.69")
LLVMLITE = SpecifierSet(">=0.50,<0.51")
NUMPY = SpecifierSet(">=2.0,<2.5")

DEVICE_FUNCTIONS_KEPT = 100  # their compiled code refers to them, so they would not be freed otherwise

Overloads = OrderedDict[Any, OrderedDict[Any, Any]]  # compiled device functions, by dispatcher and types

_lock = threading.RLock()  # held while a kernel compiles, because numba-cuda is patched meanwhile


@dataclass(frozen=True)
class Lowered:
    """A kernel as LLVM IR for NVVM: the modules to link, and the name of the kernel in them."""

    modules: list[str]
    entry: str


def check_versions() -> None:
    """Raise VersionError if an installed package is not a version that the emulator was written for."""
    for package, wanted, reason in (
        ("numba-cuda", NUMBA_CUDA, "the emulator uses its internals, which other versions have moved"),
        ("numba", NUMBA, "numba-cuda shares its types and its intermediate representation"),
        ("llvmlite", LLVMLITE, "the emulator reads and writes the text of its LLVM"),
        ("numpy", NUMPY, "numba-cuda cannot compile a kernel with another"),
    ):
        found = version(package)
        if not wanted.contains(found, prereleases=True):
            raise VersionError(f"{package} {found} is installed; the emulator needs {package}{wanted}, for {reason}")


def lower(
    kernel: Any, types: tuple[Any, ...], *, compute_capability: tuple[int, int], checked: bool, strict: bool
) -> Lowered:
    """The IR of `kernel`, a `numba.cuda.jit` dispatcher, for arguments of these Numba types.

    With `checked`, reads of variables that no path has set are found. With `strict`, a negative index is out of bounds.
    Otherwise it counts from the end as in Python.

    Raises
    ------
    CompilationError
        numba-cuda fails in a way of its own.
    UnsupportedError
        the kernel needs `debug=True` or links foreign code.
    numba.core.errors.NumbaError
        numba-cuda cannot compile the kernel, not even for a GPU.
    """
    check_versions()
    # here, because other versions of numba-cuda may have moved these, and Numba's simulator lacks the compiler
    from numba.cuda import types as numba_types
    from numba.cuda.compiler import _compile_pyfunc_with_fixup
    from numba.cuda.core.errors import NumbaDebugInfoWarning, NumbaError

    options = kernel.targetoptions
    if options.get("debug"):
        raise UnsupportedError(f"{kernel.py_func.__name__}: debug=True is not emulated; the checked mode sees more")
    if options.get("link"):
        raise UnsupportedError(f"{kernel.py_func.__name__}: linked code is not emulated: {options['link']}")
    with _lock, shortcuts.taken(), _compiler_for(compute_capability, checked, strict), warnings.catch_warnings():
        # the source of a kernel typed at a prompt cannot be found, which is no reason for a warning
        warnings.simplefilter("ignore", NumbaDebugInfoWarning)
        try:
            library, _ = _compile_pyfunc_with_fixup(
                kernel.py_func,
                numba_types.void(*types),
                debug=False,
                lineinfo=True,
                device=False,
                fastmath=bool(options.get("fastmath")),
                cc=compute_capability,
                opt=True,
                abi="numba",
            )
        except NumbaError:
            raise
        except Exception as error:
            raise CompilationError(
                f"{kernel.py_func.__name__}: numba-cuda {version('numba-cuda')} fails to compile it: "
                f"{why_not(kernel, error)}"
            ) from error
        return Lowered(list(library.llvm_strs), library._entry_name)  # noqa: SLF001  (numba-cuda has no public name for it)


class _Contexts:
    """The emulator's own typing and target contexts, and the compiled device functions that belong to them."""

    def __init__(self) -> None:
        # here, because Numba's simulator lacks these modules
        from numba.cuda import bf16, fp8, fp16  # noqa: F401  (they declare functions in the public contexts)
        from numba.cuda.compiler import ExternFunction
        from numba.cuda.descriptor import cuda_target
        from numba.cuda.target import CUDATargetContext, CUDATypingContext

        public = cuda_target.typing_context, cuda_target.target_context

        class TypingContext(CUDATypingContext):  # type: ignore[misc]
            def resolve_value_type(typing, value: Any) -> Any:  # noqa: N805
                if isinstance(value, ExternFunction) and typing._lookup_global(value) is None:
                    # `declare_device` registers functions in the public contexts only
                    typing._insert_global(value, public[0]._lookup_global(value))  # noqa: SLF001
                    self.target._defns[value] = public[1]._defns[value]  # noqa: SLF001
                return super().resolve_value_type(value)

        class CheckedTargetContext(CUDATargetContext):  # type: ignore[misc]
            enable_boundscheck = True

        self.typing = TypingContext()
        self.target = CheckedTargetContext(self.typing)
        self.overloads: Overloads = OrderedDict()  # least recently used first


_contexts: dict[tuple[tuple[int, int], bool, bool], _Contexts] = {}


def _contexts_for(compute_capability: tuple[int, int], checked: bool, strict: bool) -> _Contexts:
    key = compute_capability, checked, strict
    if key not in _contexts:
        _contexts[key] = _Contexts()
    return _contexts[key]


@contextmanager
def _compiler_for(compute_capability: tuple[int, int], checked: bool, strict: bool) -> Iterator[None]:
    """Patch numba-cuda as the emulator needs it, while a kernel compiles."""
    # here, because Numba's simulator lacks some of these
    from numba.cuda import cgutils, dispatcher, lowering
    from numba.cuda.descriptor import cuda_target
    from numba.cuda.np import arrayobj

    contexts = _contexts_for(compute_capability, checked, strict)
    index_checks = IndexChecks(cgutils, arrayobj, strict=strict, remarks=checked and not strict)
    device_functions = _DeviceFunctions(contexts.overloads, contexts.target, dispatcher.CUDADispatcher)

    class Device:
        pass

    device = Device()
    device.compute_capability = compute_capability  # type: ignore[attr-defined]
    patches: list[tuple[Any, str, Any]] = [
        (dispatcher, "get_current_device", lambda: device),
        *device_functions.patches(dispatcher.CUDADispatcher),
        (cuda_target, "_typingctx", contexts.typing),
        (cuda_target, "_targetctx", contexts.target),
        (lowering.Lower, "lower_binop", powers.lowering(lowering.Lower.lower_binop)),
        (cgutils, "do_boundscheck", index_checks.check),
        (cgutils, "get_item_pointer", index_checks.get_item_pointer),
        (arrayobj, "basic_indexing", index_checks.basic_indexing),
        (arrayobj, "make_array_flat_cls", index_checks.flat_class),
    ]
    if strict:
        patches.append((arrayobj, "fix_integer_index", keep_negative))
    elif checked:
        patches.append((arrayobj, "fix_integer_index", index_checks.fix_integer_index))
    if checked:
        patches += unset.patches(unset.call)
    try:
        with patched(patches):
            yield
    finally:
        device_functions.restore()


@contextmanager
def kept_apart(overloads: Overloads) -> Iterator[None]:
    """Keep device functions that are compiled meanwhile, in the public contexts, in a table of their own."""
    # here, because Numba's simulator lacks some of these
    from numba.cuda import dispatcher
    from numba.cuda.descriptor import cuda_target

    device_functions = _DeviceFunctions(overloads, cuda_target.target_context, dispatcher.CUDADispatcher)
    try:
        with patched(device_functions.patches(dispatcher.CUDADispatcher)):
            yield
    finally:
        device_functions.restore()


class _DeviceFunctions:
    """Keeps device functions that are compiled here apart from those for a GPU, while a kernel compiles."""

    def __init__(self, overloads: Overloads, target: Any, dispatcher_class: Any) -> None:
        self._mine, self._target = overloads, target
        self._compile_device = dispatcher_class.compile_device
        self._get_call_template = dispatcher_class.get_call_template
        self._public: dict[Any, Any] = {}
        self._without_lines: list[Any] = []  # options of dispatchers that do not ask for line numbers

    def patches(self, dispatcher_class: Any) -> list[tuple[Any, str, Any]]:
        def compile_device(dispatcher: Any, args: Any, return_type: Any = None) -> Any:
            self._take(dispatcher)
            return self._compile_device(dispatcher, args, return_type)

        def get_call_template(dispatcher: Any, args: Any, kws: Any) -> Any:
            self._take(dispatcher)
            return self._get_call_template(dispatcher, args, kws)

        return [
            (dispatcher_class, "compile_device", compile_device),
            (dispatcher_class, "get_call_template", get_call_template),
        ]

    def _take(self, dispatcher: Any) -> None:
        if dispatcher in self._public:
            return
        public = self._public[dispatcher] = dispatcher.overloads
        dispatcher.overloads = self._mine.setdefault(dispatcher, OrderedDict())
        self._mine.move_to_end(dispatcher)
        options = dispatcher.targetoptions
        if not (options.get("lineinfo") or options.get("debug")):
            self._without_lines.append(options)
            options["lineinfo"] = True
        if not dispatcher._can_compile:  # noqa: SLF001  (it was declared with signatures, and compiles no others)
            for args in public:
                self._compile_device(dispatcher, args)

    def restore(self) -> None:
        for dispatcher, public in self._public.items():
            dispatcher.overloads = public
        for options in self._without_lines:
            options["lineinfo"] = False
        while len(self._mine) > DEVICE_FUNCTIONS_KEPT:
            _, overloads = self._mine.popitem(last=False)
            for compiled in overloads.values():
                self._target.remove_user_function(compiled.entry_point)
