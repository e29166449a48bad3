"""LLVM for the processor of this machine: parse, optimise and measure."""

import re
from dataclasses import dataclass, field
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding.newpassmanagers import NewPassManager

_DEBUG = re.compile(r"(?:,? !dbg !\d+)|^!llvm\.(?:dbg\.cu|module\.flags) = .*$|^\s+#dbg_.*$", re.MULTILINE)


@dataclass
class Machine:
    """LLVM for the processor of this machine."""

    triple: str = ""
    layout: str = ""
    target: Any = None
    cpu: str = field(default_factory=lambda: str(llvm.get_host_cpu_name()))
    _sizes: dict[str, int] = field(default_factory=dict)
    features: str = field(default_factory=lambda: str(llvm.get_host_cpu_features().flatten()))

    def __post_init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.target = llvm.Target.from_default_triple()
        self.triple, self.layout = self.target.triple, str(self.new().target_data)

    def new(self) -> Any:
        return self.target.create_target_machine(opt=3, cpu=self.cpu, features=self.features, jit=True, reloc="pic")

    @property
    def lanes(self) -> tuple[int, ...]:
        """How many threads may run side by side, the best first: as many as a vector register has float32 numbers."""
        words = self.features.split(",")
        return (16, 8) if "+avx512f" in words else (8,) if "+avx2" in words else ()

    def parse(self, text: str) -> Any:
        """Parse and verify a module. Raises RuntimeError for a wrong one."""
        whole = f'target triple = "{self.triple}"\ntarget datalayout = "{self.layout}"\n{text}'
        # LLVM ends the process on some wrong modules with debug locations, so it verifies the module without them first
        without = _DEBUG.sub("", whole)
        if without != whole:
            llvm.parse_assembly(without).verify()
        module = llvm.parse_assembly(whole)
        module.verify()
        return module

    def optimise(self, module: Any, level: int, *, vectorise: bool) -> None:
        """Run LLVM's own passes of an optimisation level, its coroutine passes among them."""
        options = llvm.create_pipeline_tuning_options(speed_level=level)
        options.loop_vectorization = options.slp_vectorization = vectorise
        builder = llvm.create_pass_builder(self.new(), options)
        _run(builder.getModulePassManager(), module, builder)

    def inline(self, module: Any) -> None:
        """Inline everything."""
        passes = llvm.create_new_module_pass_manager()
        passes.add_always_inliner_pass()
        passes.add_global_dead_code_eliminate_pass()
        _run(passes, module, llvm.create_pass_builder(self.new(), llvm.create_pipeline_tuning_options(speed_level=1)))

    def tidy(self, module: Any) -> None:
        """Simplify what is inlined, but do not merge accesses of two lines into one, whose line would not be known."""
        passes = llvm.create_new_module_pass_manager()
        for _ in range(2):
            passes.add_sroa_pass()
            passes.add_instruction_combine_pass()
            passes.add_simplify_cfg_pass()
            passes.add_new_gvn_pass()
        passes.add_loop_rotate_pass()
        passes.add_simplify_cfg_pass()
        passes.add_instruction_combine_pass()
        passes.add_aggressive_dce_pass()
        passes.add_simplify_cfg_pass()
        passes.add_global_dead_code_eliminate_pass()
        _run(passes, module, llvm.create_pass_builder(self.new(), llvm.create_pipeline_tuning_options(speed_level=1)))

    def size_of(self, kind: str) -> int:
        """Bytes of LLVM's type `kind`."""
        if kind not in self._sizes:
            module = self.parse(f"@probe = external global {kind}")
            probe = module.get_global_variable("probe").global_value_type
            self._sizes[kind] = int(self.new().target_data.get_abi_size(probe))
        return self._sizes[kind]


def _run(passes: Any, module: Any, builder: Any) -> None:
    """Run passes and free them. llvmlite's own destructor is hidden by its base class, and frees nothing."""
    passes.run(module, builder)
    NewPassManager._dispose(passes)  # noqa: SLF001  (else each compilation would leak 45 KiB)
