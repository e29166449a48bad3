"""Warpgroups: wgmma, its fence, its groups and the wait, for 128 consecutive threads that all ask for the same.

On hardware, a product reads shared memory and writes its accumulators at some moment between its issue and the wait for
its group. Here it does so at the wait. Until then each accumulator holds a NaN whose bits tell which sum it stands for
(`MARK`). The wait replaces those NaNs that it is given by the sums. So a kernel that forgets the wait, or the commit,
or to tie an accumulator to the wait, computes with NaNs, and a write over an operand that comes too early spoils the
sum. The checked mode checks every read of shared memory twice, at the issue and at the wait. The products that a thread
has under way are in its row of a table, in words of 64 bits.

Of each product, a thread holds the rows g and g + 8 of its warp's 16, and there the columns 8·j + 2·t + (0, 1), where
g = lane // 4 and t = lane mod 4: accumulator 4·j + 2·h + e is row g + 8·h, column 8·j + 2·t + e. Sums are cut as in
`tensor`.

A product that begins a sum, or takes A from registers, must have a fence after its thread's last wait. Whether this
fence also comes after the last access to those registers is not checked.

Source    PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions": the fragments, the matrix
          descriptor, the layout of 128-byte swizzle (16-byte chunks, whose number is xored with that of the row of 128
          bytes modulo 8), and what must be fenced.
"""

from functools import cache

import numpy as np
from numba import cfunc, njit, types

from convbench.emulator import raw
from convbench.emulator.checks import operands
from convbench.emulator.checks.operands import CHUNK, WARPGROUP
from convbench.emulator.checks.shadow import READ, check
from convbench.emulator.collectives.products import TF32, cut, value_in
from convbench.emulator.collectives.warpgroup_products import NOW, multiply_now
from convbench.emulator.raw import bits_of, float_of, load, load_word, store, store_word
from convbench.emulator.state import THREAD, WORKER, FaultKind, Status, fingerprint, offset

# the requests, as a thread notes them in the lowest 4 bits of `option`; above these are the parameters
FENCE, COMMIT, WAIT, MULTIPLY = range(4)
PENDING, COUNT, KIND, BEGINS, BY_DESCRIPTOR = 4, 12, 4, 8, 9  # lowest bits of the parameters of waits and products
A, B, C = 0, 4, 6  # words of a thread's block: A (4 words, or a descriptor), B (a descriptor), the accumulators
PRODUCTS, SUMS, MOST = 64, 8, 128  # most products and sums that a thread has under way, most accumulators of a sum
_DONE, _WAITING = int(Status.DONE), int(Status.WARPGROUP)
_PART, _OUTSIDE = int(FaultKind.PART_OF_WARPGROUP), int(FaultKind.READ_OUTSIDE)
_UNFENCED, _UNEVEN = int(FaultKind.UNFENCED), int(FaultKind.UNEVEN_OPERANDS)
_OPERAND = int(FaultKind.OPERAND)
_ROW_BYTES = THREAD.itemsize
_WORKER, _INDEX, _TABLES = offset(THREAD, "worker"), offset(THREAD, "index"), offset(WORKER, "products")
_FAULT_A, _FAULT_B, _FAULT_C = (offset(THREAD, f"fault_{letter}") for letter in "abc")
_K_WORDS = 8  # words of a row that one product reads
MARK, _SERIALS = 0xFFE00000, 0x1FFFFE  # a negative quiet NaN, whose low bits are the number of a sum, from 1
_NAN = 0x7FFFFFFF
# words of a row of the table: products ended, products issued, groups committed, sums begun, whether there was a fence
_FIRST, _NEXT, _GROUP, _SERIAL, _FENCED, _PRODUCTS = range(6)
_OPTION, _OF, _SUM, _LEFT, _RIGHT, _SITE, _WORDS = range(7)  # words of a product; then two rows of A
_PRODUCT = _WORDS + 2 * _K_WORDS
_SUMS = _PRODUCTS + PRODUCTS * _PRODUCT
_UNDER_WAY, _VALUES = 1, 2  # words of a sum after its number: products not ended; the values as bits
ROW_WORDS = _SUMS + SUMS * (_VALUES + MOST)


@njit(nogil=True)
def answer_warpgroup(threads, rows, first, count, tables, header):
    """Answer the warpgroup whose first thread is `first`, if all its threads are there.

    Returns (fault, thread, whether it was answered).
    """
    who = first
    while threads[who].status != _WAITING:
        who += 1
    asker = threads[who]
    if first + WARPGROUP > count:
        return _PART, who, False
    for i in range(first, first + WARPGROUP):
        if threads[i].status == _DONE:
            return _PART, who, False
        if threads[i].status == _WAITING and (threads[i].site != asker.site or threads[i].option != asker.option):
            return _PART, who, False
    for i in range(first, first + WARPGROUP):
        if threads[i].status != _WAITING:
            return 0, who, False
    action = asker.option & 15
    if action == NOW:
        fault, who = multiply_now(threads, rows, first, header)
        if fault:
            threads[who].fault, threads[who].fault_site = fault, threads[who].site
            return fault, who, False
    for i in range(first, first + WARPGROUP):
        fault = 0
        if action == FENCE:
            tables[i, _FENCED] = 1
        elif action == COMMIT:
            tables[i, _GROUP] += 1
            operands.commit(rows + i * _ROW_BYTES)
        elif action == NOW:
            pass
        elif action == WAIT:
            fault = _wait(threads, rows, i, tables, header)
        else:
            fault = _issue(threads, rows, i, first, tables, header)
        if fault:
            threads[i].fault, threads[i].fault_site = fault, threads[i].site
            return fault, i, False
    for i in range(first, first + WARPGROUP):
        threads[i].status = 0
    return 0, first, True


@njit(nogil=True)
def _descriptor(block, at):
    return load_word(block + 4 * at) | load_word(block + 4 * at + 4) << 32


@njit(nogil=True)
def _issue(threads, rows, i, first, tables, header):
    """Note a product of thread `i`. Its accumulators become the NaNs that stand for the sum."""
    row, option, block = tables[i], threads[i].option, threads[i].value
    count, begins = option >> COUNT, option >> BEGINS & 1
    by_descriptor = option >> BY_DESCRIPTOR & 1
    sum_number = 0 if begins else _sum_of(row, block, count)
    if not row[_FENCED] and (sum_number == 0 or not by_descriptor):
        return _UNFENCED
    theirs = threads[first].value
    if _descriptor(block, B) != _descriptor(theirs, B):
        return _UNEVEN
    if by_descriptor and _descriptor(block, A) != _descriptor(theirs, A):
        return _UNEVEN
    if row[_NEXT] - row[_FIRST] == PRODUCTS:
        fault = _end_first(threads, rows, i, row, header)
        if fault:
            return fault
    if sum_number == 0:
        row[_SERIAL] = row[_SERIAL] % _SERIALS + 1
        sum_number = row[_SERIAL]
        at = _SUMS + sum_number % SUMS * (_VALUES + MOST)
        row[at], row[at + _UNDER_WAY] = sum_number, 0
        for j in range(count):
            row[at + _VALUES + j] = 0 if begins else load_word(block + 4 * (C + j))
    at = _SUMS + sum_number % SUMS * (_VALUES + MOST)
    row[at + _UNDER_WAY] += 1
    for j in range(count):
        store_word(block + 4 * (C + j), MARK | sum_number)
    product = _PRODUCTS + row[_NEXT] % PRODUCTS * _PRODUCT
    row[_NEXT] += 1
    row[product + _OPTION], row[product + _OF], row[product + _SUM] = option, row[_GROUP], sum_number
    row[product + _LEFT], row[product + _RIGHT] = _descriptor(block, A), _descriptor(block, B)
    row[product + _SITE] = threads[i].site
    if not by_descriptor:
        quad = i & ~3
        for half in range(2):
            for word in range(_K_WORDS):
                brought = threads[quad + (word & 3)].value + 4 * (A + half + 2 * (word >> 2))
                row[product + _WORDS + _K_WORDS * half + word] = load_word(brought)
    return _look(rows, i, row, product, header, True)


@njit(nogil=True)
def _sum_of(row, block, count):
    """The number of the sum under way that all accumulators stand for, or 0."""
    number = load_word(block + 4 * C) ^ MARK
    if not 0 < number <= _SERIALS or row[_SUMS + number % SUMS * (_VALUES + MOST)] != number:
        return 0
    if row[_SUMS + number % SUMS * (_VALUES + MOST) + _UNDER_WAY] == 0:
        return 0
    for j in range(1, count):
        if load_word(block + 4 * (C + j)) != MARK | number:
            return 0
    return number


@njit(nogil=True)
def _wait(threads, rows, i, tables, header):
    """End the products of all but the last groups. Accumulators get their sums, if these have no product under way."""
    row, option, block = tables[i], threads[i].option, threads[i].value
    newest = row[_GROUP] - (option >> PENDING & 15)
    while row[_FIRST] < row[_NEXT] and row[_PRODUCTS + row[_FIRST] % PRODUCTS * _PRODUCT + _OF] < newest:
        fault = _end_first(threads, rows, i, row, header)
        if fault:
            return fault
    operands.wait(rows + i * _ROW_BYTES, option >> PENDING & 15)
    row[_FENCED] = 0
    for j in range(option >> COUNT):
        number = load_word(block + 4 * (C + j)) ^ MARK
        at = _SUMS + number % SUMS * (_VALUES + MOST)
        if 0 < number <= _SERIALS and row[at] == number and row[at + _UNDER_WAY] == 0:
            store_word(block + 4 * (C + j), row[at + _VALUES + j])
    return 0


@njit(nogil=True)
def _address(header, descriptor, line, chunk):
    """The address of 16 bytes of a matrix. `line` is a row of A or a column of B, `chunk` is 0 or 1 of its 32 bytes."""
    window = (descriptor & 0x3FFF) << 4
    window += (line >> 3) * ((descriptor >> 32 & 0x3FFF) << 4) + ((line & 7) << 7) + chunk * CHUNK
    return header.shared + (window ^ (window >> 7 & 7) << 4)


@njit(error_model="numpy", nogil=True)
def _see(rows, i, address, site, header, group):
    """The fault of a thread's read of 16 bytes of shared memory, or 0. `group` is that of a product issued now."""
    if header.ranges:
        if group:
            operands.hold(rows + i * _ROW_BYTES, address, site, group)
        return check(rows + i * _ROW_BYTES, address, READ | CHUNK << 8 | CHUNK << 16 | site << 40, 0, True)
    return 0 if 0 <= address - header.shared <= header.shared_bytes - CHUNK else _OUTSIDE


@njit(nogil=True)
def _look(rows, i, row, product, header, is_issued):
    """The fault of a thread's reads of shared memory for its part of a product, or 0.

    If the product is issued now, nobody may write this memory until its group has ended.
    """
    lane, option, site = i & 31, row[product + _OPTION], row[product + _SITE]
    group = row[product + _OF] + 1 if is_issued else 0
    for chunk in range(2):
        if option >> BY_DESCRIPTOR & 1:
            for half in range(2):
                line = (i >> 5 & 3) * 16 + (lane >> 2) + 8 * half
                fault = _see(rows, i, _address(header, row[product + _LEFT], line, chunk), site, header, group)
                if fault:
                    return fault
        for j in range((option >> COUNT) // 4):
            for e in range(2):
                line = 8 * j + 2 * (lane & 3) + e
                fault = _see(rows, i, _address(header, row[product + _RIGHT], line, chunk), site, header, group)
                if fault:
                    return fault
    return 0


@njit(nogil=True)
def _end_first(threads, rows, i, row, header):
    """Add the thread's first product under way to its sum. Returns the fault of its reads, or 0."""
    product = _PRODUCTS + row[_FIRST] % PRODUCTS * _PRODUCT
    row[_FIRST] += 1
    fault = _look(rows, i, row, product, header, False)
    if fault:
        threads[i].site = row[product + _SITE]
        return fault
    lane, option, number = i & 31, row[product + _OPTION], row[product + _SUM]
    at = _SUMS + number % SUMS * (_VALUES + MOST)
    if row[at] != number:  # too many sums are under way to keep this one: its accumulators stay NaN
        return 0
    kind = option >> KIND & 15
    per_word = 1 if kind == TF32 else 2
    a, b = np.empty((2, _K_WORDS * per_word)), np.empty(_K_WORDS * per_word)
    for half in range(2):
        line = (i >> 5 & 3) * 16 + (lane >> 2) + 8 * half
        for word in range(_K_WORDS):
            if option >> BY_DESCRIPTOR & 1:
                bits = load_word(_address(header, row[product + _LEFT], line, word >> 2) + 4 * (word & 3))
            else:
                bits = row[product + _WORDS + _K_WORDS * half + word]
            for part in range(per_word):
                a[half, per_word * word + part] = value_in(bits, part, kind)
    for j in range((option >> COUNT) // 4):
        for e in range(2):
            line = 8 * j + 2 * (lane & 3) + e
            for word in range(_K_WORDS):
                bits = load_word(_address(header, row[product + _RIGHT], line, word >> 2) + 4 * (word & 3))
                for part in range(per_word):
                    b[per_word * word + part] = value_in(bits, part, kind)
            for half in range(2):
                place = at + _VALUES + 4 * j + 2 * half + e
                total = np.float64(float_of(row[place]))
                for k in range(b.size):
                    total += a[half, k] * b[k]
                row[place] = bits_of(cut(total)) if total == total else _NAN  # none that stands for a sum
    row[at + _UNDER_WAY] -= 1
    return 0


@njit(error_model="numpy")
def overwrites(thread, old, new, local):
    """The fault of a thread that stores a float over one in the local array of a number, or 0."""
    number, is_mark = old ^ MARK, new & MARK == MARK
    if is_mark or not 0 < number <= _SERIALS:
        return 0
    row = load(load(thread + _WORKER) + _TABLES) + load(thread + _INDEX) * ROW_WORDS * 8
    at = row + (_SUMS + number % SUMS * (_VALUES + MOST)) * 8
    if load(at) != number or load(at + _UNDER_WAY * 8) == 0:
        return 0
    for each in range(load(row + _FIRST * 8), load(row + _NEXT * 8)):
        product = row + (_PRODUCTS + each % PRODUCTS * _PRODUCT) * 8
        if load(product + _SUM * 8) == number:
            store(thread + _FAULT_B, load(product + _SITE * 8))
    store(thread + _FAULT_A, 0)
    store(thread + _FAULT_C, local)
    return _OPERAND


@cache
def overwrites_address() -> int:
    """The address of `overwrites` in machine code, which is compiled at the first call."""
    version = fingerprint(__file__, raw.__file__)

    @cfunc(types.int64(*[types.int64] * 4), error_model="numpy", cache=True)
    def entry(thread, old, new, local):
        return overwrites(thread, old, new, local) if version else 0

    return int(entry.address)


@njit(nogil=True)
def begin_block(tables):
    """Clear the tables for a new block: no thread has anything under way."""
    tables[:, :_PRODUCTS] = 0
    for number in range(SUMS):
        tables[:, _SUMS + number * (_VALUES + MOST)] = 0
