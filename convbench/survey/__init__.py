"""The survey: everything that is to be known of a GPU, by one command, within a time.

layers   the groups of layers, what each is to reach, who competes in it, and the order of the work
tasks    what one process does at a time: checks of an algorithm, or the times of a layer
compiler a GPU on which kernels are compiled and nothing runs, for while another process times
crew     the processes, which compile side by side and have the GPU to themselves in turns
budget   how the time is shared out
ratios   our best over the library's best, layer by layer and group by group
survey   the whole, and the files that it leaves
"""
