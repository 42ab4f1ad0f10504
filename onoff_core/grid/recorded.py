"""Keep results fresh that were made when the path of a model's folder was still part of their fingerprint.

A model that is a folder is known by its content. It used to be known by its absolute path as well, so that a copy of
the project elsewhere was another model. The rule for results made then: where a partition's current samples name a
path, that path stands in this partition's fingerprints, wherever the folder lies now. So they stay fresh until the
folder's content or the settings change, as all other results do.
"""

import dataclasses

from onoff_core.backends.identity import PYPI_PREFIX, local_model
from onoff_core.store import Store
from onoff_core.store.provenance import SamplesProvenance
from onoff_core.study import Partition


def as_recorded(partition: Partition, store: Store) -> Partition:
    """The partition, with the path of the model's folder that its current samples name, if they name one.

    Raises `ModelError` where the model is neither a folder nor a name on the hub.
    """
    name = partition.model_settings.model_name
    if name.startswith(PYPI_PREFIX) or local_model(name, partition.base_dir) is None:
        return partition
    samples = store.current("samples", partition.names)
    if samples is None:
        return partition
    folder = SamplesProvenance.of(samples.manifest()).model_name
    return dataclasses.replace(partition, recorded_folder=folder) if folder.startswith("/") else partition
