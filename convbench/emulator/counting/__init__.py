"""Count what hardware would do for each instruction of a warp, from the addresses of its lanes.

`rules` are the rules of counting. `tables` has what is known of a kernel before it runs: its blocks and its accesses.
While it runs, each thread notes the blocks that it enters and the addresses that it accesses (`traces`). `replay` puts
the threads of a warp together again and counts. `emulator.profile` turns the counts into a report.
"""
