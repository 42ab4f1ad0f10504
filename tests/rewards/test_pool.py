"""The promises of the pool: hostile input costs its own deadline, wherever the pool is used from."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import dagster as dg
import pytest

import onoff_core.rewards.pool as pool_module
from onoff_core.rewards import Grader, GradingError, GradingTask, grade, processes
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
    with Grader("boxed", num_workers=2, deadline_seconds=1) as grader:
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
    with Pool(num_workers=1, deadline_seconds=1.5) as pool:
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


def test_an_answer_that_ends_its_process_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the second time: that the gold answer is worked out anew in between is no sign of progress."""
    started: list[processes.Worker] = []

    class EndedByTheFirst(processes.Worker):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            started.append(self)
            assert len(started) <= 3, "it is tried again and again"

        def lines(self) -> Any:
            outcomes = super().lines()
            at = [number for job in self.jobs.values() for number, _ in job.items[:1]]
            if at == [0] and any("gold" in outcome for outcome in outcomes or ()):
                self.process.kill()
            return outcomes

    monkeypatch.setattr(pool_module, "Worker", EndedByTheFirst)
    heard: dict[int, Any] = {}
    with Pool(num_workers=1) as pool:
        pool.run([Job("5", [(0, HOSTILE["tower"]), (1, "5")])], heard.__setitem__)
        assert (heard, pool.reasons) == ({0: "timeout", 1: True}, {0: "the answer ends the process that works it out"})


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


def busy(seconds: float) -> subprocess.Popen[bytes]:
    """Another program that wants the processor."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import time; end = time.time() + {seconds}\nwhile time.time() < end: pass"]
    )


def test_the_verdict_is_the_same_on_a_busy_machine() -> None:
    """The clock runs several times as long; each item's processor time does not."""
    tasks = [
        GradingTask(r"\boxed{\sum_{n=1}^{\infty} \frac{1}{2^n}}", "1", "a"),
        GradingTask(r"\boxed{\frac13}", r"\int_0^1 x^2 dx", "b"),
        GradingTask(r"\boxed{3}", r"\sum_{n=1}^{\infty} \frac{1}{2^n}", "c"),
        GradingTask(f"\\boxed{{{HOSTILE['tower']}}}", "5", "d"),
    ]
    others = [busy(120) for _ in range(2)]
    try:
        with Grader("boxed", num_workers=1, deadline_seconds=1.5) as grader:
            verdicts = grader.grade(tasks)
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert [verdict.status for verdict in verdicts] == ["correct", "correct", "wrong", "timeout"]
    assert verdicts[3].reason == "the answer cannot be worked out in 1.5 seconds of processor time"


def test_a_process_that_gets_no_processor_is_tried_again_and_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_PATIENCE", 0.5)
    found: dict[int, Any] = {}
    stopped: list[int] = []
    with Pool(num_workers=1, deadline_seconds=16) as pool:

        def heard(number: int, value: Any) -> None:
            found[number] = value
            if number == 3 and not stopped:
                stopped.append(pool._workers[0].process.pid)
                os.kill(stopped[0], signal.SIGSTOP)

        # Work enough after it that the process is still at it when it is stopped, however late that is heard.
        sums = [rf"\sum_{{n=1}}^{{\infty}} \frac{{{5 * k}}}{{{k + 1}^n}}" for k in range(1, 41)]
        pool.run([Job("5", list(enumerate(["5", "5.0", "5.00", "5.000", *sums])))], heard)
        assert all(worker.process.pid != stopped[0] for worker in pool._workers)
    assert found == dict.fromkeys(range(44), True)


def test_where_no_process_gets_any_the_run_fails_and_nothing_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_PATIENCE", 0.01)
    monkeypatch.setattr(pool_module, "_MOST_TRIES", 2)
    heard: list[Any] = []
    with (
        Pool(num_workers=1, deadline_seconds=60) as pool,
        pytest.raises(GradingError, match="No verdict rests on that"),
    ):
        pool.run([Job("5", [(0, HOSTILE["tower"])])], lambda number, value: heard.append(value))
    assert heard == []


def test_a_process_keeps_the_deadline_itself_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_cpu_seconds", lambda process_id: None)
    found: dict[int, Any] = {}
    with Pool(num_workers=1, deadline_seconds=1) as pool:
        pool.run([Job("5", [(0, HOSTILE["tower"]), (1, "5")])], found.__setitem__)
    assert found == {0: "timeout", 1: True}


UNWORKABLE = (HOSTILE["tower"], HOSTILE["factorial"], r"2^{2^{2^{100}}}", r"\sum_{n=1}^{10^9} \frac{1}{n^3+n+1}")


@pytest.mark.parametrize("gold", UNWORKABLE)
def test_a_gold_answer_that_cannot_be_worked_out_is_the_datas_fault(gold: str) -> None:
    responses = [r"\boxed{5}", r"\boxed{x+1}", rf"\boxed{{{gold}}}", "none"]
    with Grader("boxed", num_workers=1, deadline_seconds=1) as grader:
        verdicts = grader.grade([GradingTask(response, gold, "p") for response in responses])
    assert {(v.status, v.reward, v.answer_class) for v in verdicts} == {("gold_unparsed", None, None)}
    assert {v.reason for v in verdicts} == {"the gold answer cannot be worked out in 1 seconds of processor time"}


def test_a_slow_gold_answer_is_tried_once_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a new process, which has done nothing else: the second process works on it alone."""
    sent: list[tuple[int, list[str | None], bool]] = []
    send = processes.Worker.send

    def noted(worker: processes.Worker, jobs: dict[int, Job]) -> None:
        sent.append((worker.process.pid, [job.gold for job in jobs.values()], worker.fresh))
        send(worker, jobs)

    monkeypatch.setattr(processes.Worker, "send", noted)
    found: dict[int, Any] = {}
    jobs = [Job(UNWORKABLE[0], [(0, "5")]), *(Job(str(number), [(number, "5")]) for number in range(1, 9))]
    with Pool(num_workers=1, deadline_seconds=1) as pool:
        pool.run(jobs, found.__setitem__)
        assert pool.reasons == {0: "the gold answer cannot be worked out in 1 seconds of processor time"}
    tries = [(pid, golds, fresh) for pid, golds, fresh in sent if UNWORKABLE[0] in golds]
    assert len(tries) >= 2
    assert tries[-1][1:] == ([UNWORKABLE[0]], True)
    assert found == {0: "gold_unparsed"} | {number: number == 5 for number in range(1, 9)}


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


def test_it_works_under_limits_of_the_shell() -> None:
    """`ulimit -v` and `-t` that are lower than its own cannot be raised."""
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)); "
        "resource.setrlimit(resource.RLIMIT_CPU, (50, 50)); from onoff_core.rewards import Grader, GradingTask\n"
        "with Grader('boxed', memory_bytes=1 << 40) as grader:\n"
        "    print([v.reward for v in grader.grade([GradingTask(r'\\boxed{2}', '2')])])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[1]\n", done.stderr
