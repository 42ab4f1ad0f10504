"""One partition per dataset x model, of the study that is handed in."""

from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from onoff_assets.input_versions import input_versions
from onoff_core.study import Study


@dataclass(frozen=True)
class Grid:
    """A study as Dagster sees it; everything the definitions are built over. One for each study in a process."""

    study: Study

    @cached_property
    def datasets(self) -> dg.StaticPartitionsDefinition:
        return dg.StaticPartitionsDefinition(list(self.study.datasets))

    @cached_property
    def partitions(self) -> dg.MultiPartitionsDefinition:
        """Keys are `dataset|model`."""
        return dg.MultiPartitionsDefinition(
            {"dataset": self.datasets, "model": dg.StaticPartitionsDefinition(list(self.study.models))}
        )

    @cached_property
    def resources(self) -> dict[str, dg.ResourceDefinition]:
        """Bound to every asset and check, so that each runs wherever it is put: a code location, a test, a notebook."""
        return {"input_versions": input_versions(self.study)}
