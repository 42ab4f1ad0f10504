"""An engine for `onoff bench sampling` that draws nothing: `tests/cli/test_bench_engines.py` runs it as a process."""

import os
import time

from benchmarks.others.job import Done, Job, serve


def run(job: Job) -> Done:
    assert "PYTHONPATH" not in os.environ
    assert "GOMP_SPINCOUNT" not in os.environ
    time.sleep(0.01)
    print("a line of the engine's own")
    return Done([job.max_tokens] * (len(job.prompts) * job.samples), 0.5 if job.dtype == "float32" else 0.25, "1.0")


if __name__ == "__main__":
    serve(run)
