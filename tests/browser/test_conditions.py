"""What a page says of the temperature of its numbers, and of that at which a response was drawn."""

import pytest

from onoff_assets.browser.bars import as_payload
from onoff_assets.browser.conditions import Conditions, conditions_of
from onoff_assets.browser.reading import Reader
from onoff_core.store import Store
from onoff_core.study import SamplingSettings


@pytest.mark.parametrize(
    ("temperature", "sampling", "said", "drawn_at", "hint"),
    [
        (1.0, SamplingSettings(temperature=0.3, top_p=0.9), "drawn at temperature 0.3, top-p 0.9", 0.3, True),
        (1.0, SamplingSettings(temperature=1.0, top_k=40), "drawn at temperature 1, top-k 40", 1.0, True),
        (1.0, SamplingSettings(do_sample=False), "drawn greedily (temperature 0)", 0.0, True),
        (1.0, SamplingSettings(temperature=0.0), "drawn greedily (temperature 0)", 0.0, True),
        (0.7, SamplingSettings(temperature=1.0), "the model's at temperature 0.7, not truncated", 1.0, True),
        (0.7, SamplingSettings(temperature=0.7), "at temperature 0.7, at which the response was drawn", 0.7, False),
        (1.0, None, "drawn in a way that is not known", None, False),
    ],
)
def test_both_temperatures_are_said(
    temperature: float, sampling: SamplingSettings | None, said: str, drawn_at: float | None, hint: bool
) -> None:
    conditions = Conditions(temperature, sampling)
    assert said in conditions.sentence
    assert f"at temperature {temperature:g}" in conditions.sentence
    assert conditions.drawn_at == drawn_at
    assert bool(conditions.lens_hint) == hint


def test_of_two_beside_each_other_each_is_told() -> None:
    cold, warm = (Conditions(1.0, SamplingSettings(temperature=t, top_p=1.0)) for t in (0.3, 1.0))
    said = cold.sentence_beside(warm)
    assert "models' at temperature 1, not truncated; the left response was drawn at temperature 0.3, the right" in said
    assert cold.sentence_beside(cold) == cold.sentence
    other = Conditions(0.5, warm.sampling)
    assert "at temperature 0.5 and at temperature 1, not" in other.sentence_beside(warm)


def test_a_partition_s_are_those_of_its_manifests(made_store: Store) -> None:
    reader = Reader(made_store)
    responses = reader.responses(("d", "m"))
    found = conditions_of(reader, responses, reader.distributions(responses))
    assert (found.temperature, found.drawn_at) == (1.0, 0.6)
    assert as_payload([], "", "", None, 0.5)["at"] == 0.5
