"""Numbers as text, of which none that is positive reads as zero: probabilities, masses of many tokens, nats.

The scripts of the components have the same two for probabilities (`components/probability.js`).
"""

_SURE = 1e-6  # of a mass: it is one less the probabilities of the others, in single precision


def fixed(value: float, digits: int) -> str:
    """With so many digits behind the point, and below what they can tell as `1.0e-6`; zero alone is `0`."""
    if value == 0:
        return "0"
    if abs(value) >= 10**-digits:
        return f"{value:.{digits}f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def signed(value: float, digits: int) -> str:
    """A difference with its sign; what rounds to zero has none, so that nothing reads as -0.0."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def signed_interval(ends: tuple[float, float], digits: int, times: float = 1) -> str:
    """`[-0.75, +0.16]`, of a difference; `times` 100 for points of one of shares."""
    return f"[{signed(times * ends[0], digits)}, {signed(times * ends[1], digits)}]"


def probability_text(probability: float) -> str:
    return fixed(probability, 4)


def mass_text(mass: float) -> str:
    """Of many tokens together; below a millionth the store cannot tell it from zero."""
    return "< 1e-6" if mass < _SURE else probability_text(mass)


def short(probability: float) -> float:
    """With as few digits as a page needs: six behind the point, or three that are not zero."""
    return round(probability, 6) if probability >= 1e-3 else float(f"{probability:.3g}")
