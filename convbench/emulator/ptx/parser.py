"""Parse PTX into modules, functions, variables and instructions.

The grammar is small: statements end with a semicolon, blocks nest in braces, and every instruction has one form (PTX
ISA, "Syntax"). One regular expression cuts the text into tokens. Parsing takes about a tenth of the time that NVVM
takes to write the text.

A block may declare registers and labels of its own, as inline PTX does. They get unique names here, so that a function
is one flat list of statements.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count

from convbench.emulator.errors import UnsupportedError
from convbench.emulator.ptx.syntax import (
    Address,
    Function,
    Instruction,
    Label,
    Line,
    Module,
    Operand,
    Pair,
    Variable,
    Vector,
    bytes_of,
    integer,
)

_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/                             # comments
    |"(?:[^"\\]|\\.)*"                                 # strings
    |0[fF][0-9a-fA-F]{8}(?![\w])|0[dD][0-9a-fA-F]{16}(?![\w])
    |0[xX][0-9a-fA-F]+U?|0[bB][01]+U?|\d+\.\d*(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\d+U?
    |[.%$_A-Za-z][\w$%]*(?:(?:\.|::)[\w$%]+)*          # words: opcodes with modifiers, directives, names
    |\S""",
    re.VERBOSE | re.DOTALL,
)
_LINKING = (".visible", ".extern", ".weak", ".common")
_SPACES = (".global", ".const", ".shared", ".local", ".param")


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


class _Parser:
    def __init__(self, text: str, renamed: Mapping[str, str] | None = None) -> None:
        text = text.replace("\0", "")
        self.tokens: list[str] = [token for token in _TOKEN.findall(text) if not token.startswith(("//", "/*"))]
        if renamed:
            self.tokens = [renamed.get(token, token) for token in self.tokens]
        self.at = 0
        self.made = Module()
        self.numbers = count(1)
        self.line = Line()

    # ---- tokens

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        self.at += 1
        if self.at > len(self.tokens):
            raise UnsupportedError("the PTX ends in the middle of a statement")
        return self.tokens[self.at - 1]

    def give_back(self, token: str) -> None:
        """Put a token, or its rest, in the place of the one taken last."""
        self.at -= 1
        self.tokens[self.at] = token

    def accept(self, token: str) -> bool:
        if self.peek() == token:
            self.at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        found = self.take()
        if found != token:
            near = " ".join(self.tokens[max(self.at - 8, 0) : self.at + 4])
            raise UnsupportedError(f"PTX: expected {token!r}, found {found!r} in `{near}`")

    def skip_to(self, end: str) -> None:
        while self.take() != end:
            pass

    # ---- modules

    def module(self) -> Module:
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
        elif word in _SPACES:
            for variable in self._variables(word, external=".extern" in linking):
                self.made.declare(replace(variable, visible=bool(linking)))
        elif word in (".loc", ".pragma", ".alias"):
            self._loc() if word == ".loc" else self.skip_to(";")
        elif word in ("@@DWARF", ";"):
            pass
        else:
            raise UnsupportedError(f"PTX: the directive {word} is not emulated")

    def _file(self) -> None:
        number = int(self.take())
        self.made.files[number] = self.take().strip('"')
        while self.accept(","):
            self.take()

    def _loc(self) -> None:
        file, line, _column = int(self.take()), int(self.take()), self.take()
        caller = None
        while self.accept(","):  # function_name label+offset, or inlined_at file line column
            word = self.take()
            if word == "inlined_at":
                caller = Line(int(self.take()), int(self.take()))
                self.take()
            else:
                self.take()
                if self.accept("+"):
                    self.take()
        self.line = Line(file, line, caller)

    # ---- declarations

    def _variables(self, space: str, *, external: bool = False) -> Iterator[Variable]:
        """The variables of one declaration, behind its state space, to its semicolon or closing bracket."""
        align, vector, kind = 0, 1, ""
        while self.peek().startswith("."):
            word = self.take()
            if word == ".align":
                align = int(self.take())
            elif word == ".ptr":
                if self.peek() in _SPACES:
                    self.take()
            elif word in (".v2", ".v4", ".v8"):
                vector = int(word[2:])
            elif word != ".attribute":
                kind = word[1:]
            else:
                self.expect("(")
                self.skip_to(")")
        while True:
            name = self.take()
            number = 1
            is_array = self.peek() == "["
            if self.accept("<"):  # a family, %r<13>
                number = int(self.take())
                self.expect(">")
                name += "<"
            while self.accept("["):
                number *= 0 if self.peek() == "]" else integer(self.take())
                self.expect("]")
            values = tuple(self._initial_values()) if self.accept("=") else ()
            if values and number == 0:
                number = len(values)
            size = bytes_of(kind) * vector
            yield Variable(name, space[1:], kind, align or size, number * vector, values, external, is_array)
            if not self.accept(","):
                break
            if self.peek() in _SPACES:  # the next parameter of a list
                self.at -= 1
                break
        if self.peek() == ";":
            self.take()

    def _initial_values(self) -> Iterator[str]:
        """Numbers and names of an initialiser, in order; `name+4` and `generic(name)` are one each."""
        if not self.accept("{"):
            yield self._value()
            return
        while not self.accept("}"):
            if self.peek() == "{":
                yield from self._initial_values()
            else:
                yield self._value()
            self.accept(",")

    def _value(self) -> str:
        sign = "-" if self.accept("-") else ""
        word = self.take()
        if word.startswith("generic"):
            self.expect("(")
            word = self.take()
            self.expect(")")
        if self.accept("+"):
            word = f"{word}+{integer(self.take())}"
        return sign + word

    def _parameters(self) -> list[Variable]:
        found: list[Variable] = []
        if not self.accept("("):
            return found
        while not self.accept(")"):
            self.accept(",")
            space = self.take()
            found += self._variables(space)
        return found

    # ---- functions

    def _function(self, *, is_entry: bool, visible: bool) -> None:
        results = [] if is_entry else self._parameters()
        function = Function(self.take(), is_entry, visible=visible)
        function.results = results
        function.parameters = self._parameters()
        while self.peek().startswith("."):
            word = self.take()
            numbers = []
            while re.match(r"\d", self.peek()):
                numbers.append(int(self.take()))
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
        _Block(self, function, {}, outermost=True).parse()
        self.made.functions[function.name] = function


class _Block:
    """A pair of braces in a function, with the names that it declares."""

    def __init__(self, parser: _Parser, function: Function, names: dict[str, str], *, outermost: bool = False) -> None:
        self.parser, self.function, self.names, self.outermost = parser, function, dict(names), outermost
        self.first = len(function.body)
        self.labels: dict[str, str] = {}

    def parse(self) -> None:
        parser = self.parser
        while not parser.accept("}"):
            word = parser.peek()
            if word == "{":
                parser.take()
                _Block(parser, self.function, self.names).parse()
            elif word.startswith("."):
                self._directive(parser.take())
            elif word == ";":
                parser.take()
            else:
                self._statement()
        if self.labels:
            self._rename_labels()

    def _directive(self, word: str) -> None:
        parser = self.parser
        if word == ".loc":
            parser._loc()  # noqa: SLF001  (a block is a part of the parser)
        elif word == ".reg" or word.startswith(".reg."):  # inline assembly may leave out the space
            if word != ".reg":
                parser.give_back(word.removeprefix(".reg"))
            for variable in parser._variables(".reg"):  # noqa: SLF001
                self._register(variable)
        elif word in _SPACES:
            for variable in parser._variables(word):  # noqa: SLF001
                self.function.variables[self._new(variable.name)] = variable
        elif word in (".pragma", ".callprototype"):
            parser.skip_to(";")
        else:
            raise UnsupportedError(f"PTX: the directive {word} in a function is not emulated")

    def _register(self, variable: Variable) -> None:
        if variable.name.endswith("<"):
            prefix = variable.name[:-1]
            if self.outermost:
                self.function._families.append((prefix, variable.count, variable.kind))  # noqa: SLF001
                return
            for number in range(variable.count):
                self.function.registers[self._new(f"{prefix}{number}")] = variable.kind
        else:
            self.function.registers[self._new(variable.name)] = variable.kind

    def _new(self, name: str) -> str:
        """The unique name of something that this block declares."""
        if self.outermost:
            return name
        self.names[name] = f"{name}.{next(self.parser.numbers)}"
        return self.names[name]

    def _statement(self) -> None:
        parser = self.parser
        predicate, negated = "", False
        if parser.accept("@"):
            negated = parser.accept("!")
            predicate = self._name(parser.take())
        word = parser.take()
        if not predicate and parser.accept(":"):
            if parser.peek() in (".branchtargets", ".calltargets", ".callprototype"):
                self._table(word)
                return
            name = word if self.outermost else f"{word}.{next(parser.numbers)}"
            self.labels[word] = name
            self.function.body.append(Label(name))
            return
        opcode, *modifiers = word.split(".")
        operands = self._call() if opcode == "call" else self._operands()
        self.function.body.append(
            Instruction(opcode, tuple(modifiers), tuple(operands), predicate, negated, parser.line)
        )

    def _table(self, name: str) -> None:
        parser = self.parser
        if parser.take() == ".branchtargets":
            targets = [parser.take()]
            while parser.accept(","):
                targets.append(parser.take())
            self.function.tables[name] = tuple(targets)
        parser.skip_to(";")

    def _operands(self) -> Iterator[Operand]:
        parser = self.parser
        while not parser.accept(";"):
            yield self._operand()
            parser.accept(",")

    def _call(self) -> Iterator[Operand]:
        """Results, name and arguments of a call; a prototype is left out."""
        parser = self.parser
        results: tuple[str, ...] = ()
        if parser.peek() == "(":
            results = self._listed()
            parser.expect(",")
        name = self._name(parser.take())
        arguments: tuple[str, ...] = ()
        while parser.accept(","):
            if parser.peek() == "(":
                arguments = self._listed()
            else:
                parser.take()
        parser.expect(";")
        return iter((Vector(results), name, Vector(arguments)))

    def _listed(self) -> tuple[str, ...]:
        parser = self.parser
        parser.expect("(")
        found = []
        while not parser.accept(")"):
            found.append(self._scalar())
            parser.accept(",")
        return tuple(found)

    def _operand(self) -> Operand:
        parser = self.parser
        if parser.accept("["):
            return self._address()
        if parser.accept("{"):
            items = []
            while not parser.accept("}"):
                items.append(self._scalar())
                parser.accept(",")
            return Vector(tuple(items))
        first = self._scalar()
        if parser.accept("|"):
            return Pair(first, self._scalar())
        if parser.accept("+"):  # a variable and an offset, as in mov.u64 %rd1, name+4
            return f"{first}+{integer(parser.take())}"
        return first

    def _address(self) -> Address:
        parser = self.parser
        sign = -1 if parser.accept("-") else 1
        word = parser.take()
        if word[0].isdigit():
            found = Address("", sign * integer(word))
        else:
            offset = 0
            if parser.accept("+"):
                offset = -integer(parser.take()) if parser.accept("-") else integer(parser.take())
            elif parser.accept("-"):
                offset = -integer(parser.take())
            found = Address(self._name(word), offset)
        if parser.peek() != "]":
            raise UnsupportedError(f"PTX: the address [{word} {parser.peek()} … is not emulated: textures and tensors")
        parser.expect("]")
        return found

    def _scalar(self) -> str:
        parser = self.parser
        if parser.accept("!"):
            return "!" + self._name(parser.take())
        if parser.accept("-"):
            return "-" + parser.take()
        return self._name(parser.take())

    def _name(self, word: str) -> str:
        return self.names.get(word, word)

    def _rename_labels(self) -> None:
        """Let branches in an inner block lead to the block's own labels."""
        if self.outermost:
            return
        body = self.function.body
        for place in range(self.first, len(body)):
            statement = body[place]
            if isinstance(statement, Instruction) and statement.opcode == "bra":
                operands = tuple(self.labels.get(str(operand), operand) for operand in statement.operands)
                body[place] = Instruction(
                    statement.opcode, statement.modifiers, operands, statement.predicate, statement.negated,
                    statement.line,
                )  # fmt: skip
