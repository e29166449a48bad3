"""Tools that several tests share, and nothing that is tested itself.

Hypothesis strategies, devices, ways to run an algorithm, the command line or a browser, and assertions with a reason.
"""
