"""How a partition's results are written for other programs."""

from dataclasses import dataclass
from typing import Literal, get_args

# described: the shape that the research scripts' description shows; scripts: the one that they write and read.
Shape = Literal["described", "scripts"]
SHAPES: tuple[Shape, ...] = get_args(Shape)


@dataclass(frozen=True)
class ExportOptions:
    """How files are written."""

    use_logits: bool = False  # logits (divided by the temperature) instead of probabilities
    dense: bool = False  # (num_tokens, vocab_size) arrays of top-k distributions too, 0 (or -inf) outside
    legacy_token_strings: bool = False  # each token decoded alone and stripped; the shape `scripts` always has it so
    shape: Shape = "described"
    split: str | None = None  # of the data set, which the shape `scripts` names; None: it is not known
    input_file: str | None = None  # the results file that the shape `scripts` names beside distributions
