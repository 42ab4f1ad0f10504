"""The commands of docs/rl-data.md, run as they stand."""

import re
import shlex
from pathlib import Path

import pytest

from onoff_core.cli.main import main
from onoff_core.store import Store, connect_catalog
from onoff_core.study import load_study
from tests.conftest import ROOT
from tests.exchange.rl.hub import TOKEN, serving
from tests.exchange.rl.making import STRONG, WEAK, fake, fill, make_study

PAGE = (ROOT / "docs" / "rl-data.md").read_text()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with the page's names."""
    folder = tmp_path_factory.mktemp("page")
    make_study(
        folder,
        num_problems=4,
        datasets={"math": {"path": "d.jsonl"}},
        models={"qwen3-8b": fake(STRONG), "qwen3-14b": fake(WEAK)},
    )
    fill(folder)
    return folder


def commands() -> list[str]:
    return re.findall(r"(?m)^    onoff (.+)$", PAGE)


def test_the_commands_run(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(project)
    found = commands()
    assert len(found) >= 8
    with serving() as hub:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        sent = []
        monkeypatch.setattr("onoff_core.exchange.rl.hub.push", lambda written, target: sent.append(target.repository))
        for command in found:
            assert main(shlex.split(command)) == 0, (command, capsys.readouterr().err)
    assert sent == ["my-lab/math-mid"]
    written = {path.name for path in project.iterdir() if (path / "README.md").exists()}
    assert written == {"mid", "both", "mid-verl", "pairs", "rollouts"}


def test_the_query_runs(project: Path) -> None:
    (query,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    with connect_catalog(Store(load_study(project / "onoff.yaml").store_path)) as catalog:
        assert [row[1] for row in catalog.execute(query).fetchall()] == [0.5, 0.25, 0.5]


def test_the_tables_columns_are_there() -> None:
    from onoff_core.exchange.rl.problems import SHAPES

    for row in re.findall(r"(?m)^\| `(?:parquet|verl|trl)`.*$", PAGE):
        shape = re.findall(r"`(\w+)`", row)[0].replace("parquet", "plain")
        named = set(re.findall(r"`(\w+)[`:]", row.split("|")[2]))
        assert named <= {*SHAPES[shape].schema.names, "accuracy_reward"}, row
