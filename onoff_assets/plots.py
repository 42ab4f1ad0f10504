"""A small plot for the Dagster UI: entropy by position, as a PNG inside Markdown. Arrays in, Markdown out."""

import base64
import io
from dataclasses import dataclass, field

import dagster as dg
import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT, _SCALE = 460, 170, 2  # points; drawn twice as fine
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 22, 30
_MAX_BINS = 200
_INK, _MUTED, _GRID, _LINE, _AREA = "#1f2937", "#6b7280", "#e5e7eb", "#4f46e5", "#eef2ff"

Floats = NDArray[np.float64]


@dataclass
class EntropyByPosition:
    """Sums over responses, position by position, from token distributions a table at a time."""

    total: Floats = field(default_factory=lambda: np.zeros(0))
    count: Floats = field(default_factory=lambda: np.zeros(0))

    def add(self, position: NDArray[np.int32], entropy: NDArray[np.float32]) -> None:
        """Tokens of any responses: their positions, and their entropies in nats."""
        size = max(len(self.total), int(position.max()) + 1 if len(position) else 0)
        total, count = np.zeros(size), np.zeros(size)
        total[: len(self.total)], count[: len(self.count)] = self.total, self.count
        np.add.at(total, position, entropy.astype(np.float64))
        np.add.at(count, position, 1)
        self.total, self.count = total, count

    @property
    def mean(self) -> float | None:
        """Nats a token, over all tokens; None where there is none."""
        return float(self.total.sum() / self.count.sum()) if self.count.sum() else None

    def binned(self) -> tuple[Floats, Floats, Floats]:
        """(first position, mean entropy in nats, share of responses that are that long) of at most 200 bins."""
        edges = np.unique(np.linspace(0, len(self.total), min(_MAX_BINS, len(self.total)) + 1).astype(int))[:-1]
        total, count = np.add.reduceat(self.total, edges), np.add.reduceat(self.count, edges)
        return edges.astype(float), total / count, self.count[edges] / self.count[0]


def entropy_plot(entropy: EntropyByPosition) -> dg.MarkdownMetadataValue | None:
    """Mean entropy by position as a line, over the share of responses still going as an area; None without tokens."""
    if entropy.mean is None:
        return None
    image = base64.b64encode(_png(*entropy.binned(), last=len(entropy.total))).decode()
    return dg.MetadataValue.md(f"![mean entropy by position](data:image/png;base64,{image})")


def _png(positions: Floats, means: Floats, shares: Floats, last: int) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=10 * _SCALE)
    top = max(float(means.max()) * 1.1, 0.1)

    def at(position: float, height: float) -> tuple[float, float]:
        x = _LEFT + position / max(1, last - 1) * (_WIDTH - _LEFT - _RIGHT)
        return x * _SCALE, (_HEIGHT - _BOTTOM - height * (_HEIGHT - _TOP - _BOTTOM)) * _SCALE

    area = [at(p, s) for p, s in zip(positions, shares, strict=True)]
    draw.polygon([at(0, 0), *area, at(float(positions[-1]), 0)], fill=_AREA)
    for fraction in (0.0, 0.5, 1.0):
        draw.line([at(0, fraction), at(last - 1, fraction)], fill=_GRID, width=_SCALE)
        x, y = at(0, fraction)
        draw.text((x - 6 * _SCALE, y), f"{fraction * top:.2f}", fill=_MUTED, font=font, anchor="rm")
    line = [at(p, m / top) for p, m in zip(positions, means, strict=True)]
    draw.line(line if len(line) > 1 else line * 2, fill=_LINE, width=2 * _SCALE, joint="curve")
    for fraction, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        x, y = at(fraction * (last - 1), 0)
        draw.text((x, y + 5 * _SCALE), f"{fraction * (last - 1):.0f}", fill=_MUTED, font=font, anchor=anchor)
    title = "mean entropy (nats) by position; shaded: share of responses that are that long"
    draw.text((_LEFT * _SCALE, 4 * _SCALE), title, fill=_INK, font=font)
    buffer = io.BytesIO()
    image.quantize(32).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
