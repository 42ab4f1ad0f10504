"""What the catalog says of each result: whether it is of the study, whether it is stale, and why."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from onoff_core.grid import fingerprints
from onoff_core.grid.judging import open_store
from onoff_core.grid.leaderboard import comparisons, leaderboard_rows
from onoff_core.grid.problem_versions import current_problems_version
from onoff_core.grid.status import wanted_fingerprints
from onoff_core.store import CATALOG_NAME, Store, publish_catalog, reading_catalog
from onoff_core.study import load_study
from tests.store.making import PROBLEMS, filled

FOLLOWS = "made from former samples"
HUB: dict[str, Any] = {"model_name": "owner/name"}


def write(folder: Path, models: dict[str, Any], **sections: Any) -> Store:
    import yaml

    content = {"datasets": {"arithmetic": {"num_examples": 4}}, "models": models, **sections}
    (folder / "onoff.yaml").write_text(yaml.safe_dump(content))
    return open_store(load_study(folder / "onoff.yaml"))


def make(store: Store, folder: Path, good: dict[str, float]) -> None:
    """Every asset of every partition, as the settings say now; as many right as `good` says."""
    study = load_study(folder / "onoff.yaml")
    settings = {
        "samples": fingerprints.sampling_settings,
        "rewards": fingerprints.reward_settings,
        "token_distributions": fingerprints.distribution_settings,
    }
    version = current_problems_version("arithmetic", study.dataset("arithmetic"), study.base_dir, store)
    for partition in study.partitions.values():
        wanted = wanted_fingerprints(partition, version)
        inputs = {
            "samples": {"problems": version},
            "rewards": {"samples": wanted["samples"], "problems": version},
            "statistics": {"rewards": wanted["rewards"], "samples": wanted["samples"]},
            "token_distributions": {"samples": wanted["samples"]},
        }
        for asset, fingerprint in wanted.items():
            generation = store.generation(asset, partition.names, fingerprint)
            if asset == "statistics":
                rows = [{"num_problems": PROBLEMS, "num_samples": PROBLEMS, "accuracy": good[partition.model]}]
                generation.write_fragment(0, [filled(asset, rows)])
            if asset == "rewards":
                right = round(good[partition.model] * PROBLEMS)
                rows = [
                    {"problem_id": str(i), "sample_index": 0, "status": "wrong", "reward": int(i < right)}
                    for i in range(PROBLEMS)
                ]
                generation.write_fragment(0, [filled(asset, rows)])
            told = settings[asset](partition) if asset in settings else {}
            generation.complete(inputs[asset], told, {})
            store.make_current(generation)
    best = sorted(good, key=lambda model: -good[model])
    compared = store.generation("comparisons", ("arithmetic",), "-".join(best))
    rows = [{"first_model": first, "second_model": second} for first, second in combinations(best, 2)]
    compared.write_fragment(0, [filled("comparisons", rows)])
    compared.complete({}, {}, {})
    store.make_current(compared)
    publish_catalog(store)


def marks(store: Store, table: str = "generations", order: str = "asset, model") -> list[tuple[Any, ...]]:
    with reading_catalog(store) as connection:
        why = "" if table in ("statistics", "comparisons") else ", stale_because"
        names = {"generations": "asset, model", "comparisons": "first_model, second_model"}.get(table, "model")
        query = f"SELECT {names}, in_study, is_stale{why} FROM {table} WHERE dataset = 'arithmetic' ORDER BY ALL"
        return connection.execute(query).fetchall()


@pytest.fixture
def made(tmp_path: Path) -> Store:
    store = write(tmp_path, {"small": HUB, "large": {**HUB, "model_name": "owner/large"}})
    make(store, tmp_path, {"small": 0.25, "large": 0.75})
    return store


def test_what_the_settings_say_is_in_the_study_and_fresh(made: Store) -> None:
    assert len(marks(made)) == 9  # the comparisons are of all models
    assert {row[2:] for row in marks(made)} == {(True, False, None)}
    assert marks(made, "statistics") == [("large", True, False), ("small", True, False)]
    assert marks(made, "leaderboard") == [("large", True, False, None), ("small", True, False, None)]
    assert marks(made, "comparisons") == [("large", "small", True, False)]
    with reading_catalog(made) as connection:
        assert connection.execute("SELECT model FROM leaderboard").fetchall() == [("large",), ("small",)]


@pytest.mark.parametrize(
    ("sections", "stale", "because"),
    [
        ({"sampling": {"max_length": 12}}, {"samples": "sampling.max_length is 12, was 1024"}, FOLLOWS),
        ({"task": {"system_prompt": "Hm."}}, {"samples": "task.system_prompt is 'Hm.', was None"}, FOLLOWS),
        ({"distribution": {"top_k": 5}}, {"token_distributions": "top_k is 5, was 20"}, None),
    ],
)  # fmt: skip
def test_a_changed_setting_marks_just_what_it_decides_and_says_which(
    made: Store, tmp_path: Path, sections: dict[str, Any], stale: dict[str, str], because: str | None
) -> None:
    """At the next publication, also of a partition of which nothing has changed."""
    store = write(tmp_path, {"small": HUB, "large": {**HUB, "model_name": "owner/large"}}, **sections)
    publish_catalog(store)
    said = {row[0]: row[4] for row in marks(store) if row[3]}
    follows = {"rewards", "statistics", "token_distributions"} if because else set()
    assert set(said) == {*stale, *follows}
    assert {asset: said[asset] for asset in stale} == stale
    assert said.get("rewards") == because
    assert {row[3] for row in marks(store, "comparisons")} == {bool(because)}
    assert [row.dataset for row in leaderboard_rows(store)] == ["arithmetic"] * 2
    assert bool(comparisons(store)) == (because is None)
    assert {row.stale_because for row in leaderboard_rows(store)} == {said.get("statistics")}


def test_a_removed_model_is_told_from_present_ones(made: Store, tmp_path: Path) -> None:
    store = write(tmp_path, {"small": HUB})
    publish_catalog(store)
    assert {row[2:] for row in marks(store) if row[1] == "large"} == {(False, None, "not in the study")}
    assert {row[2:] for row in marks(store) if row[1] == "small"} == {(True, False, None)}
    assert marks(store, "statistics") == [("large", False, None), ("small", True, False)]
    assert marks(store, "comparisons") == [("large", "small", False, None)]
    assert [row.model for row in leaderboard_rows(store)] == ["small"]
    assert comparisons(store) == []
    again = write(tmp_path, {"small": HUB, "large": {**HUB, "model_name": "owner/large"}})
    publish_catalog(again)
    assert {row[2:] for row in marks(again)} == {(True, False, None)}


def test_other_problems_mark_all_that_was_made_from_the_former(made: Store, tmp_path: Path) -> None:
    store = write(
        tmp_path, {"small": HUB, "large": {**HUB, "model_name": "owner/large"}},
        datasets={"arithmetic": {"num_examples": 3}},
    )  # fmt: skip
    study = load_study(tmp_path / "onoff.yaml")
    current_problems_version("arithmetic", study.dataset("arithmetic"), study.base_dir, store)
    publish_catalog(store)
    assert {row[2:4] for row in marks(store) if row[0] != "comparisons"} == {(True, True)}
    assert {row[4] for row in marks(store) if row[0] == "samples"} == {"the data set has other problems now"}


def test_one_more_model_is_compared_with_the_others_alone(made: Store, tmp_path: Path) -> None:
    """And the catalog made anew says the same."""
    models = {name: {"model_name": f"owner/{name}"} for name in ("small", "large", "third")}
    models["small"] = HUB
    store = write(tmp_path, models)
    make(store, tmp_path, {"small": 0.25, "large": 0.75, "third": 0.5})
    pairs = [("large", "small"), ("large", "third"), ("third", "small")]
    assert [row[:2] for row in marks(store, "comparisons")] == pairs
    gone_on = [marks(store, table) for table in ("generations", "statistics", "leaderboard", "comparisons")]
    publish_catalog(store, rebuild=True)
    assert [marks(store, table) for table in ("generations", "statistics", "leaderboard", "comparisons")] == gone_on


def test_who_knows_no_study_says_nothing(made: Store) -> None:
    bare = Store(str(made.root))
    publish_catalog(bare, rebuild=True)
    assert {row[2:] for row in marks(bare)} == {(None, None, None)}
    assert [row.model for row in leaderboard_rows(bare)] == ["large", "small"]
    assert len(comparisons(bare)) == 1
    published = bare.files.version(CATALOG_NAME)
    publish_catalog(bare)
    assert bare.files.version(CATALOG_NAME) == published
    publish_catalog(made)  # who does know one says it
    assert {row[2:] for row in marks(made)} == {(True, False, None)}


def test_a_model_that_is_not_there_cannot_be_judged_and_keeps_nothing_from_being_published(
    made: Store, tmp_path: Path
) -> None:
    store = write(tmp_path, {"small": {"model_name": "./gone"}, "large": {**HUB, "model_name": "owner/large"}})
    publish_catalog(store)
    said = {row[2:4] for row in marks(store) if row[1] == "small"}
    assert said == {(True, None)}
    assert all("is not a folder" in row[4] for row in marks(store) if row[1] == "small")
