"""What Dagster loads: the study that `onoff.yaml` (or `ONOFF_CONFIG`) says, read once when the code location loads."""

from onoff_assets.code_location import build_definitions
from onoff_assets.serving import serve

_served = serve()
defs = build_definitions(_served.study, _served.retired)
