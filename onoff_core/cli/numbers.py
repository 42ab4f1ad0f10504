"""Numbers of the command line: as they were meant, or what is wanted in their place."""

import argparse
from collections.abc import Callable


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """A type for `add_argument`: whole numbers from `least` on, up to `most` where there is one."""
    wanted = f"of at least {least}" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
            raise argparse.ArgumentTypeError(f"a whole number {wanted} is wanted, not {text!r}")
        return int(text)

    return read


def number(holds: Callable[[float], bool], wanted: str) -> Callable[[str], float]:
    """A type for `add_argument`: numbers for which something holds; `wanted` says what, such as "a share is wanted"."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not holds(value):
            raise argparse.ArgumentTypeError(f"{wanted}, not {text!r}")
        return value

    return read
