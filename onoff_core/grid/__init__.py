"""The grid: each asset of a partition, from its fingerprint to its place in the store.

`fingerprints` computes the hash under which a result is kept; `materialize` makes one; `status` says which are there.
Everything the platform does to a partition is a call of one of these, so that a script can do the same without
Dagster.
"""
