"""The study this code location serves, read once when it loads; reload the location after a change of `onoff.yaml`."""

from functools import cache

from onoff_core.study import Study, load_study


@cache
def study() -> Study:
    return load_study()
