"""`notes.jsonl`: what people noted on a partition's responses and tokens, a line a note, the latest first."""

import json
from dataclasses import asdict
from pathlib import Path

from onoff_core.exchange.files import WRITTEN_BY, Say, info, replacing
from onoff_core.store import Store
from onoff_core.store.notes import Notes

NOTES_NAME = "notes.jsonl"


def export_notes(store: Store, key: tuple[str, str], folder: Path, say: Say = info) -> list[Path]:
    """Write the notes of a partition (dataset, model) into a folder; the files written. Without notes it is empty."""
    target = folder / NOTES_NAME
    with replacing(target, say) as scratch, scratch.open("w", encoding="utf-8") as file:
        for note in Notes(store.files).of_partition(key):
            file.write(json.dumps({"written_by": WRITTEN_BY, **asdict(note)}, ensure_ascii=False) + "\n")
    return [target]
