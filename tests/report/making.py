"""A small study over the fake engine with everything made, of which some responses are right and some are wrong."""

from pathlib import Path
from typing import Any

from onoff_core.grid.confidence import materialize_confidence
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.store import publish_catalog
from onoff_core.study import Study, load_study
from tests.conftest import write_study

GOLD = 11  # of the data set's problem q0
QUESTIONS = f"q,a\nWhat is 4 + 7? <b>,{GOLD}\nWhat is 5 + 7?,12\nWhat is 1 + 1?,2\n"
RIGHT, WRONG = f"4 + 7 = {GOLD}, so \\boxed{{{GOLD}}}", "I say <script>alert(1)</script> \\boxed{12}"
SECTIONS: dict[str, Any] = {
    "datasets": {"sums": {"path": "sums.csv", "question_column": "q", "answer_column": "a"}},
    "models": {
        "first": {
            "model_name": "fake",
            "backend_type": "fake",
            "backend_specific": {"script": {"responses": [RIGHT, WRONG, RIGHT, "no"]}},
        },
        "second_one": {
            "model_name": "fake",
            "backend_type": "fake",
            "backend_specific": {"script": {"responses": [WRONG, "no", WRONG, WRONG]}},
        },
    },
    "confidence": {},
    "sampling": {"max_length": 60, "num_samples": 4, "temperature": 0.7, "top_p": 0.95, "seed": 7},
}
FIRST, SECOND = "sums|first", "sums|second_one"


def make_study(folder: Path, **sections: Any) -> Study:
    """Make every asset of `sums|first` and `sums|second_one`."""
    (folder / "sums.csv").write_text(QUESTIONS)
    write_study(folder, None, **{**SECTIONS, **sections})
    study = load_study(folder / "onoff.yaml")
    store = open_store(study)
    for partition in study.partitions.values():
        materialize_samples(partition, store)
        materialize_rewards(partition, store)
        materialize_statistics(partition, store)
        materialize_token_distributions(partition, store)
        materialize_confidence(partition, store)
    publish_catalog(store)
    return study
