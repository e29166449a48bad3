"""Modules, and their links to each other."""

from collections.abc import Iterator
from dataclasses import replace

from convbench.emulator.errors import UnsupportedError
from convbench.emulator.ptx.parser.blocks import Block
from convbench.emulator.ptx.parser.declarations import SPACES, Declarations
from convbench.emulator.ptx.syntax import Function, Instruction, Line, Module, Variable

_LINKING = (".visible", ".extern", ".weak", ".common")


def parse(*texts: str) -> Module:
    """Parse a module, or link several into one. Raises UnsupportedError for text that is no PTX, with the line."""
    modules = [_Parser(text).module() for text in texts]
    for number, text in enumerate(texts) if len(texts) > 1 else ():
        others = modules[:number] + modules[number + 1 :]
        taken = {name for other in others for name in (*other.functions, *other.variables)}
        if clashes := taken & set(_own_names(modules[number])):
            modules[number] = _Parser(text, {name: f"{name}.{number}" for name in clashes}).module()
    made, *others = modules
    for other in others:
        _link(made, other)
    return made


def _own_names(module: Module) -> Iterator[str]:
    """The names that no other module knows."""
    named: list[Function | Variable] = [*module.functions.values(), *module.variables.values()]
    return (item.name for item in named if not item.visible)


def _link(made: Module, other: Module) -> None:
    """Add what another module has."""
    files = max(made.files, default=0)
    made.files |= {number + files: file for number, file in other.files.items()}
    for function in other.functions.values():
        known = made.functions.get(function.name)
        if known is None or not known.has_body:
            function.body = [
                replace(i, line=Line(i.line.file + files, i.line.line)) if isinstance(i, Instruction) else i
                for i in function.body
            ]
            made.functions[function.name] = function
    for variable in other.variables.values():
        made.declare(variable)


class _Parser(Declarations):
    """Reads a module."""

    def module(self) -> Module:
        self.made = Module()
        while self.peek():
            self._directive()
        return self.made

    def _directive(self) -> None:
        word = self.take()
        linking = []
        while word in _LINKING:
            linking.append(word)
            word = self.take()
        if word == ".version":
            self.made.version = self.take()
        elif word == ".target":
            self.made.target = self.take()
            while self.accept(","):
                self.take()
        elif word == ".address_size":
            if self.take() != "64":
                raise UnsupportedError("PTX with 32-bit addresses is not emulated")
        elif word == ".file":
            self._file()
        elif word == ".section":
            self.skip_to("{")
            self.skip_to("}")
        elif word in (".entry", ".func"):
            self._function(is_entry=word == ".entry", visible=bool(linking))
        elif word in SPACES:
            for variable in self.variables(word, external=".extern" in linking):
                self.made.declare(replace(variable, visible=bool(linking)))
        elif word in (".loc", ".pragma", ".alias"):
            self.loc() if word == ".loc" else self.skip_to(";")
        elif word in ("@@DWARF", ";"):
            pass
        else:
            raise UnsupportedError(f"PTX: the directive {word} is not emulated")

    def _file(self) -> None:
        number = self.integer()
        self.made.files[number] = self.take().strip('"')
        while self.accept(","):
            self.take()

    def _parameters(self) -> list[Variable]:
        found: list[Variable] = []
        if not self.accept("("):
            return found
        while not self.accept(")"):
            self.accept(",")
            space = self.take()
            found += self.variables(space)
        return found

    def _function(self, *, is_entry: bool, visible: bool) -> None:
        results = [] if is_entry else self._parameters()
        function = Function(self.take(), is_entry, visible=visible)
        function.results = results
        function.parameters = self._parameters()
        while self.peek().startswith("."):
            word = self.take()
            numbers = []
            while self.peek()[:1].isdecimal():
                numbers.append(self.integer())
                self.accept(",")
            function.directives[word[1:]] = tuple(numbers)
            if word == ".pragma":
                self.skip_to(";")
        if self.accept(";"):
            function.has_body = False
            self.made.functions.setdefault(function.name, function)
            return
        for register in (*function.parameters, *function.results):
            if register.space == "reg":
                function.registers[register.name] = register.kind
        self.expect("{")
        self.line = Line()
        Block(self, function, {}).parse()
        self.made.functions[function.name] = function
