"""`onoff ui`: the Dagster UI and its daemon, behind a guard."""

import argparse
import os
from typing import Any

from onoff_core.errors import PlatformError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def add(commands: Any) -> None:
    command = commands.add_parser(
        "ui",
        help="the Dagster UI, and the daemon that runs what is queued",
        description="Start `dagster dev` with its webserver behind a guard: a request has to name an expected host, "
        "and no page of another site can command it. Needs DAGSTER_HOME. ONOFF_UI_TOKEN: a token that is asked for.",
    )
    command.add_argument("--port", type=int, default=3000, help="3000 unless you say otherwise")
    command.add_argument("--host", default="127.0.0.1", help="the address to listen on; another one needs a token")
    command.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name it is reached by, as of a proxy"
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_assets import dev
    from onoff_assets.instance import open_instance
    from onoff_assets.webserver import HOSTS_VARIABLE, TOKEN_VARIABLE

    if args.host not in _LOOPBACK and not os.environ.get(TOKEN_VARIABLE):
        raise PlatformError(
            f"{args.host} can be reached from other machines, and who reaches the UI can run code here; set "
            f"{TOKEN_VARIABLE} to a secret, or keep 127.0.0.1 and use: ssh -L {args.port}:127.0.0.1:{args.port} HOST"
        )
    with open_instance():  # says what is missing before anything is started
        pass
    named = [] if args.host in (*_LOOPBACK, "0.0.0.0", "::") else [args.host]
    os.environ[HOSTS_VARIABLE] = " ".join([*named, *args.allow_host])
    dev.serve(args.host, args.port)
    return 0
