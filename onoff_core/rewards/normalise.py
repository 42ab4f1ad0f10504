r"""One spelling for answers that mean the same: LaTeX in, plainer LaTeX out.

Knows LaTeX and how data sets and models write answers (units, currencies, thousands, mixed numbers); knows nothing of
mathematics, which is the parser's. Each step has the reason beside it; each is a labelled case in the tests.
"""

import re
from collections.abc import Callable
from unicodedata import normalize

from onoff_core.boxes import closing_braces

_COMMANDS = {
    "×": "times", "·": "cdot", "⋅": "cdot", "÷": "div", "√": "sqrt", "∞": "infty", "≤": "le", "≥": "ge", "≠": "ne",
    "≈": "approx", "±": "pm", "∪": "cup", "∩": "cap", "∈": "in", "∅": "emptyset", "∴": "therefore",
    "⋃": "cup", "⋂": "cap", "∖": "setminus", "⌊": "lfloor", "⌋": "rfloor", "⌈": "lceil", "⌉": "rceil", "⟨": "langle",
    "⟩": "rangle", "→": "to", "∠": "angle", "Δ": "Delta", "δ": "delta", "ε": "epsilon", "μ": "mu", "ρ": "rho",
    "σ": "sigma", "τ": "tau", "ψ": "psi", "ξ": "xi", "η": "eta",
    "π": "pi", "θ": "theta", "α": "alpha", "β": "beta", "γ": "gamma", "λ": "lambda", "φ": "phi", "ω": "omega",
}  # fmt: skip
_DASHES = "−–—‒―﹣\u2010\u2011"
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
_SPACES = "\u00a0\u2002\u2003\u2009\u200a\u202f\u3000€£¥₹¢"  # a currency says nothing of the number
_CHARACTERS = str.maketrans(
    {
        **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},  # full width
        **{character: f"\\{command} " for character, command in _COMMANDS.items()},
        **{part: r"\frac{{{}}}{{{}}}".format(*normalize("NFKC", part).split("⁄")) for part in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"},
        **dict.fromkeys(_DASHES, "-"),
        **dict.fromkeys(_INVISIBLE),
        **dict.fromkeys(_SPACES, " "),
        "°": r"^\circ ",
        "⁄": "/",
        **{letter: rf"\mathbb{{{normalize('NFKC', letter)}}}" for letter in "ℝℤℕℚℂ"},
        "∕": "/",
        "∣": "|",
        "′": "'",
        "“": '"',
        "”": '"',
        "’": "'",
    }
)
_RAISED = re.compile("[⁺⁻⁽⁾ⁿˣ⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_FROM_RAISED = str.maketrans("⁺⁻⁽⁾ⁿˣ⁰¹²³⁴⁵⁶⁷⁸⁹", "+-()nx0123456789")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉ₙ]+")
_FROM_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉ₙ", "0123456789n")
_STYLED = re.compile("[\U0001d400-\U0001d7ff]")  # letters and digits in mathematical italics, bold, ...
_ROW_BREAK = re.compile(r"\\\\\s*\[[^\]]*\]|\\\\|\\cr(?![A-Za-z])")  # `\\[4pt]` has its height with it
_ROW = "\ue000"  # stands for a row break while commands are replaced: in `\\ 3` there is no `\ `
_ENVIRONMENT = re.compile(r"\\begin\s*\{")
_ESCAPED_TWICE = re.compile(r"\\\\(?=[A-Za-z])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WRAPPERS = r"text|textbf|textit|textrm|textnormal|textsf|mbox|hbox|mathrm|mathbf|mathit|mathsf|operatorname|emph"
WRAPPED = re.compile(rf"\\(?:{_WRAPPERS})\s*(?=\{{)")

_INEQUALITY = r"[^=,;<>]{1,40}(?:[<>]|\\(?:le|ge|leq|geq|lt|gt)(?![A-Za-z]))[^=,;<>]{1,40}?"

_STEPS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\\[|\\\]|\\\(|\\\)|(?<!\\)\$|\\\$|\\(?:textdollar|pounds|euro)\b", " "),  # math marks, currencies
        (r"\.{3,}|…", r"\\ldots "),
        (r"(?<=\d)\s*,\s*\\!\s*(?=\d{3})", ""),  # 111,\! 111: TeX's way of thousands, never a list
        (r"(?<=\d)\{,\}\s*(?=\d{3})", ""),  # 10{,}000
        (r"(?<!\d)(\d{1,3})(?:\\[,;: ]|~| )(?=\d{3}(?:\D|$))(?!\d{3}\s*/)", r"\1"),  # 10\,000 and 10 000
        (r"\\(?:!|,|;|:|>| |quad\b|qquad\b|displaystyle\b|textstyle\b|limits\b|strut\b)|~", " "),  # spaces
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:bf|rm|it|sf|tt|bfseries|boldsymbol|bm|underline|large|Large|LARGE|huge|Huge|small)(?![A-Za-z])", " "),
        (r"\\(?:text)?color\s*\{[^{}]*\}", " "),
        (r"\{([^{}]*)\\choose(?![A-Za-z])([^{}]*)\}", r"\\binom{\1}{\2}"),
        (r"\\(?:left|right|[Bb]ig{1,2}[lrm]?)(?![A-Za-z])\s*\.?", ""),
        (r"\\(?:lvert|rvert|vert)(?![A-Za-z])", "|"),
        (r"\\(?:lbrace)(?![A-Za-z])\s*", r"\\{"),
        (r"\\(?:rbrace)(?![A-Za-z])\s*", r"\\}"),
        (r"\\varnothing(?![A-Za-z])", r"\\emptyset"),
        (r"\\big(cup|cap)(?![A-Za-z])", r"\\\1"),
        (r"\\(?:backslash|smallsetminus)(?![A-Za-z])", r"\\setminus "),
        (r"\\([RZNQC])(?![A-Za-z])", r"\\mathbb{\1}"),
        (r"\{\s*:\s*\}", ":"),  # 6{:}30
        (r"\s*\\(?:checkmark|blacksquare|qed)(?![A-Za-z])\s*$|(?<!\\)\\\s*$", ""),  # of `\ ` the space is cut off
        (r"\\(?:degree|deg)(?![A-Za-z])", r"^\\circ"),
        (r"\^\s*\{\s*\\circ\s*\}", r"^\\circ"),
        (r"\^\s*\\circ\s*(?:\\(?:text|mathrm|rm)\s*\{\s*([CF])\s*\}|([CF])\b)", r"\\text{ deg\1\2}"),  # of temperature
        (r"\\(?:leqslant|leq)(?![A-Za-z])", r"\\le"),
        (r"\\(?:geqslant|geq)(?![A-Za-z])", r"\\ge"),
        (
            rf"({_INEQUALITY})\s*(?:\\(?:text|mbox|mathrm)\s*\{{\s*and\s*\}}|(?<![A-Za-z])and(?![A-Za-z]))\s*(?={_INEQUALITY})",
            r"\1\\land ",
        ),
        (r"\\(?:text|mbox|mathrm)\s*\{\s*(?:and|or)\s*\}", ","),
        (r"(?<=[\d})])\s*,?\s+(?:and|or)\s+(?=[\\\d(+-])", ","),
        (r",\s*,", ","),
        (r"\\(?:text|mathrm)\s*\{\s*(?:\\?%|per\s?cent(?:age)?|pct)\s*\}", r"\\%"),
        (r"(?i)(?<=[\d})])\s*(?:percent|per cent|pct)\b", r"\\%"),
        (r"(?<!\\)%", r"\\%"),
        (r"\^\s*\\prime", "'"),
        (rf"(?:\s*{_ROW})+\s*$", ""),
        (r"^\s*(\*{1,3}|`+)(?=[^\s*`])([^*`]*)(?<!\s)\1\s*$", r"\2"),  # emphasis in Markdown
        (r"^\s*(?:=|\\approx|\\therefore)(?![A-Za-z])\s*", ""),
        (r"\*\*\s*(-?\d+(?:\.\d+)?|[A-Za-z])", r"^{\1}"),  # as programs write powers,
        (r"(?:\*\*|\^)\s*\(([^()]*)\)", r"^{\1}"),
        (r"(?<![A-Za-z\\])sqrt(?=\s*[({\d])", r"\\sqrt"),  # roots,
        (r"(?<![A-Za-z\\])(sin|cos|tan|log|ln|exp)(?=\s*\()", r"\\\1"),  # functions
        (r"(?<![A-Za-z\\])pi(?![A-Za-z])", r"\\pi "),  # and pi
        (r"\\mathrm\s*\{\s*([ei])\s*\}|(?<=[\d})+-])\s*\\(?:text|textrm|mathit)\s*\{\s*(i)\s*\}", r"\1\2 "),
        (r"\\(?:text|mathrm|operatorname)\s*\{\s*(max|min|gcd|log|ln|sin|cos|tan)\s*\}\s*(?=[({]|\\\{)", r"\\\1"),
        (r"^\s*\\mid(?![A-Za-z])(.*)\\mid\s*$", r"|\1|"),
        (
            r"(?:\\(?:operatorname|text|mathrm)\s*\{\s*cis\s*\}|\\?(?<![A-Za-z])cis(?![A-Za-z]))\s*"
            r"(?:\(([^()]*)\)|([^-+,=()]+))",
            r"(\\cos(\1\2)+i\\sin(\1\2))",
        ),
        (r"(?<![A-Za-z\\])log(?=_)", r"\\log"),
        (r"\\log_(10|\w)", r"\\log_{\1} "),
        (r"\\(?:lg|operatorname\s*\{\s*lg\s*\}|mathrm\s*\{\s*lg\s*\})(?![A-Za-z])", r"\\log_{10} "),
        (r"\\(?:tg|operatorname\s*\{\s*tg\s*\})(?![A-Za-z])", r"\\tan "),  # as they are written in Russia
        (r"\\(?:ctg|cotg|operatorname\s*\{\s*c(?:o)?tg\s*\})(?![A-Za-z])", r"\\cot "),
        (r"\\(?:arctg|operatorname\s*\{\s*arctg\s*\})(?![A-Za-z])", r"\\arctan "),
        (r"\\(?:arcctg|operatorname\s*\{\s*arc(?:ctg|cot)\s*\})(?![A-Za-z])", r"\\arccot "),
        (r"\\(?:sh|operatorname\s*\{\s*sh\s*\})(?![A-Za-z])", r"\\sinh "),
        (r"\\(?:ch|operatorname\s*\{\s*ch\s*\})(?![A-Za-z])", r"\\cosh "),
        (r"\\(?:th|operatorname\s*\{\s*th\s*\})(?![A-Za-z])", r"\\tanh "),
        (r"\\cosec(?![A-Za-z])", r"\\csc "),
        (r"\\mathbb\s*([A-Z])(?![A-Za-z])", r"\\mathbb{\1}"),
        (r":=", "="),
        (r"(?<=\d)\s+\\Omega\s*$", r"\\text{ ohm}"),
        (r"^\s*\\text\s*\{\s*(?:minus|negative)\s*\}\s*(?=[\d\\])", "-"),
        (r"^\s*\\text\s*\{\s*(?:exactly|precisely)\s*\}", " "),
        (r"(?<=\d)\s*(?:\\text\s*\{\s*to\s*\}|\\colon(?![A-Za-z])|\bto\b)\s*(?=\d)", ":"),
    )
)
_MAGNITUDES = {
    "hundred": "10^{2}", "thousand": "10^{3}", "million": "10^{6}", "billion": "10^{9}", "trillion": "10^{12}",
    "dozen": "12", "dozens": "12",
}  # fmt: skip
_MAGNITUDE = rf"({'|'.join(_MAGNITUDES)})(?![A-Za-z])"


def _repeating(match: re.Match[str]) -> str:
    r"""`0.1\overline{6}` -> `\frac{15}{90}`: all digits less those before the period, over 99...900...0."""
    whole, before, period = match.groups()
    numerator = int(whole + before + period) - int((whole + before) or "0")
    return rf"\frac{{{numerator}}}{{{'9' * len(period)}{'0' * len(before)}}}"


_PERIOD_MARK = r"\\(?:overline|bar|dot)"
_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (  # 0.\dot{2}\dot{7}
        re.compile(r"(?<=[\d.])\\dot\s*\{?(\d)\}?(\d*)\\dot\s*\{?(\d)\}?"),
        lambda match: rf"\overline{{{match[1]}{match[2]}{match[3]}}}",
    ),
    (re.compile(rf"(?<=[\d.])({_PERIOD_MARK})\s*(\d)"), lambda match: rf"{match[1]}{{{match[2]}}}"),
    (re.compile(rf"(?<![\d.,])(\d{{0,30}})\.(\d{{0,30}}){_PERIOD_MARK}\s*\{{\s*(\d{{1,30}})\s*\}}"), _repeating),
    (re.compile(r"(?<![\w.,)}])(0)\.(\d{0,30})\(\s*(\d{1,30})\s*\)"), _repeating),  # 0.1(6)
    (re.compile(r"(?<![\w.,)}])(\d{1,30})\.()\(\s*(\d{1,30})\s*\)"), _repeating),
    (re.compile(r"(?<![\d.,])(\d{0,30})\.()(\d{2,3})\3+\s*(?:\\[lc]?dots|\.\.\.|…)"), _repeating),
    (re.compile(r"(?<![\d.,])(\d{0,30})\.(\d{0,30}?)(\d)\3\3+\s*(?:\\[lc]?dots|\.\.\.|…)"), _repeating),
    (re.compile(rf"(?<=\d)\s*{_MAGNITUDE}"), lambda match: rf"\times {_MAGNITUDES[match[1]]} "),
    (
        re.compile(rf"(?<=\d)\s*(\\(?:text|mathrm)\s*\{{)\s*{_MAGNITUDE}"),
        lambda match: rf"\times {_MAGNITUDES[match[2]]} {match[1]}",
    ),
)
_MIXED = re.compile(r"^(-?)\s*(\d+)\s+(\d+)\s*/\s*(\d+)$")
_PRODUCT = re.compile(r"(?<![A-Za-z_^}\d.,])(\d+)\s*\((?!\s*(?:in\s+)?base\b)(?=[^(),]*\))")
_ASSIGNED = re.compile(r"^\s*([A-Za-z])\s*=(?!=)(.*)$", re.DOTALL)
_SET_BUILDER = re.compile(r"\\\{[^{}]*?(?:\\mid(?![A-Za-z])|\||:|such that)")
_OR = re.compile(r"\\(?:text|mbox|mathrm)\s*\{\s*or\s*\}|(?<![A-Za-z\\])or(?![A-Za-z])")
_TRAILING = " \t.,;:"


def normalise(answer: str) -> str:
    """An answer in its plain spelling; units are still there."""
    text = _STYLED.sub(lambda match: normalize("NFKC", match[0]), answer)
    text = _RAISED.sub(lambda match: f"^{{{match[0].translate(_FROM_RAISED)}}}", text)
    text = _LOWERED.sub(lambda match: f"_{{{match[0].translate(_FROM_LOWERED)}}}", text)
    text = _CONTROL.sub(" ", text.translate(_CHARACTERS).replace(_ROW, " "))
    if not _ENVIRONMENT.search(text):  # without rows, `\\\\frac` is a command that somebody escaped twice
        text = _ESCAPED_TWICE.sub(lambda match: "\\", text)
    text = _ROW_BREAK.sub(_ROW, text)
    if _SET_BUILDER.search(text):
        text = _OR.sub(r" \\lor ", text)
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    for pattern, replace in _NUMBERS:
        text = pattern.sub(replace, text)
    text = text.replace(_ROW, r"\\")
    text = _trimmed(text)
    text = _with_braced_arguments(_without_thousands(_with_choices_written_out(_with_commas(text))))
    mixed = _MIXED.match(text)
    if mixed:  # 3 1/2; the LaTeX form 3\frac{1}{2} is the parser's
        sign, whole, above, below = mixed.groups()
        text = f"{sign}{whole}\\frac{{{above}}}{{{below}}}"
    text = _PRODUCT.sub(r"\1\\cdot(", text)  # 5(3) is a product; the parser would read a mixed number
    return without_repeated_name(text)


def unwrapped(text: str) -> tuple[str, bool]:
    r"""The content of an answer that is one `\text{...}` (or the like) as a whole, and whether it was."""
    was_wrapped = False
    while True:
        match = WRAPPED.match(text)
        begin = match.end() if match else 0
        if not text.startswith("{", begin) or closing_braces(text).get(begin) != len(text) - 1:
            return text, was_wrapped
        text, was_wrapped = _trimmed(text[begin + 1 : -1]), was_wrapped or match is not None


def top_level_parts(text: str) -> list[str]:
    """A list's parts: cut at the commas that stand in no bracket."""
    parts, depth, begin = [], 0, 0
    for position, character in enumerate(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[begin:position].strip())
            begin = position + 1
    return [*parts, text[begin:].strip()]


_N = r"(?:\{\s*(?:\d+|[nmN]|2n)\s*\}|\d|[nm](?![A-Za-z]))"
_LETTER = r"(?<![A-Za-z\\])(?:\\(?:mathrm|text|mathbf|rm)\s*\{{\s*{0}\s*\}}|{0})"
_CHOOSE, _ARRANGE = _LETTER.format("C"), _LETTER.format("[AP]")
_CHOICES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_CHOOSE}\s*_\s*(?P<n>{_N})\s*\^\s*(?P<k>{_N})",
        rf"{_CHOOSE}\s*\^\s*(?P<k>{_N})\s*_\s*(?P<n>{_N})",
        rf"(?:\{{\s*\}}\s*|(?<![\w)}}]))[_^]\s*(?P<n>{_N})\s*{_CHOOSE}\s*_\s*(?P<k>{_N})",
        rf"{_CHOOSE}\s*\(\s*(?P<n>\d+)\s*,\s*(?P<k>\d+)\s*\)",
        r"(?<![\w.,])(?P<n>\d+)\s*C\s*_?\s*(?P<k>\d+)(?![\w.}]|\s*[_^])",
    )
)
_ARRANGEMENT = re.compile(rf"{_ARRANGE}\s*_\s*(?P<n>\d|\{{\d+\}})\s*\^\s*(?P<k>\d|\{{\d+\}})")


def _with_choices_written_out(text: str) -> str:
    r"""`C_{10}^{3}`, `C(10,3)`, `{}_{10}C_3`, `10C3` -> `\binom{10}{3}`; `A_5^2` -> `\frac{5!}{3!}`.

    Some write the larger number above, some below: of two numbers the larger is what is chosen from.
    """
    for pattern in _CHOICES:
        text = pattern.sub(lambda match: r"\binom{{{}}}{{{}}}".format(*_larger_first(match)), text)
    return _ARRANGEMENT.sub(_arrangement, text)


def _larger_first(match: re.Match[str]) -> tuple[str, str]:
    n, k = match["n"].strip("{ }"), match["k"].strip("{ }")
    return (k, n) if n.isdigit() and k.isdigit() and len(n) < 10 and len(k) < 10 and int(k) > int(n) else (n, k)


def _arrangement(match: re.Match[str]) -> str:
    n, k = (int(number) for number in _larger_first(match))
    return rf"\frac{{{n}!}}{{{n - k}!}}"


_PARTED_BY_SEMICOLON = re.compile(r"(?<=[(\[\]])[^()\[\];<>=|]*;[^()\[\]<>=|]*(?=[)\]\[])")


def _with_commas(text: str) -> str:
    """`[0;1,5)` -> `[0,1.5)`: where semicolons part members, a comma between digits is a decimal one."""
    return _PARTED_BY_SEMICOLON.sub(
        lambda match: re.sub(r"(?<=\d),(?=\d)", ".", match[0]).replace(";", ",") if ", " not in match[0] else match[0],
        text,
    )


_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,]|\.\d*,)")
_GROUPING = re.compile(r"\\[{}]|[()\[\]]")


def _without_thousands(text: str) -> str:
    r"""`1,000x` and `\frac{1,000}{3}` without their commas; within brackets a comma parts members: `(1,000)`."""
    if "," not in text:
        return text
    depths, depth = [0] * (len(text) + 1), 0
    brackets = {match.start(): match.group() for match in _GROUPING.finditer(text)}
    for place in range(len(text)):
        if place in brackets:
            depth += 1 if brackets[place] in ("(", "[", "\\{") else -1
        depths[place] = depth
    return _THOUSANDS.sub(lambda match: match[0] if depths[match.start()] > 0 else match[0].replace(",", ""), text)


def _trimmed(text: str) -> str:
    r"""Without spaces and full stops at the ends; a `\` at the end is kept with its space."""
    return text.strip(" \t").rstrip(_TRAILING) if not text.startswith(".") else text.rstrip(_TRAILING)


def without_repeated_name(text: str) -> str:
    """`x=5, x=3` -> `5, 3`: the solutions of one unknown, each with its name."""
    if text.count("=") < 2:
        return text
    assigned = [_ASSIGNED.match(part) for part in top_level_parts(text)]
    names = {match.group(1) if match else None for match in assigned}
    if len(assigned) < 2 or len(names) > 1 or None in names:
        return text
    return ",".join(match.group(2).strip() for match in assigned if match)


_TAKES = {"frac": 2, "sqrt": 1, "binom": 2}
_COMMAND = re.compile(r"\\(frac|sqrt|binom)(?![A-Za-z])")
_TOKEN = re.compile(r"\s*(\\[A-Za-z]+\s*|\\.|[^\s\\{}])")
_PARENTHESES = re.compile(r"\s*\(((?:[^()]|\([^()]*\))*)\)")
_ROOT = re.compile(r"\s*\[[^\[\]]*\]")


def _with_braced_arguments(text: str) -> str:
    r"""`\frac12`, `\frac \pi4`, `\frac{1}2`, `\sqrt5` with the braces TeX would read."""
    written, position = [], 0
    closing = closing_braces(text)
    for match in _COMMAND.finditer(text):
        if match.start() < position:
            continue
        written.append(text[position : match.end()])
        position = match.end()
        root = _ROOT.match(text, position) if match.group(1) == "sqrt" else None
        if root:
            written.append(root.group().strip())
            position = root.end()
        for _ in range(_TAKES[match.group(1)]):
            begin = position + len(text[position:]) - len(text[position:].lstrip())
            if begin in closing:  # a group: its content is visited by the loop
                if not text[begin + 1 : closing[begin]].count("\\"):
                    written.append(text[begin : closing[begin] + 1])
                else:
                    written.append("{" + _with_braced_arguments(text[begin + 1 : closing[begin]]) + "}")
                position = closing[begin] + 1
                continue
            inner = _PARENTHESES.match(text, position)
            if inner and match.group(1) == "sqrt":  # sqrt(8), as programs write
                written.append("{" + _with_braced_arguments(inner.group(1)) + "}")
                position = inner.end()
                continue
            token = _TOKEN.match(text, position)
            if not token or _COMMAND.match(token.group(1)):
                break
            written.append("{" + token.group(1).strip() + "}")
            position = token.end()
    return "".join([*written, text[position:]])
