"""Inputs of the tests: problems, records, kernels and algorithms, some of them deliberately wrong.

`planted` has kernels with one bug each, `wild` has kernels that try to crash the interpreter, and `notations` has
tables of texts. `golden` has worked examples as JSON. `fuzz_corpus.txt` has cases of the fuzzer that must always pass.
"""
