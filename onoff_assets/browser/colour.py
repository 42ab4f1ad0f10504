"""Colour ramps, six fills of one hue for each theme, and the arithmetic that shows that text on them can be read.

Colours are made in OKLCH, where equal steps look equal (Ottosson 2020, "A perceptual color space for image
processing"); contrast is WCAG 2.2's (success criterion 1.4.3: at least 4.5 to 1). Level 0 is the page itself.
"""

import math

LEVELS = 6
HUES = {"e": 48, "w": 250}  # e: how unsure (orange); w: reward (blue)
# (lightness, chroma) of levels 1 to 6: away from the page, so darker on light and brighter on dark.
_LIGHT_STEPS = ((0.955, 0.035), (0.90, 0.075), (0.835, 0.12), (0.75, 0.16), (0.565, 0.16), (0.45, 0.13))
_DARK_STEPS = ((0.24, 0.035), (0.31, 0.06), (0.40, 0.085), (0.50, 0.11), (0.70, 0.14), (0.84, 0.125))
_INK, _PAPER = "#1a1c24", "#ffffff"


def _linear_rgb(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def hex_of(lightness: float, chroma: float, hue: float) -> str:
    """The sRGB colour; its chroma is lowered until it is in the gamut."""
    while True:
        linear = _linear_rgb(lightness, chroma, hue)
        if chroma <= 0 or all(-1e-4 <= value <= 1.0001 for value in linear):
            break
        chroma -= 0.002
    return "#" + "".join(f"{round(255 * _gamma(min(1.0, max(0.0, value)))):02x}" for value in linear)


def _gamma(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1, of `#rrggbb`."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """WCAG's ratio, 1 to 21."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def text_on(fill: str) -> str:
    """Ink or paper, whichever reads better on the fill."""
    return max((_INK, _PAPER), key=lambda text: contrast(fill, text))


def fills(hue: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Levels 1 to 6 of the light and of the dark theme."""
    light = tuple(hex_of(lightness, chroma, hue) for lightness, chroma in _LIGHT_STEPS)
    dark = tuple(hex_of(lightness, chroma, hue) for lightness, chroma in _DARK_STEPS)
    return light, dark


def ramp_css() -> str:
    """Classes .e1 to .e6 and .w1 to .w6: each sets a fill, and the colour of text on it, by the theme.

    Streamlit sets `color-scheme` on the app's root, and `light-dark()` follows it into a component.
    """
    return "".join(
        f".{name}{level}{{background:light-dark({light},{dark});color:light-dark({text_on(light)},{text_on(dark)})}}\n"
        for name, hue in HUES.items()
        for level, (light, dark) in enumerate(zip(*fills(hue), strict=True), start=1)
    )
