"""The store as a whole: which generations there are, which is current, and who is writing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onoff_core.errors import MissingInputError, StoreError
from onoff_core.store.files import LocalFiles
from onoff_core.store.generation import Generation, Manifest

# How many names of a partition follow the asset's in a path.
_DEPTH = {"problems": 1, "vocabulary": 1, "samples": 2, "rewards": 2, "statistics": 2, "token_distributions": 2}


class Store:
    """Results below one root folder."""

    def __init__(self, path: str) -> None:
        self.files = LocalFiles(Path(path))

    @property
    def root(self) -> Path:
        return self.files.root

    def generation(self, asset: str, partition: tuple[str, ...], fingerprint: str) -> Generation:
        return Generation(self.files, asset, partition, fingerprint)

    def current(self, asset: str, partition: tuple[str, ...]) -> Generation | None:
        """The current generation, always a complete one; None where there is none."""
        name = "/".join((asset, *partition, "current.json"))
        if not self.files.exists(name):
            return None
        try:
            fingerprint = json.loads(self.files.read_bytes(name))["fingerprint"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self.files.path(name)}: damaged ({error}); materialize {asset} again") from error
        generation = self.generation(asset, partition, fingerprint)
        return generation if generation.is_complete else None

    def require(self, asset: str, partition: tuple[str, ...]) -> Generation:
        """The current generation, or a `MissingInputError` that says what to run."""
        generation = self.current(asset, partition)
        if generation is None:
            key = "|".join(partition)
            raise MissingInputError(
                f"{asset} of {key} is not there yet in {self.root}; run: "
                f"dagster asset materialize --select {asset} --partition '{key}' -m onoff_assets.definitions"
            )
        return generation

    def make_current(self, generation: Generation) -> None:
        """Let readers see this generation from now on."""
        name = "/".join((generation.asset, *generation.partition, "current.json"))
        self.files.write_bytes(name, json.dumps({"fingerprint": generation.fingerprint}).encode())

    @contextmanager
    def writing(self, generation: Generation) -> Iterator[None]:
        """Be the only writer of this generation. A second one waits, and then finds it complete."""
        with self.files.lock("/".join((generation.asset, *generation.partition, f".{generation.fingerprint}.lock"))):
            yield

    def partitions(self, asset: str) -> list[tuple[str, ...]]:
        """The partitions of which the asset has anything at all."""
        found: list[tuple[str, ...]] = [()]
        for _ in range(_DEPTH[asset]):
            found = [(*names, child) for names in found for child in self.files.children("/".join((asset, *names)))]
        return [names for names in found if self.files.path("/".join((asset, *names))).is_dir()]

    def current_manifests(self, asset: str) -> list[Manifest]:
        """The manifest of every partition's current generation."""
        currents = (self.current(asset, partition) for partition in self.partitions(asset))
        return [generation.manifest() for generation in currents if generation is not None]
