"""The result and the return value of each atomic, from CUDA's description of them, in plain Python and NumPy.

Every row: the function of `cuda.atomic`, the old value, the operand, the new value. All give back the old value.
"""

import numpy as np

INT32, UINT32 = np.iinfo(np.int32), np.iinfo(np.uint32)
NAN, INF = np.nan, np.inf

SIGNED = [
    ("add", 5, 3, 8),
    ("add", -5, 3, -2),
    ("sub", 5, 8, -3),
    ("max", -5, 3, 3),
    ("max", 5, -3, 5),
    ("min", -5, 3, -5),
    ("min", 5, -3, -3),
    ("nanmax", -5, 3, 3),
    ("nanmin", -5, 3, -5),
    ("and_", 0b1100, 0b1010, 0b1000),
    ("and_", -1, 0b1010, 0b1010),
    ("or_", 0b1100, 0b1010, 0b1110),
    ("xor", 0b1100, 0b1010, 0b0110),
    ("xor", -1, 0b1010, ~0b1010),
    ("exch", 5, -3, -3),
]
UNSIGNED = [
    ("add", 5, 3, 8),
    ("sub", 5, 3, 2),
    ("max", 5, 2**31, 2**31),
    ("min", 2**31, 5, 5),
    ("inc", 5, 9, 6),
    ("inc", 9, 9, 0),
    ("inc", 12, 9, 0),
    ("dec", 5, 9, 4),
    ("dec", 0, 9, 9),
    ("dec", 12, 9, 9),
    ("and_", 2**31 + 1, 2**31, 2**31),
    ("or_", 2**31, 1, 2**31 + 1),
    ("xor", 2**31 + 1, 2**31, 1),
    ("exch", 5, 2**31, 2**31),
]
FLOATING = [
    ("add", 1.5, 2.25, 3.75),
    ("sub", 1.5, 2.25, -0.75),
    ("max", 1.5, 2.25, 2.25),
    ("max", 1.5, -INF, 1.5),
    ("min", 1.5, 2.25, 1.5),
    ("min", 1.5, -INF, -INF),
    ("nanmax", NAN, 2.25, 2.25),
    ("nanmax", 1.5, NAN, 1.5),
    ("nanmin", NAN, 2.25, 2.25),
    ("nanmin", 1.5, NAN, 1.5),
]

ROWS = [
    *((np.int32, *row) for row in SIGNED),
    *((np.int64, *row) for row in SIGNED),
    *((np.uint32, *row) for row in UNSIGNED),
    *((np.uint64, *row) for row in UNSIGNED),
    *((np.float32, *row) for row in FLOATING),
    *((np.float64, *row) for row in FLOATING),
    # 32 and 64 bits wrap around
    (np.int32, "add", INT32.max, 1, INT32.min),
    (np.int32, "sub", INT32.min, 1, INT32.max),
    (np.int64, "add", 2**63 - 1, 1, -(2**63)),
    (np.uint32, "add", UINT32.max, 2, 1),
    (np.uint32, "sub", 1, 2, UINT32.max),
    (np.uint64, "sub", 1, 2, 2**64 - 1),
]
