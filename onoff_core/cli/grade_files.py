"""The files of `onoff grade`: lines in, graded lines out as they are made, and where an interrupted call goes on.

Beside an output that is not whole lies a note, `.OUT.jsonl.grading`, with what it was made from and how. The same call
goes on behind the last whole line; another call begins anew. The note goes when the output is whole.
"""

import hashlib
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from onoff_core.errors import OnoffError

_SHOWN_FAULTS = 10
_MOST_INDEX = 2**31 - 1  # as in every table of responses
_STANDARD_INPUT = Path("-")


class LinesError(OnoffError):
    """A file of responses that cannot be graded as it stands."""


@dataclass(frozen=True)
class Line:
    """One readable line."""

    fields: dict[str, Any]
    response: str
    answer: str
    problem_id: str
    sample_index: int
    prompt: str


def check_places(output: Path, statistics: Path | None) -> None:
    """Refuse what could not be written in the end, before an hour of grading."""
    for path in filter(None, (output, statistics)):
        folder = path.absolute().parent
        if not folder.is_dir():
            raise LinesError(f"{path}: there is no folder {path.parent}; make it first")
        if path.exists() and not path.is_file():
            raise LinesError(f"{path}: is a folder, a pipe or a device; name a file")
        if not os.access(path.resolve().parent, os.W_OK):
            raise LinesError(f"{path}: the folder {path.resolve().parent} cannot be written to")
    if statistics is not None and statistics.resolve() == output.resolve():
        raise LinesError(f"{output}: --output and --statistics are the same file; name two")


def read_input(path: Path) -> bytes:
    """All of a file, a pipe, or, for `-`, what comes in."""
    if path == _STANDARD_INPUT:
        return sys.stdin.buffer.read()
    if not path.exists() or path.is_dir():
        raise LinesError(f"{path}: is a folder; name a file" if path.is_dir() else f"{path}: no such file")
    return path.read_bytes()


def parse_lines(raw_lines: bytes, path: Path) -> list[Line]:
    """The lines of an input; blank ones are passed over. All faults are named by line number in one error."""
    lines, faults = [], []
    seen: dict[tuple[str, int], int] = {}
    answers: dict[str, tuple[str, int]] = {}
    next_index: Counter[str] = Counter()
    for number, raw in enumerate(raw_lines.split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            line = _line(raw, number, next_index)
            first = seen.setdefault((line.problem_id, line.sample_index), number)
            if first != number:
                raise ValueError(f"problem {line.problem_id!r}, sample {line.sample_index} stands on line {first} too")
            answer, first = answers.setdefault(line.problem_id, (line.answer, number))
            if answer != line.answer:
                raise ValueError(f"problem {line.problem_id!r} has another answer on line {first}")
            lines.append(line)
        except (ValueError, RecursionError) as error:  # JSON and encoding errors are ValueErrors too
            faults.append(f"  line {number}: {error}")
    if faults:
        more = f"\n  and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
        shown = "\n".join(faults[:_SHOWN_FAULTS])
        raise LinesError(f"{path}: nothing was graded; mend or remove these lines:\n{shown}{more}")
    return lines


def _line(raw: bytes, number: int, next_index: "Counter[str]") -> Line:
    fields = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))  # some editors begin a file with a mark
    if not isinstance(fields, dict):
        raise ValueError('must be an object, such as {"response": "... \\\\boxed{5}", "answer": "5"}')
    problem_id = fields.get("problem_id")
    if problem_id is None:
        problem_id = f"line {number}"
    elif isinstance(problem_id, bool) or not isinstance(problem_id, str | int):
        raise ValueError(f"problem_id must be a text or a whole number, not {json.dumps(problem_id)}")
    index = fields.get("sample_index")
    if index is None:
        index = next_index[str(problem_id)]
    elif isinstance(index, bool) or not isinstance(index, int):
        raise ValueError(f"sample_index must be a whole number, not {json.dumps(index)}")
    if not 0 <= index <= _MOST_INDEX:
        raise ValueError(f"sample_index must be from 0 to {_MOST_INDEX}, not {index}")
    next_index[str(problem_id)] = max(next_index[str(problem_id)], index + 1)
    return Line(fields, _response(fields), _answer(fields), str(problem_id), index, _prompt(fields))


def _prompt(fields: dict[str, Any]) -> str:
    """What the model was given, where the line says it: it may have begun the thinking."""
    prompt = fields.get("prompt", "")
    return prompt if isinstance(prompt, str) else ""


def _response(fields: dict[str, Any]) -> str:
    response = fields.get("response")
    if not isinstance(response, str):
        raise ValueError("`response` is missing" if response is None else "`response` must be a text")
    return response


def _answer(fields: dict[str, Any]) -> str:
    """The gold answer; a number is one too, and 27.0 is 27."""
    answer = fields.get("answer")
    if isinstance(answer, float) and not math.isfinite(answer):
        raise ValueError(f"`answer` must be a text or a number, not {answer}")
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise ValueError("`answer` is missing" if answer is None else "`answer` must be a text or a number")
    return str(answer)


def write_whole(path: Path, text: str) -> None:
    """All of it or nothing, and never half over a file that was there."""
    place = path.resolve()  # a link stays one
    scratch = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(place)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise LinesError(f"{path}: cannot be written: {error}") from error


class Output:
    """Graded lines, written behind one another as they are made; a context manager that keeps the file open.

    Where the output is the input, which is still to be read by a call that goes on, the lines wait beside it.
    """

    def __init__(self, path: Path, source: Path, raw: bytes, options: Sequence[Any]) -> None:
        self.path, self._place = path, path.resolve()  # a link stays one
        is_source = source != _STANDARD_INPUT and self._place == source.resolve()
        self._file_place = self._place.with_name(f".{self._place.name}.graded") if is_source else self._place
        self._note = self._place.with_name(f".{self._place.name}.grading")
        made_from = hashlib.sha256(raw + json.dumps([*options, _code_version()]).encode()).hexdigest()
        self._made_from = made_from
        self._file: BinaryIO | None = None

    def __enter__(self) -> "Output":
        try:
            if not self._goes_on():
                self._file_place.write_bytes(b"")
                write_whole(self._note, self._made_from)
            self._file = self._file_place.open("r+b")
        except OSError as error:
            raise LinesError(f"{self.path}: cannot be written: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def _goes_on(self) -> bool:
        is_same = self._note.exists() and self._note.read_text() == self._made_from
        return is_same and self._file_place.exists()

    def graded(self, most: int) -> list[dict[str, Any]]:
        """The whole lines that an interrupted call has written; what it was writing when it ended is cut off."""
        assert self._file is not None
        whole = self._file.read().split(b"\n")[:-1][:most]
        self._file.seek(sum(len(line) + 1 for line in whole))
        self._file.truncate()
        return [json.loads(line) for line in whole]

    def append(self, rows: Sequence[dict[str, Any]]) -> None:
        assert self._file is not None
        try:
            self._file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise LinesError(f"{self.path}: cannot be written: {error}; the same call goes on from there") from error

    def finish(self) -> None:
        """All is graded."""
        if self._file_place != self._place:
            self._file_place.replace(self._place)
        self._note.unlink()


def _code_version() -> str:
    from onoff_core.tables import CODE_VERSIONS

    return CODE_VERSIONS["rewards"]
