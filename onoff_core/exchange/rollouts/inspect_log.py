"""Rollouts of Inspect's logs: `.eval`, a zip file with a JSON file a sample, or `.json`, one with all.

A log says the text of each token and its log-probability where these were asked for, and no token ids. The ids follow
from the tokens' bytes, or from the text where a log has no log-probabilities.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rollouts.responses import tokens_of
from onoff_core.exchange.rollouts.rollout import Rollout, asked_in, text_of

_ZSTANDARD, _LOCAL_HEADER = 93, 30  # of a zip file: a method that Python 3.11 cannot read; bytes before the names
_ATTACHMENT = "attachment://"
_CORRECT = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}  # as Inspect's own value_to_float
_ENDS = {"max_tokens": "length", "model_length": "length", "stop": "stop"}


def is_log(content: Any) -> bool:
    return isinstance(content, dict) and "eval" in content and isinstance(content.get("samples"), list)


def read_archive(path: Path) -> list[dict[str, Any]]:
    """The samples of a `.eval` file, in the order of its members."""
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as raw:
            names = [one for one in archive.infolist() if one.filename.startswith("samples/")]
            return [json.loads(_content(archive, raw, one)) for one in names if one.filename.endswith(".json")]
    except (zipfile.BadZipFile, ValueError, OSError, pa.ArrowException) as error:
        raise ExchangeError(f"{path}: not a log of Inspect, or cut off: {error}") from error


def _content(archive: zipfile.ZipFile, raw: Any, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type != _ZSTANDARD:
        return archive.read(member)
    raw.seek(member.header_offset)
    header = raw.read(_LOCAL_HEADER)
    names, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    raw.seek(member.header_offset + _LOCAL_HEADER + names + extra)
    with pa.input_stream(io.BytesIO(raw.read(member.compress_size)), compression="zstd") as stream:
        content: bytes = stream.read()
        return content


def rollouts_of_samples(samples: list[dict[str, Any]], where: str) -> Iterator[Rollout | str]:
    """The rollout of each sample of a log; several choices of one sample are several."""
    for sample in samples:
        place = f"{where}: sample {sample.get('id')!r}, epoch {sample.get('epoch')}"
        plain = _with_attachments(sample, sample.get("attachments") or {})
        choices = (plain.get("output") or {}).get("choices") or []
        if plain.get("error") or not choices:
            said = (plain.get("error") or {}).get("message", "no choices") if plain.get("error") else "no choices"
            yield f"{place}: has no response ({str(said)[:120]})"
        for choice in choices:
            yield _of_choice(plain, choice, place)


def _of_choice(sample: Mapping[str, Any], choice: Mapping[str, Any], place: str) -> Rollout:
    tokens = tokens_of((choice.get("logprobs") or {}).get("content"), place)
    target = sample.get("target")
    return Rollout(
        place=place,
        problem_id=None if sample.get("id") is None else str(sample["id"]),
        question=asked_in(sample.get("input")),
        response=_said((choice.get("message") or {}).get("content")),
        finish_reason=_ENDS.get(choice.get("stop_reason") or ""),
        reward=_score(sample.get("scores")),
        answer=target[0] if isinstance(target, list) and target else target if isinstance(target, str) else None,
        **tokens,
    )


def _said(content: Any) -> str | None:
    """A message's text. Reasoning that Inspect took apart from it is put back as it usually was written."""
    if not isinstance(content, list):
        return text_of(content)
    parts = []
    for part in content:
        if isinstance(part, dict) and part.get("type") == "reasoning":
            parts.append(f"<think>{part.get('reasoning') or ''}</think>")
        elif isinstance(part, dict):
            parts.append(part.get("text") or "")
    return "".join(parts)


def _score(scores: Any) -> float | None:
    """The first score, where it is one number or one of Inspect's letters."""
    if not isinstance(scores, dict) or not scores:
        return None
    value = next(iter(scores.values())).get("value")
    if isinstance(value, str):
        return _CORRECT.get(value)
    return float(value) if isinstance(value, (int, float)) and value == value else None


def _with_attachments(value: Any, attachments: Mapping[str, str]) -> Any:
    """The value with what stands elsewhere in the sample put in its place."""
    if isinstance(value, str) and value.startswith(_ATTACHMENT):
        return attachments.get(value.removeprefix(_ATTACHMENT), value)
    if isinstance(value, list):
        return [_with_attachments(one, attachments) for one in value]
    if isinstance(value, dict):
        return {
            name: one if name in ("attachments", "events") else _with_attachments(one, attachments)
            for name, one in value.items()
        }
    return value
