"""The problem."""
