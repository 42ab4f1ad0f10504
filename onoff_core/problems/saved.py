"""Rows of a folder that `save_to_disk` of the `datasets` library wrote: one data set, or one a split."""

import json
from pathlib import Path
from typing import Any

from onoff_core.errors import DatasetError
from onoff_core.problems.arrow import rows_of_table

_OF_SPLITS, _OF_ONE = "dataset_dict.json", "state.json"


def is_saved(folder: Path) -> bool:
    """Whether a folder is one of `save_to_disk`."""
    return (folder / _OF_SPLITS).is_file() or (
        (folder / _OF_ONE).is_file() and (folder / "dataset_info.json").is_file()
    )


def read_saved(folder: Path, split: str) -> list[dict[str, Any]]:
    """All rows of the split; a folder of one data set has its rows whatever split it once was."""
    import datasets

    place = folder
    if (folder / _OF_SPLITS).is_file():
        try:
            splits = [str(name) for name in json.loads((folder / _OF_SPLITS).read_text("utf-8"))["splits"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{folder / _OF_SPLITS}: damaged ({error}); save the data set again") from error
        if split not in splits:
            raise DatasetError(f"{folder}: no split {split!r}; there are: {', '.join(splits) or 'none'}")
        place = folder / split
    try:
        return rows_of_table(datasets.load_from_disk(str(place)).with_format("arrow")[:])
    except Exception as error:  # the library raises Arrow's, the file system's and its own errors
        raise DatasetError(f"{place}: cannot be read as a data set of save_to_disk: {error}") from error


def saved_files(folder: Path) -> tuple[Path, ...]:
    """The files that say what such a folder holds, so that a change is seen."""
    return tuple(sorted(path for path in folder.rglob("*") if path.suffix in (".arrow", ".json")))
