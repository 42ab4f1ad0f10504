"""The scripts' own shape, written: read again by a reader that knows their keys only, and never over another's file."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onoff_core import __version__
from onoff_core.cli.main import main
from onoff_core.distributions import load_distributions
from onoff_core.errors import ExchangeError
from onoff_core.exchange import ExportOptions, export_distributions, export_results
from onoff_core.exchange.importing import import_results
from onoff_core.exchange.outputs import write_outputs
from onoff_core.grid.materialize import materialize_rewards, materialize_statistics, materialize_token_distributions
from onoff_core.study import Outputs
from tests.conftest import MakeProject
from tests.exchange.conftest import Finished, quiet
from tests.exchange.handmade import KEY, PIECES, handmade_store, logprobs_of
from tests.exchange.independent_reader import read_distributions, read_responses
from tests.exchange.test_scripts_in import DISTRIBUTIONS, RESEARCH, SAMPLES, research_project

SCRIPTS = ExportOptions(shape="scripts", split="test")


def keys(value: Any) -> Any:
    """The names in a JSON, of lists those of the first entry."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value else None


def test_the_independent_reader_reads_what_the_scripts_wrote() -> None:
    responses, statistics = read_responses(SAMPLES)
    assert (len(responses), statistics["num_examples"]) == (6, 3)
    assert [len(d.token_ids) for d in read_distributions(DISTRIBUTIONS)] == [112, 113, 113, 113, 113, 115]


def longer(tiny_folder: Path, folder: Path) -> dict[str, Any]:
    """A section `models` with the small model made for longer texts: its tokens are short."""
    shutil.copytree(tiny_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 2048}))
    return {"tiny": {"model_name": str(folder), "backend_specific": {"device": "cpu"}}}


def test_their_files_come_out_as_they_went_in(make_project: MakeProject, tmp_path: Path, tiny_folder: Path) -> None:
    """Imported, graded, scored, exported in their shape, and read by a reader that knows only theirs."""
    models = longer(tiny_folder, tmp_path / "longer")
    partition, store = research_project(make_project, models=models, distribution={"top_k": 20})
    key = partition.dataset, partition.model
    import_results(partition, store, SAMPLES)
    for materialize in (materialize_rewards, materialize_statistics, materialize_token_distributions):
        materialize(partition, store, quiet)
    out = tmp_path / "out"
    export_results(store, key, out, SCRIPTS)
    export_distributions(store, key, out, SCRIPTS)
    theirs, their_statistics = read_responses(SAMPLES)
    ours, our_statistics = read_responses(out)
    assert ours == theirs
    for name in ("dataset", "num_examples", "num_samples_per_example", "total_samples", "overall_accuracy"):
        assert our_statistics[name] == their_statistics[name]
    assert our_statistics["average_response_length"] == pytest.approx(their_statistics["average_response_length"])
    scored = store.require("token_distributions", key).read().to_pylist()
    distributions = read_distributions(out)
    assert [d.response for d in distributions] == [r.response for r in theirs]
    rows = iter(scored)
    for found in distributions:
        for position, entropy in enumerate(found.per_token_entropy):
            row = next(rows)
            assert entropy == pytest.approx(row["entropy"])
            assert found.token_ids[position] == row["token_id"]
            np.testing.assert_allclose(
                found.probabilities[position, row["topk_ids"]], np.exp(row["topk_logprobs"]), rtol=1e-6
            )
    assert next(rows, None) is None


def test_every_key_of_theirs_is_in_ours(finished: Finished, tmp_path: Path) -> None:
    def without(value: dict[str, Any], *names: str) -> dict[str, Any]:
        return {name: inner for name, inner in value.items() if name not in names}

    export_results(finished.store, finished.key, tmp_path / "00-sample", SCRIPTS)
    export_distributions(finished.store, finished.key, tmp_path / "01-dist", SCRIPTS, statistics=True)
    for name in (
        "00-sample/results.json",
        "00-sample/statistics.json",
        "01-dist/distributions.json",
        "01-dist/statistics.json",
    ):
        ours, theirs = (json.loads((folder / name).read_text("utf-8")) for folder in (tmp_path, RESEARCH))
        assert ours["written_by"] == f"onoff {__version__}"
        assert without(ours, "written_by").keys() == theirs.keys()
        assert keys(ours.get("results")) == keys(theirs.get("results"))
        assert keys(ours.get("statistics")) == keys(theirs.get("statistics"))


def test_load_distributions_reads_it_too(finished: Finished, tmp_path: Path) -> None:
    export_distributions(finished.store, finished.key, tmp_path / "theirs", SCRIPTS)
    export_distributions(finished.store, finished.key, tmp_path / "ours")
    theirs, ours = load_distributions(tmp_path / "theirs"), load_distributions(tmp_path / "ours")
    assert theirs["prompts"] == ours["prompts"]
    for a, b in zip(theirs["results"], ours["results"], strict=True):
        for one, other in zip(a["samples"], b["samples"], strict=True):
            assert (one["text"], one["entropies"]) == (other["text"], other["entropies"])
            np.testing.assert_array_equal(np.asarray(one["distributions"]), np.asarray(other["distributions"]))


def test_the_whole_vocabulary_is_most_probable_first(tmp_path: Path) -> None:
    export_distributions(handmade_store(tmp_path, None), KEY, tmp_path / "out", SCRIPTS)
    with np.load(tmp_path / "out" / "distributions.npz") as arrays:
        indices, values = arrays["dist_0_indices"], arrays["dist_0_values"]
    assert (np.diff(values, axis=1) < 0).all()
    assert indices[1].tolist() == [1, 2, 3, 4, 5, 6, 7, 0]
    truth = np.exp(logprobs_of(6, len(PIECES)))
    np.testing.assert_allclose(read_distributions(tmp_path / "out")[0].probabilities, truth, rtol=1e-6)


def test_a_round_trip_in_their_shape_gives_the_same_rewards(finished: Finished, tmp_path: Path) -> None:
    export_results(finished.store, finished.key, tmp_path / "out", SCRIPTS)
    before = finished.store.require("rewards", finished.key).read().to_pylist()
    made = import_results(finished.partition, finished.store, tmp_path / "out")
    assert (made.comparison.num_compared, made.comparison.differences) == (12, ())
    assert materialize_rewards(finished.partition, finished.store, quiet).generation.read().to_pylist() == before


def test_the_command_writes_either_shape(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--output", "theirs", "--shape", "scripts"]) == 0
    responses, statistics = read_responses(Path("theirs"))
    assert len(responses) == 12
    assert statistics["dataset"] == "arithmetic (test)"
    assert len(read_distributions(Path("theirs"))) == 12
    assert main(["export", "--output", "ours"]) == 0
    assert isinstance(json.loads(Path("ours/results.json").read_text())["results"][0]["samples"][0], str)
    assert main(["export", "--output", "dense", "--shape", "scripts", "--dense"]) == 1
    assert "--dense goes with --shape described" in capsys.readouterr().err
    assert not Path("dense").exists()
    with pytest.raises(ExchangeError, match="'scripts' has indices and values"):
        export_distributions(finished.store, finished.key, Path("dense"), ExportOptions(shape="scripts", dense=True))


def test_another_programs_files_are_renamed_and_said(finished: Finished, tmp_path: Path) -> None:
    """The scripts' own four files stay whole, whatever is written beside them; ours are replaced."""
    out, said = tmp_path / "output", []
    shutil.copytree(DISTRIBUTIONS, out)
    shutil.copytree(SAMPLES, out, dirs_exist_ok=True)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    outputs = Outputs(results=out, distributions=out)
    for asset in ("statistics", "token_distributions"):
        write_outputs(outputs, finished.partition, finished.store, asset, said.append)
    kept = {path.name: path.read_bytes() for path in out.iterdir() if path.name not in before}
    assert sorted(kept.values()) == sorted(before.values())
    for name in before:
        stem, suffix = name.split(".")
        (aside,) = out.glob(f"{stem}.*.{suffix}")
        assert f"{out / name} was not written by onoff; it is {aside.name} now" in said
    assert len(read_responses(out)[0]) == 12
    (aside,) = out.glob("distributions.*.json")
    first = load_distributions(aside)["results"][0]["samples"][0]  # with the arrays that were renamed beside it
    assert first["distributions"].shape == (112, 49152)
    said.clear()
    for asset in ("statistics", "token_distributions"):
        write_outputs(outputs, finished.partition, finished.store, asset, said.append)
    assert said == []
    assert {path.name for path in out.iterdir()} == {*before, *kept}


@pytest.mark.parametrize("name", ["distributions.json", "distributions.npz"])
def test_whatever_another_program_wrote_there_is_kept(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for number, content in enumerate((b"", b"not what it is called", b'{"results": [], "written_by": "onoff 0.1.0"}')):
        (out / name).write_bytes(content)
        export_distributions(handmade_store(tmp_path / str(number), 2), KEY, out)
        assert content in {path.read_bytes() for path in out.iterdir() if path.name != name}


def test_a_pair_that_is_renamed_keeps_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long writing takes, and where the second's name is taken."""
    seconds = iter(range(100))
    monkeypatch.setattr("onoff_core.exchange.files.time.strftime", lambda form: f"time{next(seconds)}")
    shutil.copytree(DISTRIBUTIONS, tmp_path / "out")
    (tmp_path / "out" / "distributions.time0.npz").write_bytes(b"taken")
    export_distributions(handmade_store(tmp_path, 2), KEY, tmp_path / "out")
    (aside,) = (path for path in (tmp_path / "out").glob("distributions.*.json"))
    assert aside.name == "distributions.time0-2.json"
    assert load_distributions(aside)["results"][0]["samples"][0]["distributions"].shape == (112, 49152)


def test_an_export_over_an_export_leaves_one(tmp_path: Path) -> None:
    store = handmade_store(tmp_path, 2)
    for _ in range(2):
        export_distributions(store, KEY, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["distributions.json", "distributions.npz"]


def test_outputs_of_two_folders_have_statistics_each(finished: Finished, tmp_path: Path) -> None:
    outputs = Outputs(results=tmp_path / "a", distributions=tmp_path / "b")
    for asset in ("statistics", "token_distributions"):
        write_outputs(outputs, finished.partition, finished.store, asset)
    statistics = json.loads((tmp_path / "b" / "statistics.json").read_text())
    samples = finished.store.require("samples", finished.key).read()
    assert statistics["total_tokens"] == sum(samples["num_tokens"].to_pylist())
    assert statistics["input_file"] == str(tmp_path / "a" / "results.json")
