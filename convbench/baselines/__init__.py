"""Other people's convolutions, measured beside ours: same data, same turns, same clock, precision named.

They come in by the entry-point group `convbench.baselines` and are algorithms like any other, but are run only when
they are asked for (`--baselines`, or by name): not what is compared, but what it is compared with.
"""
