"""From an asset's context to a call of `onoff_core`, and back: partition, store, and errors as a person reads them.

An error is transient (a network or a file system that did not answer: the step is tried again, later each time) or
lasting (settings, data, model, memory: the same run would fail again, so the step fails at once).
"""

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from onoff_core.backends.memory import is_out_of_memory
from onoff_core.errors import DatasetError, MissingInputError, OnoffError, PartitionError, SettingsError, causes
from onoff_core.study import Outputs, Partition, Study

if TYPE_CHECKING:
    from onoff_core.grid.materialize import Made
    from onoff_core.store import Store

Materialize = Callable[[Partition, "Store", Callable[[str], None]], "Made"]

MAX_RETRIES = 3
FIRST_WAIT_SECONDS = 10.0  # doubled at every retry

_TRANSIENT_ERRNO = {
    errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENETDOWN,
    errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNRESET, errno.ECONNREFUSED,
}  # fmt: skip
# The fault is in a file or an order of the user's and the message names it: the traces of what it was raised from would
# only bury it, twice, in the terminal.
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
    from onoff_core.store import Store

    return Store(study.store_path, {} if run_id is None else {"dagster_run_id": run_id})


def run(study: Study, context: dg.AssetExecutionContext, materialize: Materialize) -> "Made":
    """Materialize the context's partition; a failure names it and what to do, and is retried if that helps."""
    where = f"{context.asset_key.to_user_string()} of {context.partition_key}"
    try:
        partition, store = study.partition(str(context.partition_key)), open_store(study, context.run.run_id)
        made = materialize(partition, store, context.log.info)
        _write_outputs(study, partition, store, made.generation.asset, context.log.info)
        return made
    except Exception as error:
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
        raise


def _write_outputs(study: Study, partition: Partition, store: "Store", asset: str, say: Callable[[str], None]) -> None:
    """A research file names folders for the scripts' files; an `onoff.yaml` names none."""
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
