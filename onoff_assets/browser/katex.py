"""Whether KaTeX, which sets LaTeX in the browser, can set a text; where it cannot, the source is shown as it is.

KaTeX shows what it cannot set in red, in the middle of the text. `fault` says beforehand. The commands it knows, each
under the number of its arguments, are in `katex_commands.txt`; they were listed by trying each name of KaTeX 0.16's
source in the KaTeX that Streamlit ships.
"""

import re
from functools import cache
from importlib.resources import files

ALIGNED = frozenset({"align", "align*", "equation", "equation*", "gather", "gather*", "alignat", "alignat*", "split"})
_GRIDS = frozenset({
    "array", "darray", "subarray", "matrix", "smallmatrix", "cases", "dcases", "rcases", "drcases", "aligned",
    "gathered", "alignedat", *(f"{letter}matrix{star}" for letter in ("p", "b", "v", "B", "V") for star in ("", "*")),
})  # fmt: skip
_WITH_COLUMNS = frozenset({"array", "darray", "subarray", "alignat", "alignat*", "alignedat"})
_COLUMNS = re.compile(r"[lcr|:]*$|\d+$")
_SIZES = re.compile(r"\\(?:big|Big|bigg|Bigg)[lrm]?$")
_BRACKETS = (
    r"( ) [ ] | / . < > \{ \} \| \lbrace \rbrace \langle \rangle \lvert \rvert \lVert \rVert \vert \Vert \lfloor "
    r"\rfloor \lceil \rceil \lbrack \rbrack \lgroup \rgroup \backslash \uparrow \downarrow \updownarrow \Uparrow "
    r"\Downarrow \Updownarrow"
)
_DELIMITERS = frozenset(_BRACKETS.split())
_LENGTHS = {"hspace": 1, "hspace*": 1, "rule": 2, "raisebox": 1}  # of the arguments, those that are lengths
_LENGTH = re.compile(r"\s*-?(?:\d+\.?\d*|\.\d+)\s*(?:em|ex|cm|mm|in|pt|pc|bp|mu|px)\s*$")
_TEXT = frozenset({"text", "textrm", "textbf", "textit", "textsf", "texttt", "textnormal", "textup", "textmd", "mbox",
                   "emph", "fbox", "hbox"})  # fmt: skip
_TOKEN = re.compile(r"\\(?:[A-Za-z]+\*?|.)|%.*?(?:\n|$)|\s+|.", re.DOTALL)


class _Unset(Exception):
    """What KaTeX would refuse."""


@cache
def _arities() -> dict[str, int]:
    """The number of arguments of each command that KaTeX knows, by the command's name without its backslash."""
    found: dict[str, int] = {" ": 0, "\n": 0, **dict.fromkeys(("cr", "over", "choose", "atop", "brace", "brack"), 0)}
    arity = 0
    for line in files("onoff_assets.browser").joinpath("katex_commands.txt").read_text("utf-8").splitlines():
        if line[:1] == "[" and line[2:] == "]":
            arity = int(line[1])
        else:
            found.update(dict.fromkeys(line.split(), arity))
    return found


def fault(latex: str, block: bool) -> str | None:
    """Why KaTeX cannot set this (what stands between the dollars), or None where it can.

    `block`: whether it is set in lines of its own; only there may an `align` stand.
    """
    try:
        _Parser(latex, block).whole()
    except _Unset as reason:
        return str(reason)
    except RecursionError:
        return "too deep"
    return None


class _Parser:
    """Walks over the tokens once, as KaTeX does, and stops at the first that it would refuse."""

    def __init__(self, latex: str, block: bool):
        self.tokens = [token for token in _TOKEN.findall(latex) if not token.isspace() and token[0] != "%"]
        if "%" in latex.replace("\\%", ""):
            raise _Unset("a comment")  # KaTeX would leave out what follows, and nobody would see that
        self.at = 0
        self.block = block

    def peek(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next(self, what: str) -> str:
        token = self.peek()
        if token is None:
            raise _Unset(f"ends where {what} is needed")
        self.at += 1
        return token

    def whole(self) -> None:
        self.group(None, in_grid=False)
        if self.peek() is not None:
            raise _Unset(f"{self.peek()} without its beginning")

    def group(self, end: str | None, *, in_grid: bool) -> None:
        """Everything up to `end` (None: to the end of the text), which is left to the caller."""
        scripts = ""  # what the last atom has: an atom takes one superscript and one subscript
        while (token := self.peek()) is not None and token not in (end, "}", r"\end", r"\right"):
            self.at += 1
            if token in ("^", "_"):
                if token in scripts:
                    raise _Unset(f"two {token} at one place")
                scripts += token
                self.argument(f"something after {token}")
                continue
            if token == "'":
                if "^" in scripts:
                    raise _Unset("a prime after a superscript")
                continue
            if token not in (r"\limits", r"\nolimits"):
                scripts = ""
            self.atom(token, in_grid)
        if end is not None and self.peek() != end:
            raise _Unset(f"ends without {end}")

    def atom(self, token: str, in_grid: bool) -> None:
        if token == "{":
            self.group("}", in_grid=False)
            self.at += 1
        elif token in ("&", r"\hline", r"\hdashline"):
            if not in_grid:
                raise _Unset(f"{token} outside of a table")
        elif token in ("#", "$"):
            raise _Unset(f"{token} by itself")
        elif token == r"\left":
            self.delimiter()
            self.group(r"\right", in_grid=False)
            self.at += 1
            self.delimiter()
        elif token == r"\begin":
            self.environment()
        elif token == r"\middle" or _SIZES.match(token):
            self.delimiter()
        elif token.startswith("\\"):
            self.command(token[1:])

    def command(self, name: str) -> None:
        if name.endswith("*") and name not in ("hspace*", "operatorname*"):
            self.tokens[self.at : self.at] = ["*"]
            name = name[:-1]
        if name in ("limits", "nolimits"):
            return
        if name in ("tag", "tag*") and self.block:
            self.argument("a tag")
            return
        if name in _LENGTHS:
            for _ in range(_LENGTHS[name]):
                if not _LENGTH.match(self.raw("a length")):
                    raise _Unset(f"\\{name} without a length")
            if name == "raisebox":
                self.argument("what is raised")
            return
        arity = 1 if name == "operatorname*" else _arities().get(name)
        if arity is None:
            raise _Unset(f"\\{name} is not known")
        if name == "sqrt" and self.peek() == "[":
            while self.next("]") != "]":
                pass
        if name in _TEXT and self.peek() == "{":
            self.words()
            return
        for _ in range(arity):
            self.argument(f"an argument of \\{name}")

    def argument(self, what: str) -> None:
        token = self.next(what)
        if token in ("}", "^", "_", "&", r"\end", r"\right", r"\\"):
            raise _Unset(f"{token} where {what} is needed")
        self.atom(token, in_grid=False)

    def raw(self, what: str) -> str:
        """An argument in braces whose content is no formula."""
        if self.next(what) != "{":
            raise _Unset(f"no braces around {what}")
        inner: list[str] = []
        depth = 1
        while True:
            token = self.next("}")
            depth += {"{": 1, "}": -1}.get(token, 0)
            if depth == 0:
                return "".join(inner)
            inner.append(token)

    def words(self) -> None:
        """The argument of `\\text` and its kind: words, and formulas in `\\(` and `\\)`."""
        depth, in_formula = 0, False
        while True:
            token = self.next("}")
            depth += {"{": 1, "}": -1}.get(token, 0)
            if depth == 0:
                return
            if token in (r"\(", r"\)"):
                in_formula = token == r"\("
            elif token in ("^", "_", "&", "#") and not in_formula:
                raise _Unset(f"{token} among words")
            elif token.startswith("\\") and token[1:] not in _arities():
                raise _Unset(f"{token} is not known")

    def delimiter(self) -> None:
        token = self.next("a delimiter")
        if token not in _DELIMITERS:
            raise _Unset(f"{token} is no delimiter")

    def environment(self) -> None:
        name = self.raw("an environment's name")
        if name not in _GRIDS and not (name in ALIGNED and (self.block or name == "split")):
            raise _Unset(f"the environment {name} is not known here")
        if name in _WITH_COLUMNS and not _COLUMNS.match(self.raw("columns")):
            raise _Unset("columns that are not known")
        self.group(r"\end", in_grid=True)
        self.at += 1
        if self.raw("an environment's name") != name:
            raise _Unset(f"{name} does not end")
