"""One job of sampling as programs of several engines, each for an environment of its own.

`python -m benchmarks.others.by_openvino` reads a job (`job`) from its standard input. These modules, but for
`by_onoff`, import nothing of ours, nor at their top anything that the standard library has not: the environment that
they run in has their engine and not us.
"""
