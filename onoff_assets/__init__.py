"""The platform: Dagster definitions over `onoff_core`, and the browser over what they materialize.

Importing this package imports no Dagster: the browser lives in it and has no use for it.
"""
