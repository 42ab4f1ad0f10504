"""Whoever sees two of the three kinds of colour can tell apart what the pages tell apart by colour.

Complete protanopia, deuteranopia and tritanopia by the matrices of Machado, Oliveira and Fernandes (2009, "A
Physiologically-based Model for Simulation of Color Vision Deficiency", severity 1), on linear sRGB. Distances are in
OKLAB (Ottosson 2020), where 0.02 is about what one can just tell apart.
"""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onoff_assets.browser import components
from onoff_assets.browser.colour import HUES, fills
from onoff_assets.browser.views.charts import COLOURS, colours

COMPONENTS = Path(components.__file__).parent
PAGES = ("#ffffff", "#0e1117")
AS_SEEN_WITH = {
    "all three": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _seen(colour: str, eyes: NDArray[np.float64]) -> NDArray[np.float64]:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return _LAB @ np.cbrt(_LMS @ np.clip(eyes @ linear, 0, 1))


def distance(first: str, second: str, eyes: NDArray[np.float64]) -> float:
    return math.dist(_seen(first, eyes), _seen(second, eyes))


def test_red_and_green_that_only_colour_tells_apart_come_near() -> None:
    """What the simulation is for: of equal lightness, they are far apart for all three kinds alone."""
    red, green = "#c8553d", "#5c8a3a"
    assert distance(red, green, AS_SEEN_WITH["all three"]) > 0.2
    assert distance(red, green, AS_SEEN_WITH["deuteranopia"]) < 0.1


@pytest.mark.parametrize("eyes", AS_SEEN_WITH.values(), ids=AS_SEEN_WITH)
@pytest.mark.parametrize("hue", HUES.values(), ids=HUES)
def test_neighbouring_levels_of_a_ramp(hue: int, eyes: NDArray[np.float64]) -> None:
    for theme, page in zip(fills(hue), ("#ffffff", "#0e1117"), strict=True):
        for lower, upper in itertools.pairwise((page, *theme)):
            assert distance(lower, upper, eyes) > 0.03, (lower, upper)


@pytest.mark.parametrize("eyes", AS_SEEN_WITH.values(), ids=AS_SEEN_WITH)
def test_what_is_stale_is_not_what_is_wrong(eyes: NDArray[np.float64]) -> None:
    """No badge of the strip has the fill of a wrong answer; each has a sign of its own as well."""
    strip, page = ((COMPONENTS / name).read_text() for name in ("facts_strip.css", "token_view.css"))
    [wrong] = re.findall(r"#verdict\.wrong \.facts > b \{ background: light-dark\((#\w+), (#\w+)\)", page)
    fills = {
        tone: (re.findall(rf"\.state\.{tone} \{{ background: light-dark\((#\w+), (#\w+)\)", strip) or [PAGES])[0]
        for tone in ("good", "stale", "running", "begun")
    }
    for theme, fill in itertools.product((0, 1), fills.values()):
        assert distance(fill[theme], wrong[theme], eyes) > 0.03
    signs = re.findall(r'\.state\.\w+::before \{ content: "(.) " / "" ; \}'.replace(" ;", ";"), strip)
    assert len(set(signs)) == len(signs) == len(fills)


@pytest.mark.parametrize("eyes", AS_SEEN_WITH.values(), ids=AS_SEEN_WITH)
@pytest.mark.parametrize("drawn", [COLOURS, colours(7)], ids=["right and wrong", "models"])
def test_lines_of_a_chart(drawn: list[str], eyes: NDArray[np.float64]) -> None:
    for first, second in itertools.combinations(drawn, 2):
        assert distance(first, second, eyes) > 0.05, (first, second)
