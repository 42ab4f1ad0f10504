"""Two tokenizers side by side, and models whose tokenizers differ."""

import shutil
from pathlib import Path

import pytest

from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.checks import check_cross_scores
from onoff_core.cli.main import main
from onoff_core.cross.texts import Text
from onoff_core.cross.vocabulary import compare_vocabularies
from onoff_core.errors import ModelError
from onoff_core.grid.cross_scores import materialize_cross_scores
from tests.conftest import tiny_model
from tests.cross.conftest import Make
from tests.cross.test_materialize import NAMES, rows_of

PIECES = (b"a", b"b", b" the", b"<end>", *(bytes([byte]) for byte in range(100, 130)))


def vocabulary(pieces: tuple[bytes, ...] = PIECES, special: tuple[int, ...] = (3,)) -> Vocabulary:
    return Vocabulary(pieces, tuple(number in special or not piece for number, piece in enumerate(pieces)))


def test_the_same_ids_mean_the_same() -> None:
    found = compare_vocabularies(vocabulary(), vocabulary())
    assert found.reason_against is None
    assert not found.only_first | found.only_second


def test_rows_of_padding_are_no_difference() -> None:
    found = compare_vocabularies(vocabulary(), vocabulary((*PIECES, b"", b"")))
    assert found.reason_against is None
    assert found.rows == (len(PIECES), len(PIECES) + 2)
    assert found.facts["compared_vocab_size"] == len(PIECES)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (vocabulary((b"b", b"a", *PIECES[2:])), "token 0 is 'a' to one and 'b' to the other"),
        (vocabulary(special=(2, 3)), "token 2, ' the', is a special token of one"),
        (vocabulary(PIECES[:20]), "one has 34 tokens and the other 20"),
    ],
)
def test_what_means_something_else_is_named(other: Vocabulary, says: str) -> None:
    reason = compare_vocabularies(vocabulary(), other).reason_against
    assert reason is not None
    assert says in reason


def test_a_token_of_one_alone_is_refused_where_a_text_has_it() -> None:
    more = len(PIECES)
    found = compare_vocabularies(vocabulary((*PIECES, b"<think>"), (3, more)), vocabulary((*PIECES, b"")))
    assert found.reason_against is None
    assert found.only_first == {more}
    found.check(text_of((0, 1)), "rl", "base")
    for text in (text_of((0, more)), text_of((0,), prompt=(more, 1))):
        with pytest.raises(ModelError, match=rf"problem p, sample 4 has the token id {more}, .* models.base"):
            found.check(text, "rl", "base")


def text_of(ids: tuple[int, ...], prompt: tuple[int, ...] = (1,)) -> Text:
    return Text("p", 4, "response", "", prompt, "", ids, ())


@pytest.fixture
def other_tokenizer(other_folders: dict[str, Path], tmp_path: Path) -> Path:
    """The model `far` with a tokenizer in which two bytes have changed places."""
    folder = tmp_path / "other-tokenizer"
    shutil.copytree(other_folders["far"], folder)
    file = folder / "tokenizer.json"
    content = file.read_text()
    first, second = '"a": ', '"b": '
    ids = [content.split(mark)[1].split(",")[0] for mark in (first, second)]
    content = content.replace(f"{first}{ids[0]},", "@@").replace(f"{second}{ids[1]},", f"{second}{ids[0]},")
    file.write_text(content.replace("@@", f"{first}{ids[1]},"))
    return folder


def test_another_tokenizer_is_refused_and_compared_by_bytes_on_request(
    make_cross: Make, other_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {"swapped": tiny_model(other_tokenizer)}
    partition, store = make_cross(["swapped"], more=models)
    with pytest.raises(ModelError, match=r"models.tiny and models.swapped have different tokenizers.*'a'"):
        materialize_cross_scores(partition, store)
    capsys.readouterr()
    assert main(["check"]) == 1
    assert "model tiny: swapped cannot score its texts, for the tokenizers differ: token" in capsys.readouterr().err
    partition, store = make_cross(["swapped"], more=models, cross={"other_tokenizer": "text"}, sample=False)
    assert main(["check"]) == 0
    materialize_cross_scores(partition, store)
    rows = rows_of(store, "cross_responses", "swapped")
    assert {row["level"] for row in rows} == {"text"}
    assert rows_of(store, "cross_scores", "swapped") == []
    samples = {
        (row["problem_id"], row["sample_index"]): row for row in store.require("samples", NAMES).read().to_pylist()
    }
    for row in rows:
        sample = samples[row["problem_id"], row["sample_index"]]
        assert row["num_bytes"] == len(sample["response"].encode())
        ended = sample["finish_reason"] == "stop"
        own = sample["token_logprobs"][:-1] if ended else sample["token_logprobs"]
        assert row["sum_logprob"] == pytest.approx(sum(own), abs=1e-3)
        assert row["logprob_per_byte"] == pytest.approx(row["sum_logprob"] / row["num_bytes"])
        assert row["sum_reference_logprob"] < 0
        assert row["mean_kl"] is None
        assert row["effective_sample_size"] is None
    (statistics,) = rows_of(store, "cross_statistics", "swapped")
    assert statistics["level"] == "text"
    assert statistics["mean_kl"] is None
    reasons = {one["statistic"]: one["reason"] for one in statistics["missing"]}
    assert "tokenizers differ" in reasons["mean_kl"]
    assert statistics["reference_logprob_per_byte"] < 0
    assert all(evidence.holds for evidence in check_cross_scores(store, NAMES).values())
