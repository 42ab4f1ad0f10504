"""The module that Dagster loads. It reads the study from `onoff.yaml` (or `ONOFF_CONFIG`) once."""

from onoff_assets.code_location import build_definitions
from onoff_assets.serving import serve

_served = serve()
defs = build_definitions(_served.study, _served.retired)
