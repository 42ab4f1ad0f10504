"""What a study may say of references, and what it is told where that cannot be."""

from pathlib import Path
from typing import Any

import pytest

from onoff_core.errors import SettingsError
from onoff_core.study import Study, parse_study
from tests.conftest import tiny_model

MODELS = ("rl", "base", "other")


def study(scored_by: Any = None, **sections: Any) -> Study:
    models: dict[str, Any] = {name: tiny_model(None) for name in MODELS}
    if scored_by is not None:
        models["rl"]["scored_by"] = scored_by
    raw = {"datasets": {"arithmetic": {}}, "models": models, **sections}
    return parse_study(raw, Path("/study/onoff.yaml"))


def references(found: Study) -> dict[str, list[str]]:
    return {one.model: [reference.name for reference in one.references] for one in found.partitions.values()}


def test_none_are_asked_for_by_default() -> None:
    assert references(study()) == {"rl": [], "base": [], "other": []}


def test_of_one_model_and_of_all() -> None:
    assert references(study(["base"])) == {"rl": ["base"], "base": [], "other": []}
    every = {"cross": {"references": ["base", "other"]}}
    assert references(study(**every)) == {"rl": ["base", "other"], "base": ["other"], "other": ["base"]}
    assert references(study([], **every))["rl"] == []
    assert references(study(["other"], **every))["rl"] == ["other"]


@pytest.mark.parametrize(
    ("scored_by", "cross", "says"),
    [
        (["bse"], {}, "models.rl.scored_by: there is no model 'bse'; did you mean 'base'?"),
        (["rl"], {}, "models.rl.scored_by: rl is the model itself"),
        (["base", "base"], {}, "models.rl.scored_by: names base twice"),
        ("base", {}, "models.rl.scored_by: a list is wanted"),
        (None, {"references": ["nope"]}, "cross.references: there is no model 'nope'"),
        (None, {"reference": ["base"]}, "cross.reference: unknown key; did you mean 'references'?"),
        (None, {"top_k": 0}, "cross.top_k: "),
        (None, {"divergence": "exactly"}, "cross.divergence: "),
        (None, {"divergence": "bounds", "solutions": True}, "solutions have none"),
        (None, {"load": "apart"}, "cross.load: "),
    ],
)
def test_a_mistake_is_a_sentence_that_names_it(scored_by: Any, cross: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as raised:
        study(scored_by, cross=cross)
    assert says in str(raised.value)
    assert "/study/onoff.yaml: " in str(raised.value)
