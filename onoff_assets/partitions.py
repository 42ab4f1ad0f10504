"""One partition per dataset x model of a study."""

from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from onoff_assets.input_versions import input_versions
from onoff_core.study import Study

GROUP = "grid"  # of all assets: Dagster folds groups where there are several, and one has to open each


@dataclass(frozen=True)
class Names:
    """Some datasets and models by name."""

    datasets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


NO_NAMES = Names()


@dataclass(frozen=True)
class Grid:
    """A study as Dagster sees it: its partitions and resources. The definitions are built over it.

    `retired`: names that are no longer in the study and stay partitions all the same.
    """

    study: Study
    retired: Names = NO_NAMES

    @cached_property
    def datasets(self) -> dg.StaticPartitionsDefinition:
        return dg.StaticPartitionsDefinition([*self.study.datasets, *self.retired.datasets])

    @cached_property
    def partitions(self) -> dg.MultiPartitionsDefinition:
        """Keys are `dataset|model`."""
        return dg.MultiPartitionsDefinition(
            {
                "dataset": self.datasets,
                "model": dg.StaticPartitionsDefinition([*self.study.models, *self.retired.models]),
            }
        )

    @cached_property
    def resources(self) -> dict[str, dg.ResourceDefinition]:
        """Resources bound to every asset and check, so that each runs anywhere: a code location, a test, a notebook."""
        return {"input_versions": input_versions(self.study)}
