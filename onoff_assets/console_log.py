"""What a run prints on a terminal: a line is the time, the partition, the step, and what there is to say.

Dagster's own console logger begins each line with the date, the job and the run's id, a hundred characters in all. It
prints where a run's config does not name the logger `console`.
"""

import logging
import sys

import dagster as dg
from dagster._core.utils import coerce_valid_log_level  # not public

from onoff_assets import tags

_LEVEL = dg.Field(str, default_value="INFO", description="What is less serious is not printed: DEBUG, INFO, WARNING.")
_NAME = dg.Field(str, default_value="dagster", description="The logger's name.")


class Lines(logging.Formatter):
    """`07:04:54 arithmetic|smollm2-135m samples: sampling 32/96 responses, 33 tokens/s, 4 min 41 s left`"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        about = getattr(record, "dagster_meta", None) or {}
        # An event's message is whole only with what Dagster puts before it; a failure's has its cause.
        if about.get("dagster_event") is None and "orig_message" in about:
            where = [(about.get("job_tags") or {}).get(tags.PARTITION), about.get("step_key")]
            of = " ".join(name for name in where if name)
            record = logging.makeLogRecord({**record.__dict__, "message": about["orig_message"]})
            record.message = f"{of}: {record.message}" if of else record.message
        if record.levelno >= logging.WARNING:
            record.message = f"{record.levelname} {record.message}"
        return super().formatMessage(record)


@dg.logger(
    config_schema={"log_level": _LEVEL, "name": _NAME},
    description="Short lines on the terminal; the UI has every event.",
)
def console(context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger(context.logger_config["name"], coerce_valid_log_level(context.logger_config["log_level"]))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logger.addHandler(handler)
    return logger
