"""Files of a store damaged at random places: the catalog, manifests, pointers, Parquet."""

import random
from collections.abc import Callable
from pathlib import Path

from tests.attacks.acting import KEY, Actor
from tests.attacks.conftest import Attack, differing, mended

_CATALOGS, _OTHERS = 50, 60
LOOK = (["onoff", "status"], ["onoff", "show", KEY], ["onoff", "verify"], ["onoff", "usage"], ["digest"])


def damage(path: Path, dice: random.Random) -> str:
    """Change a file at a random place, in one of the ways that disks and people have."""
    content = bytearray(path.read_bytes())
    at, count = dice.randrange(len(content)), dice.choice((1, 8, 100, 4096))
    match way := dice.choice(("flip", "zeros", "noise", "cut", "longer", "empty", "doubled")):
        case "flip":
            content[at] ^= 1 << dice.randrange(8)
        case "zeros":
            content[at : at + count] = bytes(len(content[at : at + count]))
        case "noise":
            content[at : at + count] = dice.randbytes(len(content[at : at + count]))
        case "cut":
            del content[at:]
        case "longer":
            content += dice.randbytes(count)
        case "empty":
            content.clear()
        case "doubled":
            content[at:at] = content[at : at + count]
    path.write_bytes(content)
    return f"{way} at {at}"


def test_the_catalog_damaged(
    attack: Attack, dice: random.Random, copies: Callable[[object], Path], intact: tuple[Path, dict[str, str]]
) -> None:
    """A reader gives the right answer or says that the file is damaged; the next publication is whole."""
    for number in attack.tries(range(_CATALOGS)):
        folder = copies(number)
        how = damage(folder / "store/catalog.duckdb", dice)
        looked = Actor(folder, *LOOK).end()
        fault = looked.fault()
        if fault is None and looked.digest is not None:
            fault = differing(looked.digest, intact[1])
        if fault is None and looked.digest is None:  # as the message says
            (folder / "store/catalog.duckdb").unlink()
        attack.held(how, fault or mended(folder, intact[1]))
    attack.check()


def test_manifests_pointers_and_parquet_damaged(
    attack: Attack, dice: random.Random, copies: Callable[[object], Path], intact: tuple[Path, dict[str, str]]
) -> None:
    """Readers say what is damaged, and making the partition again mends that and nothing else."""
    root = intact[0] / "store"
    kinds = [sorted(root.rglob(pattern)) for pattern in ("manifest.json", "current.json", "0*.parquet", "begun.json")]
    for number in attack.tries(range(_OTHERS)):
        name = str(dice.choice(kinds[number % len(kinds)]).relative_to(root))
        folder = copies(number)
        how = f"{name} {damage(folder / 'store' / name, dice)}"
        looked = Actor(folder, *LOOK).end()
        attack.held(how, looked.fault() or mended(folder, intact[1], first=name))
    attack.check()
