"""One module an asset: what it is, what it shows of itself, and what guards it."""

import warnings

import dagster as dg

# Dagster marks partitioned checks and data versions by partition as previews. We pin its version and test both, so
# the notes would only hide what a user has to read.
for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_category)
