"""The names of the run and event tags that this platform reads or writes."""

# Dagster's own.
DATA_VERSION = "dagster/data_version"  # of an observation or a materialization
PARTITION = "dagster/partition"
BACKFILL = "dagster/backfill"
# Dagster marks a failed run, a moment later, with whether it will retry it, and then with the id of that run.
WILL_RETRY, RETRY_RUN = "dagster/will_retry", "dagster/auto_retry_run_id"

# Ours.
INPUTS = "onoff/inputs"  # the hash of all a run depends on, so that failures are counted by unchanged inputs
WORKER = "onoff/worker"  # machine, boot, process id, and when the process began, since ids are used again
