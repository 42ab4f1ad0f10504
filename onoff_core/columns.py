"""A column of a table, and the columns that tables share."""

import pyarrow as pa


def column(name: str, kind: pa.DataType, comment: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


PROBLEM = column("problem_id", pa.string(), "unique within the data set")
# The kind of a column that says, of each null number in its row, why there is none.
MISSING = pa.list_(
    pa.struct([pa.field("statistic", pa.string(), nullable=False), pa.field("reason", pa.string(), nullable=False)])
)
