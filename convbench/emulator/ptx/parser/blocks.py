"""Functions: blocks, statements and operands.

A block may declare registers and labels of its own, as inline PTX does. They get unique names here, so that a function
is one flat list of statements.
"""

from collections.abc import Iterator

from convbench.emulator.errors import UnsupportedError
from convbench.emulator.ptx.parser.declarations import SPACES, Declarations
from convbench.emulator.ptx.syntax import (
    Address,
    Function,
    Instruction,
    Label,
    Operand,
    Pair,
    Variable,
    Vector,
)

MOST_BLOCKS = 100  # in each other; compilers write two or three
MOST_REGISTERS = 1 << 16  # of a family that an inner block declares, which get a name each


class Block:
    """A pair of braces in a function, with the names that it declares."""

    def __init__(self, parser: Declarations, function: Function, names: dict[str, str], depth: int = 0) -> None:
        self.parser, self.function, self.names, self.depth = parser, function, dict(names), depth
        self.outermost = depth == 0
        if depth > MOST_BLOCKS:
            raise UnsupportedError(f"PTX: {function.name} has more than {MOST_BLOCKS} blocks in each other")
        self.first = len(function.body)
        self.labels: dict[str, str] = {}

    def parse(self) -> None:
        """Read to the closing brace, and add the statements to the function."""
        parser = self.parser
        while not parser.accept("}"):
            word = parser.peek()
            if word == "{":
                parser.take()
                Block(parser, self.function, self.names, self.depth + 1).parse()
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
            parser.loc()
        elif word == ".reg" or word.startswith(".reg."):  # inline assembly may leave out the space
            if word != ".reg":
                parser.give_back(word.removeprefix(".reg"))
            for variable in parser.variables(".reg"):
                self._register(variable)
        elif word in SPACES:
            for variable in parser.variables(word):
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
            if variable.count > MOST_REGISTERS:
                raise UnsupportedError(
                    f"PTX: a block of {self.function.name} has {variable.count} registers {prefix}; it may have "
                    f"{MOST_REGISTERS}"
                )
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
            return f"{first}+{parser.integer()}"
        return first

    def _address(self) -> Address:
        parser = self.parser
        sign = -1 if parser.accept("-") else 1
        word = parser.take()
        if word[0].isdigit():
            found = Address("", sign * parser.value_of(word))
        else:
            offset = 0
            if parser.accept("+"):
                offset = -parser.integer() if parser.accept("-") else parser.integer()
            elif parser.accept("-"):
                offset = -parser.integer()
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
