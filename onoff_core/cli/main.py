"""`onoff`: parse, run, and print errors that a user can mend as one message."""

import argparse
import io
import logging
import sys
from collections.abc import Sequence

from onoff_core import __version__
from onoff_core.cli import (
    bench,
    browse,
    check,
    demo,
    export,
    grade,
    import_results,
    plan,
    power,
    prune,
    rename,
    series,
    show,
    status,
    usage,
    verify,
)
from onoff_core.cli.extensions import extensions
from onoff_core.cli.printing import red
from onoff_core.errors import OnoffError
from onoff_core.machine import interruption_of, what_it_lacked

_COMMANDS = (
    status,
    show,
    series,
    check,
    grade,
    browse,
    export,
    import_results,
    plan,
    power,
    verify,
    usage,
    prune,
    rename,
    demo,
    bench,
)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="onoff",
        description="Study language models on math problems: samples, rewards, statistics, token distributions.",
        epilog="The study is onoff.yaml in this folder or one above it, or the file that ONOFF_CONFIG names.",
    )
    top.add_argument("--version", action="version", version=f"onoff {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (*_COMMANDS, *extensions("onoff.commands")):
        module.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 an error that the message tells how to mend, 2 wrong usage, 130 interrupted."""
    _print_what_there_is_no_character_for()
    arguments = sys.argv[1:] if argv is None else argv
    name = " ".join(["onoff", *arguments[:1]])
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return _interrupted(name)
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return 0
    except Exception as error:
        if interruption_of(error) is not None:
            return _interrupted(name)
        if isinstance(error, OnoffError):
            print(red(f"{name}: {error}"), file=sys.stderr)
            return 1
        lacked = what_it_lacked(error)
        if lacked is None:
            raise
        print(red(f"{name}: {lacked} ({_first_line(error)})"), file=sys.stderr)
        return 1


def _interrupted(name: str) -> int:
    print(f"{name}: interrupted", file=sys.stderr)
    return 130


def _run(arguments: Sequence[str]) -> int:
    top = parser()
    if not arguments:
        top.exit(2, top.format_help())
    args = top.parse_args(arguments)
    _print_our_messages()
    result: int = args.run(args)
    return result


def _print_our_messages() -> None:
    """On the terminal: what we say of our work, and warnings of others."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    for name in ("onoff", "onoff_core", "onoff_assets"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("huggingface_hub").propagate = False  # it prints by itself, so each line would come twice


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _print_what_there_is_no_character_for() -> None:
    """Names and texts may have characters that the terminal's encoding lacks; they are shown as `\\u2211`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
