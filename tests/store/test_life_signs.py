"""What a run says of itself beside its lock: it goes with the lock, and nothing depends on it."""

from pathlib import Path

import pytest

from onoff_core.errors import MissingInputError
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_rewards, materialize_samples, materialize_token_distributions
from onoff_core.progress import Progress
from onoff_core.store import Store
from onoff_core.store import store as store_module
from onoff_core.store.life_signs import Signs, find_sign
from onoff_core.study import load_study
from tests.conftest import MakeProject

KEY = ("d", "m")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_it_goes_with_the_lock_and_a_reader_says_that_a_run_is_at_it(store: Store, tmp_path: Path) -> None:
    generation = store.generation("samples", KEY, "a" * 16)
    with pytest.raises(MissingInputError, match="run: mkdir"):
        store.require("samples", KEY)
    with store.writing(generation):
        assert find_sign(store.files, "samples", KEY) is None
        progress = Progress("sampling", 4, lambda line: None, sign=Signs(generation))
        sign = find_sign(store.files, "samples", KEY)
        assert sign is not None
        assert (sign.done, sign.total, sign.unit, sign.is_going) == (0, 4, "responses", False)
        for begin in (lambda: None, lambda: generation.begin({})):
            begin()
            with pytest.raises(MissingInputError, match=r"a run (has begun to make it|is making it now)") as raised:
                store.require("samples", KEY)
            assert "run: " not in str(raised.value)
        (tmp_path / "samples/d/m/.progress.json").write_text('{"done": "many"}')
        assert find_sign(store.files, "samples", KEY) is None
    assert progress.done == 0
    assert list((tmp_path / "samples/d/m").glob(".progress*")) == []
    with pytest.raises(MissingInputError, match=r"was interrupted .*run: mkdir"):
        store.require("samples", KEY)


def test_a_run_whose_sign_cannot_be_written_goes_on(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    generation = store.generation("samples", KEY, "a" * 16)
    with store.writing(generation):
        (tmp_path / "samples/d/m/.progress.json").mkdir()
        signs = Signs(generation)
        for _ in range(2):
            signs(Progress("sampling", 4, lambda line: None))
    assert [("it goes on" in message, "stays" in message) for message in caplog.messages] == [
        (True, False),
        (False, True),
    ]


def test_every_asset_of_a_run_leaves_signs(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project()
    study = load_study()
    [partition], store = study.partitions.values(), open_store(study)
    monkeypatch.setattr(store_module, "remove_sign", lambda *of: None)
    made = {
        "samples": materialize_samples,
        "rewards": materialize_rewards,
        "token_distributions": materialize_token_distributions,
    }
    for asset, materialize in made.items():
        materialize(partition, store)
        sign = find_sign(store.files, asset, partition.names)
        assert sign is not None, asset
        assert (sign.total, sign.unit) == (12, "responses")
