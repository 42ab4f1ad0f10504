r"""The structure of an answer as text: signs, brackets, sets by a condition, points with names, equations.

Normalised text in, plainer text out, before the parser sees it: what the parser cannot read, or reads as something else
(`(\pm 1, 0)` as three numbers, `A(1,2)` as a product), is written out here. Knows no values.
"""

import itertools
import re
from collections.abc import Sequence

from onoff_core.rewards.normalise import top_level_parts
from onoff_core.rewards.words import in_plain_text, qualifies

_SIGN = re.compile(r"\\(pm|mp)(?![A-Za-z])\s*")
_MOST_SIGNS = 4
_OPENS, _CLOSES = "([{", ")]}"


def with_signs_written_out(text: str) -> str:
    r"""`\frac{-1 \pm \sqrt{13}}{4}` -> both of its values, `(\pm 1, 0)` -> both points, in a list or in a set too.

    Several `\pm` in one expression are independent; where a `\mp` stands beside them, upper signs go with upper signs.
    """
    if not _SIGN.search(text):
        return text
    inner = _inside_set_braces(text)
    if inner is not None:
        return rf"\{{{with_signs_written_out(inner)}\}}"
    written: list[str] = []
    for part in top_level_parts(text):
        inner = _inside_set_braces(part)
        written += [rf"\{{{with_signs_written_out(inner)}\}}"] if inner is not None else _both_signs(part)
    return ", ".join(written)


def _both_signs(part: str) -> list[str]:
    signs = [match.group(1) for match in _SIGN.finditer(part)]
    if not signs or len(signs) > _MOST_SIGNS:
        return [part]
    choices: Sequence[Sequence[str]]
    if "mp" in signs:
        choices = [["+" if sign == "pm" else "-" for sign in signs], ["-" if sign == "pm" else "+" for sign in signs]]
    else:
        choices = list(itertools.product("+-", repeat=len(signs)))
    written = []
    for choice in choices:
        rest = iter(choice)
        one = _SIGN.sub(lambda match: next(rest), part)  # noqa: B023  (used up within the line)
        written.append(re.sub(r"(^|[({\[,=]\s*)\+", r"\1", one))
    return written


def _inside_set_braces(text: str) -> str | None:
    match = re.fullmatch(r"\s*\\\{(.*)\\\}\s*", text, re.DOTALL)
    return match.group(1) if match and "\\}" not in match.group(1) else None


_REVERSED = re.compile(r"([\[\]])([^\[\]()]*[,;][^\[\]()]*)([\[\]])")


def with_upright_brackets(text: str) -> str:
    """`]1,2[` -> `(1,2)`, `[1,2[` -> `[1,2)`: intervals as they are written in France."""
    if ("[" not in text and "]" not in text) or _nests(text, "[", "]"):
        return text

    def upright(match: re.Match[str]) -> str:
        left, ends, right = match.groups()
        return f"{'(' if left == ']' else '['}{ends.replace(';', ',')}{')' if right == '[' else ']'}"

    return _REVERSED.sub(upright, text)


def _nests(text: str, opening: str, closing: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == opening) - (character == closing)
        if depth < 0:
            return False
    return depth == 0


_SET_BUILDER = re.compile(
    r"^(?:[A-Z]\s*=\s*|(?:[a-z])\s*\\in\s*)?\\\{\s*(?P<name>[A-Za-z](?:_\{?\w\}?)?)\s*"
    r"(?:\\in\s*(?P<domain>\\mathbb\s*\{?\s*[A-Z]\s*\}?(?:\s*\^\s*\{?[+*]\}?)?|[RZNQ])\s*)?"
    r"(?:\\mid(?![A-Za-z])|\\middle\s*\||\\colon(?![A-Za-z])|:|\||;|\\text\s*\{\s*such that\s*\}|\\ni(?![A-Za-z]))\s*"
    r"(?P<condition>.+?)\s*\\\}$",
    re.DOTALL,
)
_MEMBER_OF_REALS = re.compile(r"^[A-Za-z]\s*\\in\s*(?:\\mathbb\s*\{?\s*R\s*\}?|R)$")


def set_condition(text: str) -> tuple[str, str | None, list[list[str]]] | None:
    r"""`\{x \in \mathbb{R} \mid 1 < x, x < 2\}` -> name, domain (None: the reals), conditions; None for another text.

    Of the conditions, one list has to hold as a whole: `1 < x, x < 2 \lor x > 5` has two.
    """
    match = _SET_BUILDER.match(text)
    if not match:
        return None
    domain = re.sub(r"\\mathbb|[{}\s]", "", match["domain"] or "")
    conditions = [
        [part for part in top_level_parts(cases) if not _MEMBER_OF_REALS.match(part)]
        for cases in re.split(r"\\lor(?![A-Za-z])", match["condition"])
    ]
    return match["name"], domain if domain not in ("", "R") else None, conditions


_POINT = re.compile(r"^[A-Z](?:_\{?\w\}?)?'*\s*(?=\()")


def without_point_names(text: str) -> str | None:
    """`A(1,2), B(3,4)` -> `(1,2), (3,4)`; None where a part is no point with a name."""
    parts = top_level_parts(text)
    if not all(_POINT.match(part) and "," in part and part.endswith(")") for part in parts):
        return None
    return ", ".join(_POINT.sub("", part) for part in parts)


_TRANSPOSED = re.compile(
    r"^(?:\(|\[|\\langle\s*)(?P<entries>(?:[^()\[\]]|\([^()]*\))*?)(?:\)|\]|\\rangle)\s*\^\s*\{?\s*"
    r"(?:\\top|\\intercal|T|\\(?:text|mathrm|mathsf|mathbf|mathit|rm)\s*\{?\s*T\s*\}?)\s*\}?$",
    re.DOTALL,
)
_TRANSPOSE_SIGN = re.compile(
    r"(?<=\\end\{[bp]matrix\})\s*\^\s*\{?\s*(?:\\top|\\intercal|\\(?:text|mathrm|mathsf)\s*\{\s*T\s*\})\s*\}?$"
)
_ANGLED = re.compile(r"\\langle\s*([^<>]*?)\s*\\rangle")


def with_columns_written_out(text: str) -> str:
    r"""`(1,2)^T` and `\langle 1,2 \rangle` -> the column vector."""
    match = _TRANSPOSED.match(text)
    if match:
        return _column(match["entries"]) or text
    text = _TRANSPOSE_SIGN.sub("^T", text)
    return _ANGLED.sub(lambda found: _column(found.group(1)) or found.group(), text)


def _column(entries: str) -> str | None:
    parts = top_level_parts(entries)
    if len(parts) < 2 or not all(parts):
        return None
    return r"\begin{pmatrix}" + r" \\ ".join(parts) + r"\end{pmatrix}"


_UNIT_VECTOR = re.compile(
    r"\\(?:mathbf|vec|hat|widehat|overrightarrow)\s*(?:\{\s*(?:\\mathbf\s*)?\{?\s*(?:\\([ij])math|([ijk]))\s*\}?\s*\}"
    r"|(?:\\([ij])math|([ijk]))(?![A-Za-z]))"
)
_OF_A_UNIT_VECTOR = re.compile(r"\s*([+-]?)\s*([^-+=<>,]*(?:\{[^{}]*\}[^-+=<>,]*)*|\([^()]*\))\s*(?:\\cdot|\*)?\s*")


def with_unit_vectors_written_out(text: str) -> str:
    r"""`3\mathbf{i} + 4\mathbf{j}` -> `\langle 3,4 \rangle`, also with `\vec` and `\hat`; any other text as it is."""
    found, begin = {}, 0
    for match in _UNIT_VECTOR.finditer(text):
        letter = next(group for group in match.groups() if group)
        coefficient = _OF_A_UNIT_VECTOR.fullmatch(text, begin, match.start())
        if coefficient is None or letter in found or (begin and not coefficient[1]):
            return text
        found[letter] = coefficient[1].replace("+", "") + (coefficient[2].strip() or "1")
        begin = match.end()
    if len(found) < 2 or text[begin:].strip():
        return text
    return rf"\langle {','.join(found.get(letter, '0') for letter in ('ijk' if 'k' in found else 'ij'))} \rangle"


def without_angle_brackets(text: str) -> str | None:
    r"""`\langle 1,2 \rangle` -> `(1,2)`; None where there are none."""
    shorter = _ANGLED.sub(r"(\1)", text)
    return shorter if shorter != text else None


_RELATION_SIGN = re.compile(
    r"[<>]|\\(?:le|ge|ne|neq|in|notin|to|equiv|approx|sim|implies|iff|Rightarrow|rightarrow|lt|gt|mid|pmod)(?![A-Za-z])"
)


def sides_of(text: str) -> list[str] | None:
    """What stands between the equals signs of an equation or a chain of them; None where it is not one, or more."""
    sides, depth, begin = [], 0, 0
    for place, character in enumerate(text):
        if character in _OPENS:
            depth += 1
        elif character in _CLOSES:
            depth -= 1
        elif character == "=" and depth == 0:
            before, behind = text[place - 1 : place], text[place + 1 : place + 2]
            is_factorial = re.search(r"[\d)]!$", text[:place]) is not None  # 3!=6
            if (before and before in "<>!:=\\" and not is_factorial) or behind == "=":
                return None
            sides.append(text[begin:place].strip())
            begin = place + 1
    sides.append(text[begin:].strip())
    if len(sides) < 2 or not all(sides) or any(_RELATION_SIGN.search(_top_level(side)) for side in sides):
        return None
    return sides


def _top_level(text: str) -> str:
    kept, depth = [], 0
    for character in text:
        depth -= character in _CLOSES
        if depth == 0:
            kept.append(character)
        depth += character in _OPENS
    return "".join(kept)


_GREEK = (
    "alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|vartheta|iota|kappa|lambda|mu|nu|xi|rho|sigma|tau|phi"
    "|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Sigma|Phi|Psi|Omega|ell|hbar|pi"
)
_INDEX = r"(?:\s*_\s*(?:\{[^{}]*\}|\\?\w+))?"
_MARKS = r"(?:'|\s*\^\s*(?:\{?\s*\*\s*\}?|\{?\s*\(\d\)\s*\}?|\{\s*'+\s*\}))*"
_DECORATION = (
    r"\\(?:overline|bar|hat|vec|tilde|widehat|widetilde|overrightarrow|overarc"
    r"|mathcal|mathbb|mathfrak|mathscr|dot|ddot)"
)
_ATOM = (
    rf"(?:[A-Za-z]|\\(?:{_GREEK})(?![A-Za-z])|{_DECORATION}\s*(?:\{{\s*[A-Za-z]+\s*\}}|[A-Za-z]))"
    rf"{_MARKS}{_INDEX}{_MARKS}"
)
_FIGURE = (
    r"(?:m\s*(?=\\))?(?:\\(?:angle|triangle|measuredangle|sphericalangle|overline|overarc|widehat|parallel)\s*)*\{?\s*"
    r"(?:[A-Z]'?(?:_\{?\w\}?)?){1,6}\s*\}?"
)
_ANGLE = rf"(?:m\s*)?\\(?:angle|measuredangle)\s*(?:\{{\s*)?{_ATOM}(?:\s*\}})?"
_MEASURED = rf"{_FIGURE}|[zw]|\\(?:vec|mathbf|overrightarrow)\s*\{{?\w+\}}?|[A-Z](?:\s*\\c[au]p\s*[A-Z])+"
_BARS = rf"(?:(?:\||\\\|)\s*(?:{_MEASURED})\s*(?:\||\\\|)|\\\|\s*[a-z]\s*\\\|)"
_AREA = rf"\[\s*{_FIGURE}\s*\]"
_POWER = r"(?:\s*\^\s*\{?\d\}?)?"
_DIFFERENCE = rf"(?:\\Delta\s*{_ATOM}|\\frac\s*\{{\s*d{_POWER}\s*{_ATOM}\s*\}}\s*\{{\s*d\s*{_ATOM}{_POWER}\s*\}})"
_SIZE = r"(?:n\s*\(\s*[A-Z](?:\s*\\c[au]p\s*[A-Z])*\s*\)|\\#\s*[A-Z])"  # of a set
_LONE = re.compile(rf"(?:{_ATOM}|{_FIGURE}|{_ANGLE}|{_BARS}|{_AREA}|{_DIFFERENCE}|{_SIZE})")
_OF_ONE = re.compile(
    r"\\(?:sin|cos|tan|cot|sec|csc|arg|deg|det|dim|operatorname\s*\{\w+\})"
    rf"\s*(?:\(\s*)?(?:{_ATOM}|{_ANGLE}|{_FIGURE})\s*\)?"
)
_EXTREME = re.compile(
    r"\\(?:max|min|sup|inf|Re|Im|Pr|operatorname\s*\{(?:max|min|Var|Re|Im|lcm)\})(?![A-Za-z]).*", re.DOTALL
)
_APPLIED = re.compile(
    rf"(?P<name>{_ATOM}|[A-Z][A-Za-z]+|\\Pr|\\mathbb\s*\{{\s*[PE]\s*\}})(?P<inverse>\s*\^\s*\{{\s*-1\s*\}}|\^\s*\d)?\s*"
    r"(?P<argument>[(\[].*[)\]])",
    re.DOTALL,
)
_NEVER_FUNCTIONS = frozenset("abcdijklmnotxyz")


def is_lone_name(side: str) -> bool:
    r"""Whether a side of an equation only names something: `x`, `a_1`, `AB`, `\angle ABC`, `f(2)`, `\text{Area}`.

    A product or a power is no name: `2x`, `xy`, `x^2`, `x(x+1)`. Two capitals are a segment, not a product.
    """
    side = side.strip()
    if _LONE.fullmatch(side) or _OF_ONE.fullmatch(side) or _EXTREME.fullmatch(side):
        return True
    if _names_something(side):
        return True
    names = _inside_parentheses(side)
    if names is not None and len(top_level_parts(names)) > 1:
        return all(_LONE.fullmatch(part) for part in top_level_parts(names))
    applied = _APPLIED.fullmatch(side)
    if not applied or not _inside_parentheses(applied["argument"]):
        return False
    argument = _inside_parentheses(applied["argument"]) or ""
    return applied["name"][:1] not in _NEVER_FUNCTIONS or (argument.strip() == "t" and applied["inverse"] is None)


_WORDS_OF_A_NAME = re.compile(  # no 2x among them: that is reckoned with
    r"(?:(?:[A-Za-z]{2,}|[A-Za-z]|\d+|\([A-Za-z0-9\s]*\)|\\(?:triangle|angle)\s*[A-Z]+|[A-Za-z]+(?:'s|-[a-z]+))[,.]?(?:\s+|$))+"
)


def _names_something(side: str) -> bool:
    """Words such as `Area`, or `Cost for 3 items`, perhaps with a name behind: `Area of ABC`."""
    plain = in_plain_text(side)
    has_wrapper = plain != re.sub(r"\s+", " ", side).strip(" .,;")
    word = re.match(r"(?:the )?[A-Za-z]{3,}\b", plain)
    if has_wrapper and re.fullmatch(r"[A-Z]{1,4}", plain):  # a figure by its corners
        return True
    if not has_wrapper and (list(plain) == sorted(plain) or set(plain) <= set("wxyz")):
        return False  # abcd is a product
    is_name = bool(word) and (has_wrapper or " " in plain or len(plain) > 3)
    return is_name and bool(_WORDS_OF_A_NAME.fullmatch(plain)) and not qualifies(plain)


def _inside_parentheses(text: str) -> str | None:
    """What stands in the one pair of brackets around a whole text."""
    if text[:1] not in ("(", "[") or text[-1:] not in (")", "]"):
        return None
    depth = 0
    for place, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth == 0 and place < len(text) - 1:
            return None
    return text[1:-1] if depth == 0 else None
