"""Whose responses a table lists and a walk goes through: those of one partition or of several, as the address says."""

from collections.abc import Mapping

from onoff_assets.browser.reading import Key, Reader

OVER = {
    "": "this partition",
    "models": "all models of the data set",
    "datasets": "all data sets of the model",
    "all": "all partitions",
}


def over_of(address: Mapping[str, str]) -> str:
    """The scope that an address names, one of `OVER`; what is none of them counts as this partition."""
    over = address.get("over", "")
    return over if over in OVER else ""


def keys_over(reader: Reader, key: Key, over: str) -> list[Key]:
    """The partitions in the scope of this one, by name: from whichever of them one looks, the order is the same."""
    matching = {
        "": lambda other: other == key,
        "models": lambda other: other[0] == key[0],
        "datasets": lambda other: other[1] == key[1],
        "all": lambda other: True,
    }[over]
    others = [other for other in reader.partitions() if matching(other)]
    return others if key in others else [key]
