"""The platform: Dagster definitions over `onoff_core`, and the browser over what they materialize."""
