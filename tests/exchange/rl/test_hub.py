"""Sending an exported data set, to a hub on this machine."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pyarrow.parquet as pq
import pytest
import yaml

from benchmarks.ports import free_port
from onoff_core.cli.main import main
from onoff_core.exchange.rl.hub import check_hub
from tests.conftest import ROOT
from tests.exchange.rl.hub import READ_ONLY, TOKEN, Hub, serving


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as there:
        yield there


def export(
    folder: Path, output: Path, hub: Hub, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A process of its own: `huggingface_hub` reads its variables once, when it is imported."""
    home = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING_FACE"))}
    command = [
        "export",
        "--dataset",
        "d",
        "--model",
        "strong",
        "--what",
        "problems",
        "--output",
        str(output),
        *arguments,
    ]
    return subprocess.run(
        [sys.executable, "-m", "onoff_core.cli.main", *command],
        cwd=folder,
        env={
            **home,
            "HF_HOME": str(output.parent / "hf"),
            "HF_ENDPOINT": hub.address,
            "HF_HUB_DISABLE_XET": "1",  # the hub's other protocol for large files; ours speaks LFS
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_it_is_sent_as_a_private_data_set_with_its_card(filled: Path, tmp_path: Path, hub: Hub) -> None:
    asked = ["--pass-rate", "0.2:0.6", "--control", "equal-size", "--push", "lab/mid"]
    done = export(filled, tmp_path / "out", hub, *asked, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert f"sent to {hub.address}/datasets/lab/mid (private)" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    assert hub.private == {"lab/mid": True}
    files = hub.repositories["lab/mid"]
    assert set(files) == {"README.md", "data/train-00000-of-00001.parquet", "data/control-00000-of-00001.parquet"}
    sent = pq.read_table(io.BytesIO(files["data/train-00000-of-00001.parquet"])).to_pylist()
    assert sent == pq.read_table(tmp_path / "out" / "problems.parquet").to_pylist()
    card = files["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1])["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*"},
        {"split": "control", "path": "data/control-*"},
    ]
    assert card.split("# Problems of d")[1] == (tmp_path / "out" / "README.md").read_text().split("# Problems of d")[1]


@pytest.fixture
def here(filled: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, where the library has read its variables for good."""
    monkeypatch.setenv("ONOFF_CONFIG", str(filled / "onoff.yaml"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("token", "arguments", "message"),
    [
        (None, ["--push", "lab/mid"], "there is no token of the hub, so nothing was computed and nothing sent"),
        (READ_ONLY, ["--push", "lab/mid"], "the token may only read"),
        ("hf_of_nobody", ["--push", "lab/mid"], "refuses: "),
        (TOKEN, ["--push", "mid"], "owner/name is wanted"),
        (TOKEN, ["--push", "lab/open"], "is there already"),
        (TOKEN, ["--push", "lab/open", "--overwrite"], "is public, and was named without --public"),
        (TOKEN, ["--push", "lab/closed", "--overwrite", "--public"], "is private, and was named with --public"),
        (TOKEN, ["--push", "lab/mid", "--format", "jsonl"], "--push sends Parquet"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_computed_or_sent(
    token: str | None,
    arguments: list[str],
    message: str,
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.add("lab/open", private=False)
    hub.add("lab/closed", private=True)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("onoff_core.exchange.rl.export.select", None)  # calling it would be an error
    asked = ["export", "--model", "strong", "--what", "problems", "--output", str(tmp_path / "out"), *arguments]
    assert main(asked) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "hf_" not in said  # no token is ever shown
    assert not (tmp_path / "out").exists()
    assert {method for method, _ in hub.requests} <= {"GET"}
    assert token is not None or hub.requests == []


@pytest.mark.usefixtures("here")
def test_without_the_word_nothing_is_sent(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["export", "--model", "strong", "--what", "problems", "--output", str(tmp_path / "out")]) == 0
    assert hub.requests == []


@pytest.mark.usefixtures("here")
def test_a_public_one_is_asked_for(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.add("lab/open", private=False)
    assert check_hub("lab/open", public=True, overwrite=True).private is False
    assert check_hub("lab/new", public=True, overwrite=False).private is False
    assert check_hub("lab/new", public=False, overwrite=False).private is True


@pytest.mark.usefixtures("here")
def test_without_a_network_it_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{free_port()}")
    asked = ["export", "--model", "strong", "--what", "problems", "--output", str(tmp_path / "out")]
    assert main([*asked, "--push", "lab/mid"]) == 1
    assert "cannot be reached ([Errno 111] Connection refused), so nothing was computed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("here")
def test_a_network_that_is_lost_while_it_is_sent_leaves_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose(*_: object, **__: object) -> None:
        raise httpx2.ReadError("connection lost")

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("datasets.DatasetDict.push_to_hub", lose)
    asked = ["export", "--model", "strong", "--what", "problems", "--output", str(tmp_path / "out")]
    assert main([*asked, "--push", "lab/mid"]) == 1
    assert "was interrupted by the hub: connection lost. The files are in" in capsys.readouterr().err
    assert (tmp_path / "out" / "problems.parquet").exists()
