"""Kernels after the patterns of public GPU code, each right, and with one mistake that people make.

Checked mode must report nothing in the right kernel. In the other, it must report one of the lines that end in
`# here`: a race has two sides, and the order of threads decides which of them is found.
"""
