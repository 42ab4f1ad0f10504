"""Sending an exported data set, to a hub on this machine."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from onoff_core.errors import ExchangeError
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


def refused(folder: Path, output: Path, hub: Hub, *arguments: str, **environment: str) -> str:
    """The message; nothing was computed, and nothing sent."""
    before = {name: dict(files) for name, files in hub.repositories.items()}
    done = export(folder, output, hub, *arguments, **environment)
    assert done.returncode == 1
    assert not output.exists()
    assert hub.repositories == before
    assert not [request for request in hub.requests if request[0] != "GET"]
    return done.stderr


def test_without_a_token_nothing_is_asked_of_the_hub(filled: Path, tmp_path: Path, hub: Hub) -> None:
    said = refused(filled, tmp_path / "out", hub, "--push", "lab/mid")
    assert "there is no token of the hub" in said
    assert "HF_TOKEN" in said
    assert hub.requests == []


def test_a_token_that_may_only_read_is_said_before(filled: Path, tmp_path: Path, hub: Hub) -> None:
    assert "may only read" in refused(filled, tmp_path / "out", hub, "--push", "lab/mid", HF_TOKEN=READ_ONLY)


def test_what_is_there_is_not_replaced_nor_shown_to_more_people(
    filled: Path, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, which has the library read its variables for good."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.add("lab/open", private=False)
    for asked, message in (
        ({"public": False, "overwrite": False}, "is there already"),
        ({"public": False, "overwrite": True}, "is public, and was named without --public"),
    ):
        with pytest.raises(ExchangeError, match=message):
            check_hub("lab/open", **asked)
    assert check_hub("lab/open", public=True, overwrite=True).private is False
    assert check_hub("lab/new", public=False, overwrite=False).private is True
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    with pytest.raises(ExchangeError, match=r"the hub at http://127.0.0.1:.* refuses"):
        check_hub("lab/new", public=False, overwrite=False)
    with pytest.raises(ExchangeError, match="owner/name is wanted"):
        check_hub("new", public=False, overwrite=False)


def test_without_the_word_nothing_is_sent(filled: Path, tmp_path: Path, hub: Hub) -> None:
    done = export(filled, tmp_path / "out", hub, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert hub.requests == []
