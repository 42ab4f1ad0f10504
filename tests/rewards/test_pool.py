"""The promises of the pool: hostile input costs its own deadline, wherever the pool is used from."""

import multiprocessing
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import dagster as dg
import pytest

from onoff_core.rewards import Grader, GradingError, GradingTask, grade
from onoff_core.rewards.pool import Pool
from onoff_core.rewards.processes import Job
from onoff_core.study import TaskSettings

HOSTILE = {
    "tower": r"9^{9^{9^9}}",
    "brackets": "(" * 400 + "1",
    "megabyte": "1+" * 500_000 + "1",
    "digits": "9" * 1_000_000,
    "factorial": "(10^9)!",
    "braces": "{" * 400 + "}" * 400,
}
NUM_ORDINARY = 60


def ordinary() -> list[GradingTask]:
    return [GradingTask(f"\\boxed{{{number}}}", str(number), f"o{number}") for number in range(NUM_ORDINARY)]


def statuses(tasks: list[GradingTask]) -> list[str]:
    return [verdict.status for verdict in grade(tasks, "boxed")]


def grade_a_few(_: Any = None) -> list[str]:
    return statuses(ordinary()[:4])


def test_hostile_responses_cost_only_themselves() -> None:
    hostile = [GradingTask(f"\\boxed{{{text}}}", "5", name) for name, text in HOSTILE.items()]
    done: list[int] = []
    with Grader("boxed", num_workers=2, deadline_seconds=2) as grader:
        verdicts = grader.grade([*hostile, *ordinary()], done.append)
        again = grader.grade(ordinary())
    assert {verdict.status for verdict in verdicts[: len(hostile)]} <= {"timeout", "wrong"}
    assert verdicts[0].status == "timeout"
    assert [verdict.status for verdict in verdicts[len(hostile) :]] == ["correct"] * NUM_ORDINARY
    assert sum(done) == len(verdicts)
    assert {verdict.status for verdict in again} == {"correct"}


def test_control_characters_are_spaces() -> None:
    assert statuses([GradingTask("\\boxed{\x00\x1b 5\x07}", "5")]) == ["correct"]


def test_ordinary_work_is_done_while_a_process_is_stuck() -> None:
    order: list[int] = []
    jobs = [Job("5", [(0, HOSTILE["tower"]), *((number, "5") for number in range(1, 40))])]
    with Pool(num_workers=1, deadline_seconds=4) as pool:
        pool.run(jobs, lambda number, value: order.append(number))
    assert order[-1] == 0
    assert sorted(order) == list(range(40))


def test_the_memory_limit_ends_a_process_and_the_batch_goes_on() -> None:
    """One long line is one allocation, refused at once; the others are graded by the processes that follow."""
    found: dict[int, Any] = {}
    jobs = [Job("5", [(0, "5")]), Job("5", [(1, "5" * 40_000_000)]), Job("5", [(2, "5")])]
    with Pool(num_workers=1, deadline_seconds=600, memory_bytes=16 << 20) as pool:
        pool.run(jobs, found.__setitem__)
    assert found[0] is found[2] is True
    assert found[1] in ("timeout", "gold_unparsed")


def test_a_process_killed_from_outside_costs_no_verdict() -> None:
    found: dict[int, Any] = {}
    with Pool(num_workers=1, deadline_seconds=20) as pool:

        def heard(number: int, value: Any) -> None:
            found[number] = value
            if number == 10:
                pool._workers[0].process.kill()

        pool.run([Job("5", [(number, f"5.{'0' * number}") for number in range(30)])], heard)
    assert found == dict.fromkeys(range(30), True)


def test_a_gold_answer_that_takes_too_long_is_unparsed() -> None:
    with Grader("boxed", num_workers=1, deadline_seconds=1.5) as grader:
        verdicts = grader.grade(
            [
                GradingTask("\\boxed{1}", HOSTILE["megabyte"], "p"),
                GradingTask("\\boxed{1}", HOSTILE["megabyte"][-9_000:], "q"),
                GradingTask("no", "5", "r"),
            ]
        )
    assert [(v.status, v.reward) for v in verdicts] == [("gold_unparsed", None)] * 2 + [("no_answer", 0)]


def test_no_process_is_left() -> None:
    with Pool(num_workers=2) as pool:
        pool.run([Job("1", [(number, "1")]) for number in range(8)], lambda number, value: None)
        processes = [worker.process for worker in pool._workers]
        assert processes
    assert all(process.returncode is not None for process in processes)


def test_a_process_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(GradingError, match="could not start"):
        grade_a_few()


def test_the_reward_type_reaches_the_processes(capfd: pytest.CaptureFixture[str]) -> None:
    with Grader("boxed", num_workers=1, reward_type="vibes") as grader, pytest.raises(GradingError, match="vibes"):
        grader.grade(ordinary()[:1])
    assert "KeyError: 'vibes'" in capfd.readouterr().err


def test_every_reward_type_that_may_be_set_is_there() -> None:
    from onoff_core.rewards.comparisons import COMPARISONS

    assert set(get_args(TaskSettings.model_fields["reward_type"].annotation)) == set(COMPARISONS)


def test_alarms_of_others_are_left_alone() -> None:
    signal.alarm(300)
    try:
        assert grade_a_few() == ["correct"] * 4
        assert signal.alarm(0) > 0
    finally:
        signal.alarm(0)


def test_works_in_threads_at_once() -> None:
    assert threading.current_thread() is threading.main_thread()
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(grade_a_few, range(2))) == [["correct"] * 4] * 2


def _in_child(queue: Any) -> None:
    queue.put(grade_a_few())


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_works_in_a_daemonic_process(method: str) -> None:
    """Such a process may not start processes by multiprocessing."""
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,), daemon=True)
    child.start()
    assert queue.get(timeout=120) == ["correct"] * 4
    child.join()


@dg.op
def grading_op() -> None:
    assert grade_a_few() == ["correct"] * 4


@dg.job(executor_def=dg.multiprocess_executor)
def multiprocess_grading() -> None:
    grading_op()


@dg.job(executor_def=dg.in_process_executor)
def in_process_grading() -> None:
    grading_op()


@pytest.mark.parametrize("job", [multiprocess_grading, in_process_grading], ids=["multiprocess", "in_process"])
def test_works_under_each_executor(job: dg.JobDefinition) -> None:
    name = job.name
    with dg.instance_for_test() as instance:
        result = dg.execute_job(dg.reconstructable(_JOBS[name]), instance=instance)
        assert result.success


def _multiprocess() -> dg.JobDefinition:
    return multiprocess_grading


def _in_process() -> dg.JobDefinition:
    return in_process_grading


_JOBS = {"multiprocess_grading": _multiprocess, "in_process_grading": _in_process}
