"""The tags around thinking that a partition's task means, where no model is loaded."""

import pyarrow as pa

from onoff_core.backends import open_tokenizer
from onoff_core.statistics.thinking import Key, Thought
from onoff_core.store import Generation, Store
from onoff_core.store.parquet import conform
from onoff_core.store.provenance import SamplesProvenance
from onoff_core.study import Partition, ThinkingTags
from onoff_core.tables import SCHEMAS
from onoff_core.tasks import parts_of

_COLUMNS = ("problem_id", "sample_index", "prompt", "token_ids", "finish_reason", "forced_positions")
_SCHEMA = pa.schema([SCHEMAS["samples"].field(name) for name in _COLUMNS])


def thinking_tags(partition: Partition, samples: Generation) -> ThinkingTags | None:
    """Those of `task.thinking`; None where it is not set. What `auto` came to is in the manifest of samples that were
    drawn under it; for others the model's tokenizer is asked. Raises `ModelError` where that knows none.
    """
    task = partition.task
    if task.thinking is None or isinstance(task.thinking, ThinkingTags):
        return task.thinking
    drawn = SamplesProvenance.of(samples.manifest())
    if drawn.thinking_is_auto and drawn.thinking is not None:
        return drawn.thinking
    return partition_tags(partition)


def thoughts_of(partition: Partition, store: Store, samples: Generation) -> dict[Key, Thought] | None:
    """Where each response of these samples thinks, by the settings as they are now; None where they say nothing of it.

    It is found out anew, whatever the samples' own columns say: the tags may have been named after they were drawn.
    """
    tags = thinking_tags(partition, samples)
    if tags is None:
        return None
    pieces = store.require("vocabulary", (partition.model,)).read()["piece"].to_pylist()
    found: dict[Key, Thought] = {}
    for table in samples.tables(_COLUMNS):
        for row in conform(table, _SCHEMA, samples.folder).to_pylist():
            parts = parts_of([pieces[token] for token in row["token_ids"]], tags, row["prompt"])
            forced = len(row["forced_positions"] or ())
            found[row["problem_id"], row["sample_index"]] = Thought(parts, row["finish_reason"], forced)
    return found


def partition_tags(partition: Partition) -> ThinkingTags | None:
    """The same where there are no samples yet."""
    from onoff_core.sampling import resolve_tags

    task = partition.task
    if task.thinking is None or isinstance(task.thinking, ThinkingTags):
        return task.thinking
    tokenizer = open_tokenizer(partition.model, partition.model_settings, partition.base_dir)
    return resolve_tags(task.thinking, tokenizer, task.format_type)
