"""The charts of a report, by theme.

The canvas of a chapter enters each module. A chart with one line on its result leaves, or the reason why there is none.
"""
