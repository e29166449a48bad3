"""Functions that `test_unrolling` unrolls. They come from factories, so that their constants are in closures."""

from convbench.intrinsics import static

SIDE = 3


def powers(count):
    def function(x):
        total = 0
        for i in static(count):
            total += x**i
        return total

    return function


def nested(rows, columns):
    def function(values):
        total = 0
        for i in static(rows):
            for j in static(i, columns):
                total += values[i * columns + j] * (i + 1)
        return total

    return function


def chosen(height):
    def function(sizes):
        found = sizes[0] if height is None else height
        if height is None:
            found += 1000
        elif height > 5:
            found += 2000
        return found

    return function


def guarded(is_padded):
    def function(x):
        return is_padded and x > 0, is_padded or x > 0, not is_padded and x

    return function


def shadowed(SIDE):  # noqa: N803  (the name of the global that it hides)
    def function(x):
        for SIDE in range(2):  # noqa: N806
            x += SIDE
        return x + SIDE

    return function


def of_globals():
    def function(x):
        return [x + SIDE + i for i in range(SIDE)]

    return function


def mixed(extents):
    def function(x):
        total = 0
        for i in static(len(extents)):
            if x > i:  # only known at run time
                total += extents[i]
            while total > 100:
                total -= SIDE * 7
        return total

    return function


def no_constant(x):
    total = 0
    for i in static(x):
        total += i
    return total


def two_names(pairs):
    def function():
        for i, j in static(pairs):
            return i + j

    return function


def raises_behind_a_loop(count):
    def function(x):
        for i in static(count):
            x += i
        raise ArithmeticError(x)  # the line that the test looks for

    return function
