"""Step `prepare`: units, prices, deals and costs per store, brand and week, and the plans of the whole chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as f

from workloads.context import TrainingError
from workloads.markdown.features import BRANDS
from workloads.markdown.history import PANEL
from workloads.markdown.spark import session
from workloads.training.source import source_facts, table_path

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from workloads.context import Context

PREPARED = "prepared.parquet"
SAME_PRICE = 0.02
"""Stores whose price differs from the chain's median by less than this share count as stores with the same price."""


def run(context: Context) -> None:
    """Writes the prepared panel.

    Raises:
        TrainingError: the panel does not have exactly one row per store, brand and week.
    """
    published = source_facts(context)["rows"]["panel"]
    with session("markdown-prepare") as spark:
        panel = spark.read.parquet(str(table_path(context, "panel")))
        prepared = prepare(panel)
        prepared.write.mode("overwrite").parquet(str(context.output(PREPARED)))
        written = spark.read.parquet(str(context.input(PREPARED))).count()
    if written != published:
        msg = f"the panel has {published} rows, but {written} after preparation: it must have one row per store, brand and week"
        raise TrainingError(msg)


def prepare(panel: DataFrame) -> DataFrame:
    """Returns the columns `history.PANEL`.

    In the panel, `logmove` is the log of ounces, and `profit` is the gross margin in percent. The plans of the chain
    (`chain_price`, `chain_spread`, `chain_same`, `chain_deal`) are from the week itself, because plans are known in advance.
    The sales of the chain (`chain_units`) are from the week before.
    """
    own = f.element_at(f.array(*[f"price{number}" for number in range(1, BRANDS + 1)]), f.col("brand"))
    sales = panel.select(
        *("store", "brand", "week", "deal", "feat"),
        *(f.col(f"price{number}").alias(f"price_{number}") for number in range(1, BRANDS + 1)),
        f.exp("logmove").alias("units"),
        "logmove",
        own.alias("own_price"),
        (own * (1 - f.col("profit") / 100)).alias("cost"),
    )
    keys = ["brand", "week"]
    plan = sales.groupBy(keys).agg(
        f.median("own_price").alias("chain_price"),
        f.stddev_pop(f.log("own_price")).alias("chain_spread"),
        f.mean("deal").alias("chain_deal"),
    )
    off = f.abs(f.log("own_price") - f.log("chain_price"))
    same = sales.join(f.broadcast(plan), keys).groupBy(keys).agg(f.mean((off < SAME_PRICE).cast("double")).alias("chain_same"))
    sold = sales.groupBy(keys).agg(f.exp(f.mean("logmove")).alias("chain_units")).withColumn("week", f.col("week") + 1)
    joined = sales.join(f.broadcast(plan), keys).join(f.broadcast(same), keys).join(f.broadcast(sold), keys, "left")
    return joined.fillna({"chain_units": 0.0}).select(*PANEL)
