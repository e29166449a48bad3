"""Winograd."""
