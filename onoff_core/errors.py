"""The errors a user can cause and a user can mend.

Every message says what was wrong, where, and what to do. Anything else that is raised is a fault of ours and keeps
its traceback.
"""

from collections.abc import Iterator


class OnoffError(Exception):
    """Base of all errors that are shown to the user as one message, without a traceback."""


class SettingsError(OnoffError):
    """`onoff.yaml` (or a file it names) cannot be read as a study."""


class PartitionError(OnoffError):
    """A dataset, a model or a partition key that is not in the study."""


class DatasetError(OnoffError):
    """A data set that cannot be found, read, or turned into problems."""


class ModelError(OnoffError):
    """A model that cannot be found, loaded, or used for what was asked of it."""


class StoreError(OnoffError):
    """The store cannot be read or written, or holds something that contradicts itself."""


class MissingInputError(StoreError):
    """An asset of this partition needs another one that is not there yet."""


class StatisticsError(OnoffError):
    """Results that do not hold what a statistic needs."""


class ExchangeError(OnoffError):
    """A file of the research scripts' kind (results, distributions) that does not hold what it should."""


class PlatformError(OnoffError):
    """Something that Dagster needs is not there, such as its home, or was asked of it in a way it does not know."""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and then each that the one before was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
