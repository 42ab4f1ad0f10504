"""`onoff report`: tables, figures and responses of some partitions as a folder of static pages, for a paper."""

import argparse
from pathlib import Path
from typing import Any

from onoff_core.errors import SettingsError

_NAMED = 3  # partitions that are not in the report


def add(commands: Any) -> None:
    command = commands.add_parser(
        "report",
        help="tables, figures and responses as a folder of static pages, for a paper",
        description="Write a folder that opens without a server: the table with intervals (HTML, CSV, LaTeX with "
        "booktabs), pass@k and maj@k with bands (SVG), lengths, chosen responses with their coloured tokens and "
        "clickable alternatives, and the methods paragraph. With --output NAME.html and one response: that response "
        "alone, as one file to send. Reads the store and loads no model.",
    )
    command.add_argument(
        "--partitions", metavar="'D|M,D|M'", help="dataset|model, comma-separated; without it every one of the study"
    )
    command.add_argument(
        "--responses",
        metavar="PROBLEM#SAMPLE,...",
        help="which responses to show, of each partition that has them; without it a right and a wrong one of each",
    )
    command.add_argument("--store", help="a store's folder or URL; the study's own without it")
    command.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder, or NAME.html")
    command.add_argument("--title", help="heading of the first page (default: Results on, and the data sets)")
    command.add_argument(
        "--alternatives", type=_alternatives, default=20, metavar="N", help="at most, of each token (default 20)"
    )
    command.set_defaults(run=run)


def _alternatives(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 0 to 1000 is wanted")
    return int(text)


def run(args: argparse.Namespace) -> int:
    from onoff_assets.report.choosing import named_responses
    from onoff_assets.report.gathering import gather, named_partitions
    from onoff_assets.report.writing import write_report, write_response
    from onoff_core.frames import open_study

    study = open_study(args.store, stale="accept")  # the pages say what is stale
    named = None if args.responses is None else named_responses(args.responses)
    single = args.output.suffix == ".html"
    if single and (named is None or len(named) != 1):
        raise SettingsError(f"--output {args.output}: a file has one response; name it with --responses PROBLEM#SAMPLE")
    gathered = gather(study, named_partitions(study, args.partitions))
    if single and named is not None:
        written = write_response(gathered, args.output, named[0], args.alternatives)
    else:
        title = args.title or f"Results on {', '.join(gathered.datasets)}"
        written = write_report(gathered, args.output, named, title, args.alternatives)
    for file in written:
        print(f"{file.path}  {file.num_bytes:,} bytes")
    for key, why in list(gathered.missing.items())[:_NAMED]:
        print(f"note: {key} is not in the report: {why}")
    if len(gathered.missing) > _NAMED:
        print(f"note: nor are {len(gathered.missing) - _NAMED} partitions more; see: onoff status")
    for one in gathered.there:
        for note in one.notes:
            print(f"note: {one.key}: {note}")
    print(f"next: open {written[-1].path} in a browser; no server is needed")
    return 0
