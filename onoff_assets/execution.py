"""Turn an asset's context into a call of `onoff_core`, and its errors into sentences for a person.

An error is transient (a network or a file system that did not answer: the step is tried again, later each time) or
lasting (settings, data, model, memory: the same run would fail again, so the step fails at once).
"""

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dagster as dg

from onoff_assets import tags
from onoff_assets.run_options import RunOptions, SampleOptions, adapted
from onoff_core.backends.memory import is_out_of_memory
from onoff_core.errors import DatasetError, MissingInputError, OnoffError, PartitionError, SettingsError, causes
from onoff_core.machine import interruption_of, what_it_lacked
from onoff_core.study import Outputs, Partition, Study

if TYPE_CHECKING:
    from onoff_core.grid.materialize import Made
    from onoff_core.store import Store

Materialize = Callable[..., "Made"]  # of onoff_core.grid.materialize

MAX_RETRIES = 3
FIRST_WAIT_SECONDS = 10.0  # doubled at every retry

_TRANSIENT_ERRNO = {
    errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENETDOWN,
    errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNRESET, errno.ECONNREFUSED,
}  # fmt: skip
# The message of these names the fault, which is the user's to mend. A traceback would only bury it, twice, in the
# terminal.
_TOLD_WHOLE = (SettingsError, PartitionError, DatasetError, MissingInputError)
_NETWORK_LIBRARIES = {
    "requests",
    "urllib3",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "aiohttp",
    "fsspec",
    "botocore",
}


def open_store(study: Study, run_id: str | None = None) -> "Store":
    """The study's store; with a run's id, each generation that is completed through it names that run."""
    from onoff_core.grid.judging import open_store as open_judged

    return open_judged(study, {} if run_id is None else {"dagster_run_id": run_id})


def partition_of(study: Study, context: dg.AssetExecutionContext) -> Partition | None:
    """The study's partition that a run is for; None where it is for none, or for one that the study does not have."""
    return study.partitions.get(str(context.partition_key)) if context.has_partition_key else None


def is_alone(context: dg.AssetExecutionContext) -> bool:
    """Whether the run makes this asset and no other, so that somebody asked for it by name."""
    name = context.asset_key.to_user_string()
    return {node.name for node in context.job_def.nodes} <= {name, f"{name}_checks"}


def rows_beside(study: Study, made: "Made", table: str) -> list[dict[str, Any]]:
    """The rows of another table of the partition that was made, as they are current."""
    rows: list[dict[str, Any]] = open_store(study).require(table, made.generation.partition).read().to_pylist()
    return rows


def run(study: Study, context: dg.AssetExecutionContext, materialize: Materialize, options: RunOptions) -> "Made":
    """Materialize the context's partition; a failure names it and what to do, and is retried if that helps."""
    asset = context.asset_key.to_user_string()
    if not context.has_partition_key:
        example = next(iter(study.partitions))
        raise dg.Failure(
            description=f"{asset} is made partition by partition; run it for one partition, such as {example}",
            allow_retries=False,
        )
    where = f"{asset} of {context.partition_key}"
    try:
        partition, store = study.partition(str(context.partition_key)), open_store(study, context.run.run_id)
        again = options.force and context.retry_number == 0 and tags.RETRY_NUMBER not in context.run.tags
        if isinstance(options, SampleOptions) and adapted(partition, options) != partition:
            made = materialize(adapted(partition, options), store, context.log.info, again=again, ad_hoc=True)
        else:
            made = materialize(partition, store, context.log.info, again=again)
        _write_outputs(study, partition, store, made.generation.asset, context.log.info)
        return made
    except Exception as error:
        interruption = interruption_of(error)
        if interruption is not None:  # else a run that is stopped would have failed, and be tried again
            raise interruption from error
        if is_transient(error):
            wait = FIRST_WAIT_SECONDS * 2**context.retry_number
            context.log.warning(f"{where}: {error}. This may pass; trying again in {wait:.0f} s")
            raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error
        if isinstance(error, OnoffError):
            told = isinstance(error, _TOLD_WHOLE)
            raise dg.Failure(description=f"{where}: {error}", allow_retries=False) from (None if told else error)
        if is_out_of_memory(error):
            raise dg.Failure(
                description=f"{where}: {_memory_advice(study, context)} ({error})", allow_retries=False
            ) from error
        lacked = what_it_lacked(error)
        if lacked is not None:
            raise dg.Failure(description=f"{where}: {lacked} ({error})", allow_retries=False) from error
        raise


def _write_outputs(study: Study, partition: Partition, store: "Store", asset: str, say: Callable[[str], None]) -> None:
    """Write the scripts' files, where the study is a research file that names folders for them."""
    if study.outputs != Outputs():
        from onoff_core.exchange.outputs import write_outputs

        for path in write_outputs(study.outputs, partition, store, asset, say):
            say(f"wrote {path}")


def is_transient(error: BaseException) -> bool:
    """Whether the error, or one it was raised from, is of a kind that passes by itself."""
    return any(_passes(one) for one in causes(error))


def _passes(error: BaseException) -> bool:
    name, library = type(error).__name__, type(error).__module__.split(".")[0]
    if name == "OfflineModeIsEnabled":  # a ConnectionError by class, a setting by meaning
        return False
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    if library in _NETWORK_LIBRARIES and ("Connect" in name or "Timeout" in name):
        return True
    return isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNO


def _memory_advice(study: Study, context: dg.AssetExecutionContext) -> str:
    """What to change: decoding holds `batch_size` responses at a time, scoring one, however long it is."""
    partition = study.partition(str(context.partition_key))
    sampling, of = partition.sampling, f"models.{partition.model} or datasets.{partition.dataset}"
    elsewhere = f"choose another device, device_map or torch_dtype in models.{partition.model}.backend_specific"
    if context.asset_key.to_user_string() == "samples":
        return (
            f"out of memory with batch_size {sampling.batch_size} and max_length {sampling.max_length}; lower "
            f"sampling.batch_size for {of}, or {elsewhere}, and run again: what was written is kept"
        )
    return (
        f"out of memory with responses of up to {sampling.max_length} tokens (sampling.batch_size does not matter "
        f"here); {elsewhere} and run again: what was written is kept. A shorter sampling.max_length for {of} helps "
        "too, and asks for new samples"
    )
