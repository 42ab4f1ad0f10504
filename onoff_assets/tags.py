"""The names of the run and event tags that this platform reads or writes."""

# Dagster's own.
DATA_VERSION = "dagster/data_version"  # of an observation or a materialization
PARTITION = "dagster/partition"
BACKFILL = "dagster/backfill"
# Dagster marks a failed run, a moment later, with whether it will retry it, and then with the id of that run.
WILL_RETRY, RETRY_RUN = "dagster/will_retry", "dagster/auto_retry_run_id"
RETRY_NUMBER = "dagster/retry_number"  # of a run that Dagster made to try another one again

# Ours.
INPUTS = "onoff/inputs"  # the hash of all a run depends on, so that failures are counted by unchanged inputs
WORKER = "onoff/worker"  # machine, boot, process id, and when the process began, since ids are used again
STUDY = "onoff/study"  # the folder's name that the settings file lies in
SETTINGS = "onoff/settings"  # the version of the asset `settings` that a partition's run goes by
CODE = "onoff/code"  # the commit of this code, or its version where it is no checkout
