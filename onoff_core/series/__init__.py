"""Checkpoints of a training run side by side: the rows of the catalog's view `series`, and the fit of accuracy against
entropy over them.
"""

from onoff_core.series.fit import EntropyFit, fit_entropy
from onoff_core.series.reading import SeriesStep, series_names, series_steps

__all__ = ["EntropyFit", "SeriesStep", "fit_entropy", "series_names", "series_steps"]
