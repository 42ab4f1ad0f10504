r"""An answer as text -> an `Answer`: words, or a value of computer algebra with its unit, percent sign and base apart.

normalise  one spelling for what means the same        structure  signs, brackets, sets, equations, still as text
words      numbers, phrases and sentences in English   numerals   bases, ratios, times of day
units      what stands behind a quantity               parsing    LaTeX -> sympy

Imports sympy, so it belongs in the workers only.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from onoff_core.boxes import closing_braces
from onoff_core.rewards import numerals, structure, words
from onoff_core.rewards.normalise import WRAPPED, normalise, top_level_parts, unwrapped, without_repeated_name
from onoff_core.rewards.parsing import value_of
from onoff_core.rewards.units import Unit, currency_of, split_unit, sum_of_quantities, unit_of


@dataclass(frozen=True)
class Answer:
    """One side of a comparison."""

    key: str  # its letters and signs without spaces and wrappers: equal keys are equal answers
    is_words: bool  # a name, a day, a choice: compared by key, never as a product of letters
    value: Any | None  # sympy; None where it is words or cannot be parsed
    is_percent: bool = False  # then `value` is the number before the sign
    base: int | None = None  # of a numeral such as 1011_2; then `value` is its digits read in that base
    is_conditional: bool = False  # `3 when x = 0` is neither 3 nor 0: compared by key alone
    is_text: bool = False  # well formed, but nothing the parser knows: compared by key alone
    unit: Unit | None = None  # None: without one
    stated: "Answer | None" = None  # what a sentence states, or stands behind a choice: `The answer is 5`, `(C) 5`
    choice: str | None = None  # the letter of `(C) 5`
    as_gold: tuple[Any, ...] = ()  # values that an answer may give instead where this is the gold answer

    @property
    def is_parsed(self) -> bool:
        return self.is_words or self.is_conditional or self.is_text or self.value is not None


@lru_cache(maxsize=4096)
def parse_answer(answer: str) -> Answer:
    """Read an answer; one that cannot be read, or nests too deep to be, has neither words nor value."""
    try:
        return _read(answer)
    except RecursionError:
        return Answer("", False, None)


def _read(answer: str) -> Answer:
    text, was_wrapped = unwrapped(normalise(answer))
    text = structure.with_unit_vectors_written_out(_FOR_ALL.sub("", numerals.with_base_below(text)))
    time = numerals.time_of_day(text)
    if time is not None:
        return Answer(time, True, None)
    ratio = numerals.reduced_ratio(text)
    if ratio is not None:
        return Answer(ratio, True, None)
    total = sum_of_quantities(text)
    if total is not None:
        return Answer(_key(text), False, value_of(total[0]), unit=total[1])
    number = _number_in_words(text)
    quantity, behind = split_unit(number or text)
    if number is None and quantity == text and _is_words(text, was_wrapped):
        return _with_what_is_stated(_in_words(text), text, was_wrapped)
    key = _key(text)
    if _is_conditional(text):
        return Answer(key, False, None, is_conditional=True)
    unit = unit_of(behind) if behind.strip() else None
    quantity, is_percent = _without_percent(quantity)
    numeral = numerals.numeral(quantity)
    if numeral:
        spelling, base, digits = numeral
        return Answer(key, False, value_of(spelling)) if digits is None else Answer(key, False, digits, base=base)
    read = _quantity(key if is_percent else _key(quantity), quantity, unit or currency_of(answer), is_percent)
    return _with_what_is_stated(read, text, was_wrapped)


def _with_what_is_stated(answer: Answer, text: str, was_wrapped: bool) -> Answer:
    stated = words.stated_in(text, was_wrapped)
    if stated is None or stated.value == text:
        return answer
    return replace(answer, stated=parse_answer(stated.value), choice=stated.choice)


def _quantity(key: str, text: str, unit: Unit | None, is_percent: bool) -> Answer:
    written = without_repeated_name(structure.with_signs_written_out(structure.with_upright_brackets(text)))
    written = structure.with_columns_written_out(written)
    value = value_of(written)
    shorter = [structure.without_point_names(text), structure.without_angle_brackets(text)]
    as_gold = tuple(found for other in shorter if other is not None and (found := value_of(other)) is not None)
    is_list_of_names = value is None and all(map(structure.is_lone_name, top_level_parts(text)))
    return Answer(
        key,
        is_list_of_names,
        value,
        is_percent,
        is_text=value is None and _is_well_formed(text),
        unit=unit,
        as_gold=as_gold,
    )


def _in_words(text: str) -> Answer:
    meant = words.meant_by(WRAPPED.sub("", text))
    key = words.one_name(WRAPPED.sub("", text)) or _key(_ARTICLE.sub("", _AND.sub(",", text)))
    return Answer(key, True, None, as_gold=() if meant is None else (meant,))


def _number_in_words(text: str) -> str | None:
    r"""`five` -> `5`, `\text{five hours}` -> `5 \text{hours}`; None where the words are no number."""
    plain = words.in_plain_text(text)
    if not re.fullmatch(r"[A-Za-z][A-Za-z\s-]*", plain) or "\\" in WRAPPED.sub("", text):
        return None
    number = words.number_in_words(plain)
    if number is not None:
        return number
    before, _, last = plain.rpartition(" ")
    number = words.number_in_words(before) if before else None
    return None if number is None or unit_of(last) is None else rf"{number} \text{{ {last}}}"


_FOR_ALL = re.compile(  # it holds always, so it is no condition
    r"(?<=\S)\s*,?\s*(?:\\(?:text|mathrm)\s*\{\s*)?(?<![A-Za-z])for (?:all|any|every)(?: real)?"
    r"\s*\}?\s*[A-Za-z]\s*\}?\s*$"
)
_RELATION = r"(?:[=<>]|\\(?:le|ge|ne|neq|in|to|equiv|approx)(?![A-Za-z]))"
_CONDITION = re.compile(  # no capitals but the first: IF may be a segment
    r"(?<![A-Za-z\\])(?:"
    r"(?:[Ww]hen|[Ww]henever|[Ii]f|iff|[Uu]nless|[Pp]rovided|[Aa]ssuming|except|otherwise|gives|yields|then)(?![A-Za-z])"
    # these need not say when: 5 for two people; and a t is a product, as in u + at = v
    rf"|(?:[Ff]or|[Aa]t|[Aa]s|with|[Ww]here|[Gg]iven|since|such\s+that)[\s}}]+(?=[A-Za-z\d\\(])"
    rf"[^=<>]*?(?<![A-Za-z])[A-Za-z(][^=<>]*?{_RELATION})"
)
_SAYS_SOMETHING = re.compile(r"\d|\\|(?<![A-Za-z])[A-Za-z](?![A-Za-z])")


def _is_conditional(text: str) -> bool:
    """Whether an answer holds under a condition only; the parser would multiply its words and take what it equals.

    `\\text{Cost for } n = 5` names what is 5: before the condition there has to be an answer, or nothing.
    """
    if structure.set_condition(text) is not None:
        return False
    bare = WRAPPED.sub("", text)
    match = _CONDITION.search(bare)
    if match is None:
        return False
    before = bare[: match.start()].strip(" {(")
    return not before or _SAYS_SOMETHING.search(before) is not None


_AND = re.compile(r",?\s+and\s+")
_ARTICLE = re.compile(r"^\s*(?:[Aa]n?|[Tt]he)\s+(?=[A-Za-z]{3})(?!and\b|nor\b)")
_QUOTED = re.compile(r"""^(["'`]+)(.*?)["'`]+$""", re.DOTALL)
# A choice, or letters in an order: of several, as of words, case does not count. Yes and No are no products.
_OTHER_SCRIPT = re.compile(r"[^\x00-\x7f][^A-Za-z\d\\=<>+*/^_]*")  # Greek letters are commands by now
_LETTERS = re.compile(r"\(?[A-Z]\)?|[A-Z]{3,}|[A-Z][a-z]{2,}|[Nn]o|yes")


def _key(text: str) -> str:
    text = WRAPPED.sub("", text.replace(r"\!", ""))
    if "\\" in text.replace("\\ ", ""):
        text = re.sub(r"(?<!\\)\{\s*([A-Za-z\d*+-])\s*\}", r"\1", text)  # as TeX, to which x^{2} is x^2
    else:
        text = _without_needless_braces(text)
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", _QUOTED.sub(r"\2", text.strip())).strip(".,;:")


_INNERMOST_GROUP = re.compile(r"([\^_]\s*)?\{([^{}]*)\}")
_OPENING, _CLOSING = "\ue001", "\ue002"  # of a group that has to stay: 2^{n-1} is not 2^n-1


def _without_needless_braces(text: str) -> str:
    def without(match: re.Match[str]) -> str:
        before, inner = match[1] or "", match[2]
        is_needed = before and not re.fullmatch(r"\s*(?:[A-Za-z*+-]|\d+)\s*", inner)
        return f"{before}{_OPENING}{inner}{_CLOSING}" if is_needed else before + inner

    shorter = _INNERMOST_GROUP.sub(without, text)
    return _without_needless_braces(shorter) if shorter != text else re.sub("[{}]", "", text)


def _is_words(text: str, was_wrapped: bool) -> bool:
    """Whether an answer is words rather than mathematics.

    A wrapper says so for anything with a letter (but `\\text{B, E}` may be a list of letters, which keys compare);
    without one, four letters in a row that no command starts do, or a capital by itself.
    """
    bare = WRAPPED.sub("", text)
    if was_wrapped:
        return re.search(r"[^\W\d_]", bare) is not None and "\\" not in bare and "=" not in bare
    if _LETTERS.fullmatch(bare) or _OTHER_SCRIPT.fullmatch(bare):
        return True
    letters = re.findall(r"[A-Za-z]{4,}", bare)
    return bool(letters) and re.fullmatch(r"[A-Za-z\d\s.,;:'\"()!?-]+", bare) is not None


_ENDS_OPEN = re.compile(r"(?:^[*/^=_,&|]|[-+*/^=<>_,&|\\]|\\[A-Za-z]+)$|^[*/^_,&]")
_EMPTY_ARGUMENT = re.compile(r"\\(?:frac|sqrt|binom)(?:\s*\{[^{}]*\})?\s*\{\s*\}")


def _is_well_formed(text: str) -> bool:
    """Whether a text that the parser cannot read is whole nevertheless, so that it can be compared as it is written."""
    says_something = re.search(r"[^\W_]", re.sub(r"\\[A-Za-z]+", "", text)) is not None
    braces = len(re.findall(r"(?<!\\)\{", text)) == len(re.findall(r"(?<!\\)\}", text)) == len(closing_braces(text))
    rounds = text.count("(") + text.count("[") == text.count(")") + text.count("]")
    is_open = _ENDS_OPEN.search(
        re.sub(r"\^\s*\{?[+*-]\}?$|\\[lc]?dots$|\\rangle$|\\\}$|\\%$|\\infty$|\\circ$|\\emptyset$", " x", text)
    )
    return says_something and braces and rounds and not is_open and not _EMPTY_ARGUMENT.search(text)


_PERCENT = re.compile(r"\s*\\%\s*$")


def _without_percent(text: str) -> tuple[str, bool]:
    shorter = _PERCENT.sub("", text)
    return shorter, shorter != text


def choices(answer: Answer) -> list[str]:
    """The parts of a list of words or letters, sorted: `\\text{B, E, G}`, `(A)`. Only a lone letter keeps its case."""
    listed = top_level_parts(answer.key)
    listed = top_level_parts(answer.key.strip("()")) if len(listed) == 1 else listed
    parts = [part.strip("()[]{}") for part in listed]
    return sorted(part if len(part) == 1 else part.lower() for part in parts)
