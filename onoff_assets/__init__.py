"""The platform: Dagster definitions over `onoff_core`, and the browser over what they materialize."""

import warnings

import dagster as dg

# Dagster marks partitioned checks and data versions by partition as previews. We pin its version and test both, so
# the notes would only hide what a user has to read.
for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_category)
