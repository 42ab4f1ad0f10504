"""The science of onoff: sample a language model on math problems, verify, count, and look inside.

Nothing in this package imports dagster or streamlit. Its packages are layers; an import may only point to an earlier
one: (errors, boxes, tables, progress), study, problems, tasks, backends, (sampling, rewards, statistics,
distributions), store, grid, exchange, cli.
"""

__version__ = "0.1.0"
