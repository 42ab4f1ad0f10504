"""Contrast and order of the ramps."""

import pytest

from onoff_assets.browser.colour import HUES, LEVELS, contrast, fills, luminance, ramp_css, text_on
from onoff_assets.browser.measures import ENTROPY, MEASURES


def test_contrast_of_known_pairs() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("hue", HUES.values())
def test_text_on_every_fill_reads(hue: int) -> None:
    for fill in (*fills(hue)[0], *fills(hue)[1]):
        assert contrast(fill, text_on(fill)) >= 4.5, fill


@pytest.mark.parametrize("hue", HUES.values())
def test_higher_is_darker_on_light_and_brighter_on_dark(hue: int) -> None:
    light, dark = ([luminance(fill) for fill in ramp] for ramp in fills(hue))
    assert light == sorted(light, reverse=True)
    assert dark == sorted(dark)


def test_css_has_every_level() -> None:
    for name in HUES:
        for level in range(1, LEVELS + 1):
            assert f".{name}{level}{{" in ramp_css()


def test_levels_follow_the_edges() -> None:
    assert [ENTROPY.level(value) for value in (0, 0.04, 0.05, 0.69, 1.0, 2.4, 9.0)] == [0, 0, 1, 3, 4, 5, 6]
    assert all(list(measure.edges) == sorted(measure.edges) for measure in MEASURES)
