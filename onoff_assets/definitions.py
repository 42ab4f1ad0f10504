"""The module that Dagster loads. It reads the study from `onoff.yaml` (or `ONOFF_CONFIG`) once."""

import sys

from onoff_assets.code_location import build_definitions
from onoff_assets.command_line import check_command
from onoff_assets.serving import serve

_served = serve()
check_command(_served.study, sys.argv)
defs = build_definitions(_served.study, _served.retired)
