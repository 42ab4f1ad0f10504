"""Speed and memory, as ratios against references measured in the same run.

`onoff bench NAME` runs one module of this package. Each module has `run(repeats)`, which measures its figures and their
references in turn (A B A B ...) and returns medians.
"""
