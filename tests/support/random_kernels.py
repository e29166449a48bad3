"""Random kernels: nested branches and loops over numbers that differ from thread to thread, or are the same for all."""

from random import Random

OPERATORS = ("+", "-", "*", "&", "|", "^")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
NAMES = ("a", "b", "c", "d")
FLOATS = ("u", "v")
HEAD = """
def kernel(x, w, y, z, n):
    i = cuda.grid(1)
    t = cuda.threadIdx.x
    a, b, c, d = t, i, n, 7
    u, v = x[i % x.size], float32(1.5)
    left = 60
"""
TAIL = """    y[i] = a + 3 * b + 5 * c + 7 * d
    z[i] = u + v
"""


class Program:
    """The text of a random kernel of integers a to d and floats u and v, which ends after a bounded time."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.lines: list[str] = []
        self.loops = 0
        for _ in range(self.random.randint(3, 6)):
            self.statement(1, 3)
        self.text = HEAD + "\n".join(self.lines) + "\n" + TAIL

    def statement(self, indent: int, depth: int) -> None:
        """Add one statement."""
        pick = self.random.random()
        if depth and pick < 0.3:
            self.put(indent, f"if {self.condition()}:")
            self.block(indent + 1, depth - 1)
            if self.random.random() < 0.6:
                self.put(indent, "else:")
                self.block(indent + 1, depth - 1)
        elif depth and pick < 0.5:
            self.loop(indent, depth)
        elif pick < 0.7:
            name = self.random.choice(FLOATS)
            self.put(indent, f"{name} = {self.number()} * {self.number()} + {self.number()}")
        else:
            self.put(indent, f"{self.random.choice(NAMES)} = {self.integer(2)}")

    def block(self, indent: int, depth: int) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.statement(indent, depth)

    def loop(self, indent: int, depth: int) -> None:
        """Add a loop, some turns of which may be left out or be the last."""
        self.loops += 1
        count = self.random.choice(("5", f"({self.integer(1)}) & 7"))
        self.put(indent, f"for k{self.loops} in range({count}):")
        own = indent + 1
        self.put(own, "left -= 1")
        self.put(own, "if left < 0:")
        self.put(own + 1, "break")
        self.block(own, depth - 1)
        if self.random.random() < 0.5:
            self.put(own, f"if {self.condition()}:")
            self.put(own + 1, self.random.choice(("break", "continue")))
            self.block(own, depth - 1)

    def condition(self) -> str:
        if self.random.random() < 0.2:
            return f"{self.number()} < {self.number()}"
        return f"{self.integer(1)} {self.random.choice(COMPARISONS)} {self.integer(1)}"

    def integer(self, depth: int) -> str:
        """An expression of integers. Divisors are not 0 for the threads that divide."""
        pick = self.random.random()
        if not depth or pick < 0.25:
            return self.random.choice((*NAMES, "i", "t", str(self.random.randint(-9, 40))))
        if pick < 0.35:
            return f"({self.integer(depth - 1)}) {self.random.choice(('//', '%'))} {self.random.choice((3, 4, 16, 28))}"
        if pick < 0.42:
            return f"({self.integer(depth - 1)}) {self.random.choice(('>>', '<<'))} {self.random.randint(0, 5)}"
        if pick < 0.5:
            return f"({self.integer(depth - 1)} if {self.condition()} else {self.integer(depth - 1)})"
        if pick < 0.58:
            return f"w[({self.integer(depth - 1)}) & 63]"
        if pick < 0.64:
            return f"{self.random.choice(('min', 'max'))}({self.integer(depth - 1)}, {self.integer(depth - 1)})"
        return f"({self.integer(depth - 1)} {self.random.choice(OPERATORS)} {self.integer(depth - 1)})"

    def number(self) -> str:
        pick = self.random.random()
        if pick < 0.4:
            return self.random.choice(FLOATS)
        if pick < 0.7:
            return f"x[({self.integer(1)}) & 63]"
        return f"float32({self.random.choice(('0.5', '-1.25', '3.0', self.random.choice(NAMES)))})"

    def put(self, indent: int, text: str) -> None:
        """Add a line."""
        self.lines.append("    " * indent + text)
