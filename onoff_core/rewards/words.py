r"""What answers say in words: numbers (`five`), sets (`no solution`), a sentence or a choice around the value.

Knows English, and of mathematics only what a number looks like.
"""

import re
from dataclasses import dataclass

import sympy

from onoff_core.boxes import closing_braces
from onoff_core.rewards.normalise import WRAPPED

_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_SMALL = {word: value for value, word in enumerate(f"{_UNITS} seventeen eighteen nineteen".split())}
_NAMED_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_NAMED_TENS.split(" "), start=2)}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "fourth": 4, "quarter": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "hundredth": 100,
}  # fmt: skip
_PARTS |= {f"{name}s": part for name, part in _PARTS.items() if name not in ("half", "halves")}


def number_in_words(text: str) -> str | None:
    r"""`five` -> `5`, `minus twenty-one` -> `-21`, `two thirds` -> `\frac{2}{3}`; None for what is no number."""
    words = re.findall(r"[a-z]+", text.lower().replace("-", " "))
    if not words or re.search(r"[^A-Za-z\s,-]", text):
        return None
    sign = "-" if words[0] in ("minus", "negative") else ""
    words = words[1:] if sign else words
    if not words:
        return None
    if words[:1] == ["a"] and words[1:2] and words[1] in ("hundred", *_LARGE):
        words = ["one", *words[1:]]
    if words[-1] in ("dozen", "dozens"):
        count = 1 if words[:-1] in ([], ["a"], ["one"]) else _whole(words[:-1])
        return "6" if words == ["half", "a", "dozen"] else None if count is None else f"{sign}{12 * count}"
    part = _PARTS.get(words[-1]) if len(words) > 1 else None
    if part is not None and words[-2] != "and":
        above = 1 if words[:-1] in (["a"], ["one"]) else _whole(words[:-1])
        return None if above is None else rf"{sign}\frac{{{above}}}{{{part}}}"
    whole = _whole(words)
    return None if whole is None else f"{sign}{whole}"


def _whole(words: list[str]) -> int | None:
    """The whole number that words spell in their proper order; `five three` and `twenty thirty` are none."""
    total = group = last_large = 0
    last = 10**15  # the place the word before ended at: what follows must be smaller
    for place, word in enumerate(words):
        if word == "and" and 0 < place < len(words) - 1 and words[place - 1] in ("hundred", *_LARGE):
            continue
        if word in _SMALL and (last > 20 or (last == 20 and 0 < _SMALL[word] < 10)):
            if word == "zero" and len(words) > 1:
                return None
            group, last = group + _SMALL[word], 1
        elif word in _TENS and last > 90:
            group, last = group + _TENS[word], 20
        elif word == "hundred" and 0 < group < 10:
            group, last = group * 100, 100
        elif word in _LARGE and group and (total == 0 or _LARGE[word] < last_large):
            total, group, last, last_large = total + group * _LARGE[word], 0, 1000, _LARGE[word]
        else:
            return None
    return total + group if words else None


_NO_SOLUTION = re.compile(
    r"(?:there\s+(?:is|are)\s+)?(?:no|none|zero)?\s*(?:real\s+|integer\s+|such\s+)?(?:solutions?|roots?)?(?:\s+exists?)?"
)
_MEANINGS: tuple[tuple[sympy.Basic, str], ...] = (
    (
        sympy.S.Reals,
        "all real numbers|all reals|any real number|all real|the real numbers|real numbers|the set of all real numbers"
        "|the set of real numbers|every real number|all real values|all of the real numbers",
    ),
    (
        sympy.S.Integers,
        "all integers|the integers|any integer|every integer|the set of all integers|the set of integers|integers",
    ),
    (sympy.S.Rationals, "all rational numbers|the rational numbers|all rationals"),
    (sympy.S.Complexes, "all complex numbers|the complex numbers"),
    (
        sympy.S.Naturals,
        "all positive integers|the positive integers|any positive integer|all natural numbers|the natural numbers",
    ),
    (sympy.S.Naturals0, "all nonnegative integers|the nonnegative integers"),
    (sympy.Interval.open(0, sympy.oo), "all positive real numbers|all positive reals|the positive real numbers"),
    (sympy.Interval.open(-sympy.oo, 0), "all negative real numbers|all negative reals|the negative real numbers"),
    (sympy.Interval(0, sympy.oo), "all nonnegative real numbers|all nonnegative reals"),
    (sympy.S.EmptySet, "the empty set|empty set|none|empty|no values|no value|no such number"),
    (sympy.oo, "infinity|positive infinity|infinite"),
    (-sympy.oo, "negative infinity|minus infinity"),
)
_PHRASES = {phrase: meaning for meaning, phrases in _MEANINGS for phrase in phrases.split("|")}


def meant_by(text: str) -> sympy.Basic | None:
    """The value that a phrase means: `all real numbers`, `no solution`; None where it is none of the known ones."""
    words = re.sub(r"[^a-z ]", "", text.lower().replace("-", "").replace("\n", " "))
    words = re.sub(r"\s+", " ", words).strip()
    words = re.sub(r"^(?:[a-z] (?:is|can be|in) )", "", words)
    if words in _PHRASES:
        return _PHRASES[words]
    if re.match(r"(?:there (?:is|are) )?(?:no|zero) ", words) and _NO_SOLUTION.fullmatch(words):
        return sympy.S.EmptySet if re.search(r"solution|root", words) else None
    return None


_NAMES = {
    "doesnotexist": "dne|does not exist|do not exist|doesn't exist|it does not exist|the limit does not exist",
    "undefined": "undefined|not defined|is undefined|it is undefined|is not defined",
}
_NAMED = {phrase: name for name, phrases in _NAMES.items() for phrase in phrases.split("|")}


def one_name(text: str) -> str | None:
    """One name for what several words say that is no value: `DNE`, `does not exist`; None for other words."""
    return _NAMED.get(re.sub(r"[^a-z' ]", "", re.sub(r"\s+", " ", text.lower())).strip())


@dataclass(frozen=True)
class Stated:
    """An answer that stands within words: the value they state, and the letter of a choice before it."""

    value: str
    choice: str | None = None


_CHOICE = re.compile(r"^\(\s*([A-J])\s*\)\s*[.:,]?\s*(\S.*)$|^([A-J])\s*[).:](?:\s+|(?=\S))(\S.*)$", re.DOTALL)
_CHOSEN = re.compile(
    r"(?i:(?:the )?(?:(?:correct|right|best) )?(?:answer )?(?:option|choice|answer)(?: is)?:?)\s+\(?([A-J])\)?"
)
_OPERATOR = re.compile(r"^(?:[-+*/^=_<>,|!(]|\\(?:cdot|times|div|cup|cap|to|le|ge|in|pm)(?![A-Za-z]))")
_LEAD = re.compile(
    r"^(?:(?:so|thus|hence|therefore|then|finally|and|now|that is|since|because|it follows that"
    r"|(?:we|i|you)\s+(?:get|have|find|obtain|conclude|see)(?:\s+that)?"
    r"|this (?:gives|means|yields)(?:\s+that)?)\b[\s,:]*)+",
    re.IGNORECASE,
)
_COPULA = re.compile(
    r"^(?P<subject>(?:[A-Za-z'\\_(){}-]+[\s,]+){0,14}?)"
    r"(?:is|are|was|were|equals?|(?:will|must|should|would|can) be|comes? (?:out )?to|becomes?|turns out to be)\b\s*"
    r"(?:(?:equal\s+to|exactly|simply|just|therefore|thus|then|given by)\b\s*)*"
    r"[:=]?\s*(?P<value>\S.*)$",
    re.IGNORECASE | re.DOTALL,
)
_LABEL = re.compile(
    r"^(?:(?:my|the|our|your)\s+)?(?:(?:final|correct|right|required|desired)\s+)?(?:answer|result|solution|value)s?"
    r"(?:\s*[:=]\s*|\s+)(?P<value>\S.*)$",
    re.IGNORECASE | re.DOTALL,
)
_HEADING = re.compile(r"^(?P<subject>(?:[A-Za-z'-]+\s+){0,6}[A-Za-z'-]{2,})\s*:\s*(?P<value>\S.*)$", re.DOTALL)
_IS_THE_ANSWER = re.compile(
    r"\s+(?:is|are|as)\s+(?:(?:(?:the|our|my)\s+)?(?:(?:final|correct|right|required|desired)\s+)?"
    r"(?:answer|result|solution|value|choice|option)s?|correct|right)$",
    re.IGNORECASE,
)

# Words by which a sentence does not state its number, but denies it, bounds it or reckons with it; `_` is a space.
_DENYING = (
    "not n't never no nor neither either or if when unless except but wrong incorrect false isn't maybe perhaps "
    "possibly might option step part case"
)
_RECKONING = (
    "twice double half square_of cube_of reciprocal negative opposite inverse multiples? factors? divisors? digits?"
)
_BOUNDING = (
    "least most less fewer greater than about approximately around roughly nearly almost between cannot can't triple "
    "thrice times plus minus squared cubed power root factorial choose mod modulo divided divisible divides percent_of "
    "up_to may could exceeds? instead rather first last next previous above below under over before after base choice "
    "equation figure another tenths? hundredths? thousandths? halves thirds? fourths? fifths? sixths? sevenths? "
    "eighths? ninths? quarters? pairs? each"
)


def _any_of(words: str) -> re.Pattern[str]:
    choices = "|".join(words.split()).replace("_", " ")
    return re.compile(rf"(?<![A-Za-z])(?:{choices})(?![A-Za-z])", re.IGNORECASE)


_SUBJECT_QUALIFIERS = _any_of(f"{_DENYING} {_RECKONING}")
_QUALIFIERS = _any_of(f"{_DENYING} {_RECKONING} {_BOUNDING}")
_BEFORE_A_NUMBER = re.compile(r"(?i)(?<![A-Za-z])(?:by|to|from|with|on|mod|into|per|of|and|like|as)\s*$")
_OF_A_SUM = re.compile(
    r"(?i)(?:total|length|area|value|sum|amount|number|distance|cost|price|volume|perimeter)s? of\s*$"
)
_NUMBER = re.compile(
    r"-?(?:\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?(?:\s*\\frac\s*\{\d+\}\s*\{\d+\})?|\.\d+|\\frac\s*\{-?\d+\}\s*\{\d+\})(?:\s*\\%)?"
)
_SENTENCE = re.compile(r"[A-Za-z\s,.'$!;:-]*")
_VERB = _any_of(
    "is are was were has have had needs? takes? took gets? got costs? makes? made earns? earned sold sells bought buys "
    "paid pays spent spends uses? used ran runs ate eats there will can must gives? gave equals? left won wins drove "
    "drives walked walks read reads saved saves contains? requires? lasts? weighs? lives? owes? receives? received"
)


def qualifies(subject: str) -> bool:
    """Whether words deny what they stand before, or reckon with it: `twice x`, `not the answer`."""
    return _SUBJECT_QUALIFIERS.search(subject) is not None


def in_plain_text(text: str) -> str:
    r"""`\text{The answer is } 5` -> `The answer is 5`: words without the commands around them."""
    closing = closing_braces(text)
    dropped: set[int] = set()
    commands: list[tuple[int, int]] = []
    for match in WRAPPED.finditer(text):
        opening = text.find("{", match.end() - 1)
        if opening in closing:
            commands.append((match.start(), match.end()))
            dropped |= {opening, closing[opening]}
    for begin, end in commands:
        dropped |= set(range(begin, end))
    plain = "".join(" " if place in dropped else character for place, character in enumerate(text))
    return re.sub(r"\s+", " ", plain).strip(" .,;")


def stated_in(text: str, was_wrapped: bool) -> Stated | None:
    r"""The value around which an answer has words: `The answer is 5`, `(C) 5`, `There are 5 apples left`.

    `text` is normalised. None where there are no such words, or where they deny or qualify the value.
    """
    plain = in_plain_text(text)
    chosen = _CHOSEN.fullmatch(plain)
    if chosen:
        return Stated(chosen.group(1))
    choice = _CHOICE.match(plain)
    has_words = plain != re.sub(r"\s+", " ", text).strip(" .,;") or was_wrapped
    if choice:
        letter, value = choice.group(1) or choice.group(3), choice.group(2) or choice.group(4)
        is_marked = choice.group(1) or has_words or re.match(r"[A-J]\)|[A-J][.:]\s", plain)
        if is_marked and (has_words or not _OPERATOR.match(value)) and not value.startswith("("):
            return Stated(value, letter)
        if has_words and value.startswith("(") and not re.match(r"\(\s*[A-J]\s*\)", value):
            return Stated(value, letter)
    shorter = _IS_THE_ANSWER.sub("", plain)
    if shorter != plain and not _SUBJECT_QUALIFIERS.search(shorter):
        return Stated(shorter)
    without_lead = _LEAD.sub("", plain)
    label = _LABEL.match(without_lead)
    sentence = _COPULA.match(without_lead)
    if sentence and not _SUBJECT_QUALIFIERS.search(sentence["subject"]):
        in_sentence = _one_number(plain) if re.match(r"[A-Za-z]{2,}", sentence["value"]) else None
        if in_sentence is not None:
            return in_sentence
        if sentence["subject"].strip().lower() not in ("there", "that there"):
            return Stated(_without_full_stop(sentence["value"]))
    elif sentence is None and label and not _QUALIFIERS.match(label["value"]):
        return Stated(_without_full_stop(label["value"]))
    heading = _HEADING.match(without_lead)
    if sentence is None and heading and not _QUALIFIERS.search(heading["subject"]):
        return Stated(_without_full_stop(heading["value"]))
    if sentence is None and without_lead != plain:
        return Stated(_without_full_stop(without_lead))
    return _one_number(plain)


def _without_full_stop(text: str) -> str:
    return text.strip().rstrip(" .,;!")


def _one_number(plain: str) -> Stated | None:
    """The only number of a sentence that says nothing else about it, with the unit behind it."""
    numbers = list(_NUMBER.finditer(plain))
    if len(numbers) != 1:
        return None
    before, behind = plain[: numbers[0].start()], plain[numbers[0].end() :]
    is_sentence = _SENTENCE.fullmatch(before) and _SENTENCE.fullmatch(behind) and len(before.split()) >= 2
    if not is_sentence or not _VERB.search(before) or _QUALIFIERS.search(before) or _QUALIFIERS.search(behind):
        return None
    if _BEFORE_A_NUMBER.search(before) and not _OF_A_SUM.search(before):
        return None
    if re.match(r"[A-Za-z]", behind):
        return None
    return Stated(f"{numbers[0].group()} {_without_full_stop(behind)}".strip())
