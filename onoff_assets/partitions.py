"""One partition per dataset x model."""

import dagster as dg

from onoff_assets.study import study

dataset_partitions = dg.StaticPartitionsDefinition(list(study().datasets))
model_partitions = dg.StaticPartitionsDefinition(list(study().models))
grid_partitions = dg.MultiPartitionsDefinition({"dataset": dataset_partitions, "model": model_partitions})
