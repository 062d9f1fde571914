"""Step `features`: for every store, brand and week, the request that a caller would have sent, and its features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql.types import BooleanType, DoubleType, FloatType, IntegerType, StructField, StructType

from workloads.markdown.history import KEYS, PANEL, requests_of_store, with_features
from workloads.markdown.spark import session
from workloads.markdown.steps.prepare import PREPARED

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from workloads.context import Context

ASSEMBLED = "features.parquet"


def run(context: Context) -> None:
    """Writes requests and features."""
    with session("markdown-features") as spark:
        prepared = spark.read.parquet(str(context.input(PREPARED)))
        assemble(prepared).write.mode("overwrite").parquet(str(context.output(ASSEMBLED)))


def assemble(prepared: DataFrame) -> DataFrame:
    """Returns the requests and features of all stores. Spark processes one store at a time."""
    kinds = {"i": IntegerType(), "b": BooleanType(), "f": DoubleType()}
    one = pd.DataFrame({name: [1] if name in KEYS else [1.0] for name in PANEL}).astype(dict.fromkeys(KEYS, "int32"))
    fields = [
        StructField(name, FloatType() if name.startswith("x_") else kinds[dtype.kind])
        for name, dtype in of_store(one).dtypes.items()
    ]
    return prepared.groupBy("store").applyInPandas(of_store, StructType(fields))


def of_store(panel: pd.DataFrame) -> pd.DataFrame:
    """Returns the requests and features of one store."""
    return with_features(requests_of_store(panel))
