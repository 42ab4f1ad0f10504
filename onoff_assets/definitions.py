"""What Dagster loads: the study that `onoff.yaml` (or `ONOFF_CONFIG`) says, read once when the code location loads."""

from onoff_assets.code_location import build_definitions
from onoff_core.study import load_study

defs = build_definitions(load_study())
