"""Commands of `onoff` that need Dagster; they reach it through the entry points `onoff.commands`."""
