"""Scalar PTX instructions, and an oracle for their values that was written from the PTX ISA alone."""
