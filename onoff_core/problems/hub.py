"""Rows of a data set on the Hugging Face hub, through the `datasets` library (and so its cache, tokens and mirrors)."""

from typing import Any

from onoff_core.errors import DatasetError
from onoff_core.problems.arrow import rows_of_table

_MEND = (
    "Check the name and the network; for a gated data set set HF_TOKEN; without a network, give the entry a `path` "
    "or a `data_dir`, or fill the hub's cache first (HF_HOME, HF_HUB_OFFLINE=1)"
)


def read_hub_rows(hub: str, config: str | None, split: str, revision: str | None) -> list[dict[str, Any]]:
    """All rows of one split; an unknown split is named with those there are."""
    import datasets

    where = f"{hub}{f' ({config})' if config else ''}"
    try:
        dataset = datasets.load_dataset(hub, config, revision=revision, split=split)
    except ValueError as error:
        if "split" in str(error).lower():
            raise DatasetError(f"{where}: no split {split!r} ({error})") from error
        raise DatasetError(f"{where}: cannot be loaded from the hub: {error}. {_MEND}") from error
    except Exception as error:  # the library raises its own, requests' and the hub client's errors
        raise DatasetError(f"{where}: cannot be loaded from the hub: {error}. {_MEND}") from error
    return rows_of_table(dataset.with_format("arrow")[:])
