"""Tuning: an algorithm's configs searched for the fastest on a device, and the database of what was found.

`convbench.tuning.entry` is one line of the database, `database` the file, `in_use` what a process takes configs from,
`proposals` the order in which a search tries configs, and `tuner` the search itself.
"""
