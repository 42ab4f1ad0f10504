"""What the schemas of tables are made of: columns with a comment, and those that name a response."""

import pyarrow as pa


def column(name: str, kind: pa.DataType, comment: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


PROBLEM = column("problem_id", pa.string(), "unique within the data set")
# The kind of a column that says, of each null number in its row, why there is none.
MISSING = pa.list_(
    pa.struct([pa.field("statistic", pa.string(), nullable=False), pa.field("reason", pa.string(), nullable=False)])
)
SAMPLE = column("sample_index", pa.int32(), "0 to num_samples - 1")
