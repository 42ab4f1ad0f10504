"""LaTeX as people write it in problems and answers, as Markdown that Streamlit sets.

Formulas are set where KaTeX can (`katex.fault`); what it cannot, and every command that is not known here, is shown as
it was written. Nothing of the text becomes Markdown or HTML by itself: all words go through `text.escaped`.
"""

import re

from onoff_assets.browser.katex import ALIGNED, fault
from onoff_assets.browser.text import escaped, plain, visible

_FORMULAS = ("align", "alignat", "equation", "gather", "eqnarray", "multline", "displaymath", "math")
_LISTS = {"enumerate": "1.", "itemize": "-"}
_PLAIN = ("center", "flushleft", "flushright", "quote", "quotation", "minipage", "figure", "table")
_OTHER_NAMES = {"eqnarray": "align", "eqnarray*": "align*", "multline": "gather", "multline*": "gather*"}
_STYLES = {"textbf": "**", "textit": "*", "emph": "*", "textsl": "*"}
_WORDS = ("text", "textrm", "mbox", "underline", "texttt", "textsc", "textsf", "textnormal")
_SIGNS = {"ldots": "…", "dots": "…", "textdollar": "$", "textbackslash": "\\", "textdegree": "°", "quad": " ",
          "qquad": " ", "noindent": "", "bigskip": "", "medskip": "", "smallskip": "", "centering": "", "par": "\n\n",
          "newline": "\n", "hfill": " "}  # fmt: skip
_IN_MATHS = (  # what KaTeX spells otherwise
    (re.compile(r"\\mbox(?![A-Za-z])"), r"\\text"),
    (re.compile(r"\\textdollar(?![A-Za-z])"), r"\\$"),
    (re.compile(r"\\(?:overarc|wideparen|arc)(?![A-Za-z])"), r"\\overgroup"),
    (re.compile(r"\\(?:label|vspace\*?)\{[^{}]*\}"), ""),
    (re.compile(r"\\begin\{tabular\}(?:\[[^\]]*\])?\{"), r"\\begin{array}{"),
    (re.compile(r"\\end\{tabular\}"), r"\\end{array}"),
    (re.compile(r"\\cline\{[^{}]*\}"), ""),
    (re.compile(r"@\{(?:[^{}]|\{[^{}]*\})*\}(?=[lcr|@\s]*\})"), ""),  # what stands between two columns of a table
    (re.compile(r"&\s*=\s*&"), "&="),
)
_DOLLAR = '{\\char"24}'  # a dollar would end the formula where Markdown looks for its end
_ESCAPED = re.compile(r"\\(?:\\|\$)")
_IN_WORDS = re.compile(r"(\\(?:text|textrm|textbf|textit|mbox)\{[^{}$]*)\$([^$]*)\$")
# `$..$` only where it cannot be an amount of money: no space inside the dollars and no digit after them (as Pandoc).
# It may go over a line break, and not over an empty line. Lengths have limits, so that no text takes long to read.
_PIECE = re.compile(
    r"(?P<asy>\[asy\](?>(?:(?!\[/?asy\]).){0,20000})\[/asy\])|"
    rf"\\(?P<style>{'|'.join((*_STYLES, *_WORDS))})\s*(?=\{{)|"
    r"(?<!\\)\$\$(?P<block>(?:\\.|[^$\\]|\$(?!\$))+?)\$\$|"
    r"(?<!\\)\\\[(?!\d)(?P<bracket>(?>(?:(?!\\[\[\]]).){1,4000}))\\\]|(?<!\\)\\\((?P<paren>(?>(?:(?!\\[()]).){1,4000}))\\\)|"
    r"(?<!\\)\$(?P<inline>(?=[^\s$])(?>\\text\w*\{[^{}]*\}|\\.|[^$\\\n]|\n(?![ \t]*\n))*?(?<!\s))\$(?!\d)|"
    r"\\begin\{(?P<environment>[a-z]+\*?)\}(?P<content>.{0,8000}?)\\end\{(?P=environment)\}",
    re.DOTALL,
)
_COMMAND = re.compile(
    r"\\(?P<name>[A-Za-z]+)(?![A-Za-z*])(?![ \t]*\{)|\\(?P<sign>[$%&#_{} ])|"
    r"(?P<newline>\\\\(?:\[[^\]\n]*\])?)|``(?P<quoted>[^`'\n]+)''"
)
_LOOKS_LIKE_LATEX = re.compile(r"\\[A-Za-z,!;:%$&{}]|[\^_]|\{")
_MOST_DEEP = 8  # lists in lists


def as_markdown(text: str) -> str:
    """Markdown that shows the text with its LaTeX set, and everything else of it literally."""
    return _blocks(text, 0)


def as_answer(answer: str) -> str:
    """An answer as it is stored, and beside it its typeset form where it is LaTeX that can be set.

    Answers come without dollars; one that has them is set with its formulas. `20%`, `5 apples` and `x & y` are words.
    """
    typeset = typeset_answer(answer)
    shown = visible(answer)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    source = f"{fence} {shown} {fence}" if shown.strip() else escaped(shown)
    return source if typeset is None else f"{source} &ensp; {typeset}"


def typeset_answer(answer: str) -> str | None:
    """An answer's typeset form; None where it is no LaTeX that can be set."""
    stripped = answer.strip()
    if len(stripped) > 1 and stripped[0] == stripped[-1] == "$" and "$" not in stripped[1:-1].replace("\\$", ""):
        stripped = stripped[1:-1].strip()
    if not _LOOKS_LIKE_LATEX.search(stripped):
        return None
    return _formula(stripped, block=False)


def _blocks(text: str, depth: int) -> str:
    """Formulas, environments and pictures of a text, and its words between them."""
    parts, end = [], 0
    closings = _closing_braces(text)
    while (match := _PIECE.search(text, end)) is not None:
        parts.append(_words(text[end : match.start()]))
        stop = match.end()
        name = match["environment"]
        if match["style"] is not None:
            closing = closings.get(match.end())
            if closing is None or depth >= _MOST_DEEP:
                parts.append(escaped(match[0]))
            else:
                parts.append(_styled(match["style"], text[match.end() + 1 : closing], depth))
                stop = closing + 1
        elif name is not None:
            content, stop = _environment(text, match)
            parts.append(_set_environment(name, content, text[match.start() : stop], depth))
        elif match["asy"] is not None:
            parts.append(_source(match["asy"]))
        else:
            inner = next(match[group] for group in ("block", "bracket", "paren", "inline") if match[group] is not None)
            block = match["block"] is not None or match["bracket"] is not None
            parts.append(_formula(inner, block) or escaped(match[0]))
        end = stop
    parts.append(_words(text[end:]))
    return "".join(parts)


def _closing_braces(text: str) -> dict[int, int]:
    """Where each brace that opens is closed."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for token in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if token[0] == "{":
            opened.append(token.start())
        elif token[0] == "}" and opened:
            found[opened.pop()] = token.start()
    return found


def _styled(name: str, inner: str, depth: int) -> str:
    """Bold and italics; other commands around words show the words."""
    shown, mark = _blocks(inner, depth + 1), _STYLES.get(name, "")
    bare = shown.strip()
    return shown if not mark or not bare or "\n" in bare else shown.replace(bare, f"{mark}{bare}{mark}", 1)


def _environment(text: str, match: re.Match[str]) -> tuple[str, int]:
    """The content up to the `\\end` that belongs to this `\\begin`, and where the environment ends."""
    name = re.escape(match["environment"])
    level = 0
    for edge in re.finditer(rf"\\(begin|end)\{{{name}\}}", text[match.start() :]):
        level += 1 if edge[1] == "begin" else -1
        if level == 0:
            stop = match.start() + edge.end()
            return text[match.start("content") : match.start() + edge.start()], stop
    return match["content"], match.end()


def _set_environment(name: str, content: str, source: str, depth: int) -> str:
    bare = name.rstrip("*")
    if bare in _FORMULAS:
        known = _OTHER_NAMES.get(name, name)
        inner = content if bare in ("displaymath", "math") else f"\\begin{{{known}}}{content}\\end{{{known}}}"
        return _formula(inner, block=bare != "math") or _source(source)
    if depth < _MOST_DEEP:
        if name in _LISTS:
            return _list(content, _LISTS[name], depth)
        if name == "tabular":
            return _table(content, depth) or _source(source)
        if name in _PLAIN:
            return "\n\n" + _blocks(re.sub(r"\A(?:\[[^\]]*\]|\{[^{}]*\})+", "", content), depth + 1) + "\n\n"
    formula = _formula(source, block=True)  # a matrix whose dollars were forgotten
    return formula or _source(source)


def _list(content: str, mark: str, depth: int) -> str:
    """`enumerate` and `itemize`, one in another too."""
    items = _split(re.sub(r"\A\s*\[[^\]]*\]", "", content), r"\\item(?![A-Za-z])")[1:]
    lines = []
    for item in items:
        label = re.match(r"\s*\[([^\]]*)\]", item)
        body = item if label is None else item[label.end() :]
        shown = ("" if label is None else _blocks(label[1], depth + 1) + " ") + _blocks(body, depth + 1).strip()
        start = mark if label is None else "-"
        lines.append(f"{start} " + shown.replace("\n", "\n" + " " * (len(start) + 1)))
    return "\n\n" + "\n".join(lines) + "\n\n"


def _table(content: str, depth: int) -> str | None:
    """`tabular` as a table of Markdown; None where it has no columns."""
    columns = re.match(r"(?:\[[^\]]*\])?\s*\{((?:[^{}]|\{[^{}]*\})*)\}", content)
    if columns is None:
        return None
    body = re.sub(r"\\(?:hline|toprule|midrule|bottomrule)(?![A-Za-z])|\\cline\{[^{}]*\}", "", content[columns.end() :])
    rows = []
    for line in _split(body, r"\\\\(?:\[[^\]\n]*\])?"):
        if not line.strip():
            continue
        row: list[str] = []
        for cell in _split(line, r"(?<!\\)&"):
            wide = re.match(r"\s*\\multicolumn\{(\d{1,2})\}\{[^{}]*\}\{(.*)\}\s*\Z", cell, re.DOTALL)
            shown = _blocks(" ".join((cell if wide is None else wide[2]).split()), depth + 1)
            row += [" ".join(shown.split()).replace("$$", "$"), *[""] * (0 if wide is None else int(wide[1]) - 1)]
        rows.append(row)
    if not rows:
        return None
    width = max(map(len, rows))
    # A formula's bar would end its cell; KaTeX has another name for it. Words have theirs escaped already.
    lines = ["| " + " | ".join(_without_bars(cell) for cell in row + [""] * (width - len(row))) + " |" for row in rows]
    return "\n\n" + "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]]) + "\n\n"


def _without_bars(cell: str) -> str:
    return re.sub(r"\$[^$]+\$", lambda formula: re.sub(r"(?<!\\)\|", r"\\vert{}", formula[0]), cell)


def _split(text: str, pattern: str) -> list[str]:
    """Split outside of braces, dollars and inner environments."""
    parts, start, level, in_formula = [], 0, 0, False
    for token in re.finditer(rf"(?P<cut>{pattern})|\\begin\{{|\\end\{{|\\.|[{{}}$]", text, re.DOTALL):
        found = token[0]
        if token["cut"] is not None:
            if level == 0 and not in_formula:
                parts.append(text[start : token.start()])
                start = token.end()
        elif found == r"\begin{":
            level += 2  # the brace of the name closes one
        elif found == r"\end{":
            pass  # its brace closes what `\begin` left open
        elif found == "$":
            in_formula = not in_formula
        elif found in ("{", "}"):
            level += 1 if found == "{" else -1
    return [*parts, text[start:]]


def _words(text: str) -> str:
    """Words between formulas: a few commands of text are obeyed, all else is literal."""
    parts, end = [], 0
    for match in _COMMAND.finditer(text):
        if match.start() < end:
            continue
        shown = _command(match)
        if shown is not None:
            parts += [escaped(text[end : match.start()]), shown]
            end = match.end()
    return "".join([*parts, escaped(text[end:])])


def _command(match: re.Match[str]) -> str | None:
    """What a command of text shows; None: it is not known, and shown as it is written."""
    if match["sign"] is not None:
        return escaped(match["sign"])
    if match["newline"] is not None:
        return "  \n"
    if match["quoted"] is not None:
        return "“" + _words(match["quoted"]) + "”"
    sign = _SIGNS.get(match["name"])
    return sign if sign is None or not sign.strip() else escaped(sign)


def _formula(latex: str, block: bool) -> str | None:
    """A formula between dollars; None where KaTeX cannot set it."""
    shown = _IN_WORDS.sub(r"\1\\(\2\\)", latex)
    for pattern, spelled in _IN_MATHS:
        shown = pattern.sub(spelled, shown)
    line = " ".join(plain(shown).split())
    if not line or line.endswith("\\") or "$" in line.replace(r"\$", ""):
        return None
    needs_block = any(f"\\begin{{{name}}}" in line for name in ALIGNED)
    if fault(line, block or needs_block) is not None:
        return None
    # The dollars of Markdown know no escape.
    line = _ESCAPED.sub(lambda found: _DOLLAR if found[0] == r"\$" else found[0], line)
    return f"\n\n$$\n{line}\n$$\n\n" if block or needs_block else f"${line}$"


def _source(text: str) -> str:
    """A text left as it is, in a block of its own."""
    shown = plain(text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"\n\n{fence}text\n{shown}\n{fence}\n\n"
