"""Send an exported data set to the Hugging Face hub. Nothing here is called unless a user names a repository.

What can be wrong is looked at before anything is computed (`check_hub`): the name, the token, whether the repository is
there. A new repository is private unless the user says otherwise.
"""

import logging
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rl.card import card_text
from onoff_core.exchange.rl.export import Written

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class HubTarget:
    """A repository that may be written to."""

    repository: str  # owner/name
    private: bool
    token: str


def check_hub(repository: str, *, public: bool, overwrite: bool) -> HubTarget:
    """Raise `ExchangeError` where the data set could not be sent, or would be seen by more people than asked for."""
    if not _NAME.fullmatch(repository):
        raise ExchangeError(f"--push {repository}: owner/name is wanted, such as my-lab/math-mid-difficulty")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    _quiet()
    token = huggingface_hub.get_token()
    if token is None:
        raise ExchangeError(
            f"--push {repository}: there is no token of the hub, so nothing was computed and nothing sent; set "
            "HF_TOKEN, or log in with: hf auth login"
        )
    api = huggingface_hub.HfApi(token=token)
    try:
        if _role(api.whoami()) == "read":
            raise ExchangeError(f"--push {repository}: the token may only read; make one that may write")
        there = api.repo_info(repository, repo_type="dataset")
    except RepositoryNotFoundError:
        return HubTarget(repository, private=not public, token=token)
    except OfflineModeIsEnabled as error:
        raise ExchangeError(f"--push {repository}: HF_HUB_OFFLINE is set, so nothing can be sent; unset it") from error
    except _transport_errors() as error:
        raise ExchangeError(
            f"--push {repository}: the hub at {api.endpoint} cannot be reached ({_said(error)}), so nothing was "
            "computed and nothing sent. Is there a network? Without --push the files are written here alone"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise ExchangeError(f"--push {repository}: the hub at {api.endpoint} refuses: {_said(error)}") from error
    if not overwrite:
        raise ExchangeError(
            f"--push {repository}: is there already; name another one, or let --overwrite add a commit that replaces "
            "its data"
        )
    if bool(there.private) == public:
        is_now, asked = ("private", "with --public") if there.private else ("public", "without --public")
        raise ExchangeError(f"--push {repository}: is {is_now}, and was named {asked}; change one of the two")
    return HubTarget(repository, private=bool(there.private), token=token)


def push(written: Written, target: HubTarget) -> str:
    """Send the files of a folder as splits, then the data card; the address. The files have to be Parquet."""
    import datasets
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    datasets.disable_progress_bars()
    disable_progress_bars()
    datasets.logging.set_verbosity_error()
    name = target.repository
    interrupted: tuple[type[Exception], ...] = (HfHubHTTPError, OSError, *_transport_errors())
    try:
        with tempfile.TemporaryDirectory(prefix="onoff-push-") as cache:
            splits = datasets.DatasetDict({split: _read(path, cache) for split, path in written.files.items()})
            splits.push_to_hub(name, private=target.private, token=target.token, commit_message=written.card.title)
        api = huggingface_hub.HfApi(token=target.token)
        text = card_text(written.card, {split: f"data/{split}-*" for split in written.files})
        api.upload_file(
            path_or_fileobj=text.encode(),
            path_in_repo="README.md",
            repo_id=name,
            repo_type="dataset",
            commit_message="Data card",
        )
    except interrupted as error:
        raise ExchangeError(
            f"--push {name}: was interrupted by the hub: {_said(error)}. The files are in {written.card_path.parent}; "
            "the same command with --overwrite sends them again"
        ) from error
    return f"{api.endpoint}/datasets/{name}"


def _quiet() -> None:
    """These libraries would tell of every request and every shard."""
    for library in ("httpx", "httpx2", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.WARNING)


def _transport_errors() -> tuple[type[Exception], ...]:
    """What the library's HTTP client raises where nobody answers. Its releases have several clients: requests, whose
    errors are `OSError`, and httpx, whose are not.
    """
    clients = [sys.modules[name] for name in ("httpx2", "httpx") if name in sys.modules]
    return (ConnectionError, TimeoutError, *(client.TransportError for client in clients))


def _role(whoami: Any) -> str | None:
    """Of the token, as the hub says it; None: it is a token of another kind, whose rights are not known before."""
    token = whoami.get("auth", {}).get("accessToken") or {}
    role: str | None = token.get("role")
    return role


def _read(path: Path, cache: str):  # type: ignore[no-untyped-def]  # datasets has no types
    import datasets

    return datasets.Dataset.from_parquet(str(path), cache_dir=cache)


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
