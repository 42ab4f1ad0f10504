"""What the documents and `onoff.yaml` tell a reader to write is valid."""

import re
import textwrap
from pathlib import Path

import pytest
import yaml

from onoff_core.study import DistributionSettings, SamplingSettings, TaskSettings, load_study
from tests.conftest import ROOT

SETTINGS = ROOT / "docs" / "settings.md"


def snippets(page: Path, section: str) -> list[str]:
    """The indented blocks of a page that begin with a section of the study."""
    blocks = re.findall(rf"(?m)^    {section}:\n(?:      .*\n)+", page.read_text())
    return [textwrap.dedent(block) for block in blocks]


def test_the_readmes_datasets_and_models_are_valid(tmp_path: Path) -> None:
    (datasets,), (models,) = (snippets(ROOT / "README.md", section) for section in ("datasets", "models"))
    (tmp_path / "onoff.yaml").write_text(datasets + models)
    assert list(load_study(tmp_path / "onoff.yaml").partitions) == ["aime2025|qwen3-8b", "mine|qwen3-8b"]


def test_the_documented_datasets_and_models_are_valid(tmp_path: Path) -> None:
    (datasets,), (models,) = (snippets(SETTINGS, section) for section in ("datasets", "models"))
    (tmp_path / "onoff.yaml").write_text(datasets + models)
    study = load_study(tmp_path / "onoff.yaml")
    assert list(study.datasets) == ["aime2025", "math", "mine", "theirs", "short"]
    partition = study.partition("theirs|qwen3-8b")
    assert partition.model_settings.backend_specific.torch_dtype == "bfloat16"
    assert (partition.task.template_type, partition.sampling.max_length) == ("model", 16384)


def test_the_commented_entries_of_the_study_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "onoff.yaml").read_text()
    uncommented = re.sub(r"(?m)^  # ( *[\w-]+: )", r"  \1", text)
    assert uncommented != text
    (tmp_path / "onoff.yaml").write_text(uncommented)
    study = load_study(tmp_path / "onoff.yaml")
    assert study.models["qwen3-8b"].model_name == "Qwen/Qwen3-8B"
    assert study.datasets["my_problems"].question_column == "problem"


@pytest.mark.parametrize(
    ("section", "settings"),
    [("task", TaskSettings), ("sampling", SamplingSettings), ("distribution", DistributionSettings)],
)
def test_the_documented_table_names_the_keys_there_are(section: str, settings: type[TaskSettings]) -> None:
    rows = re.findall(rf"(?m)^\| `{section}\.(\w+)`((?:, `\w+`)*) \|(.*)", SETTINGS.read_text())
    named = {name for first, more, meaning in rows for name in [first, *re.findall(r"\w+", more)]}
    named |= {"do_sample"} if section == "sampling" else set()  # told with temperature
    named |= {"reward_type"} if section == "task" else set()  # there is one
    assert named == set(settings.model_fields)


def test_the_study_names_every_key_of_the_sampling_and_distribution_settings() -> None:
    study = yaml.safe_load((ROOT / "onoff.yaml").read_text())
    assert set(study["sampling"]) == set(SamplingSettings.model_fields)
    assert set(study["distribution"]) == set(DistributionSettings.model_fields)


def test_every_link_within_the_documents_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text()
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith("http"):
                continue
            path, _, anchor = target.partition("#")
            there = page.parent / path if path else page
            assert there.exists() or there.suffix == ".png", f"{page.name}: {target}"
            if anchor:
                headings = re.findall(r"(?m)^#+ (.+)$", there.read_text())
                anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
                assert anchor in anchors, f"{page.name}: {target}"


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 9_000


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name
