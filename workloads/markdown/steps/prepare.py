"""Step `prepare`: units, prices, deals and costs per store, brand and week, and what the chain as a whole planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as f

from workloads.context import TrainingError
from workloads.markdown.features import BRANDS
from workloads.markdown.history import PANEL
from workloads.markdown.spark import session
from workloads.training.source import facts_of, table_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from workloads.context import Context

PREPARED = "prepared.parquet"
SAME_PRICE = 0.02
"""Stores whose price differs by less from the chain's median have the same."""


def run(context: Context) -> None:
    """Writes the prepared panel.

    Raises:
        TrainingError: the panel has two rows of one store, brand and week.
    """
    published = facts_of(context)["rows"]["panel"]
    with session("markdown-prepare") as spark:
        panel = spark.read.parquet(str(table_of(context, "panel")))
        prepared = prepare(panel)
        prepared.write.mode("overwrite").parquet(str(context.folder / PREPARED))
        written = spark.read.parquet(str(context.folder / PREPARED)).count()
    if written != published:
        msg = f"the panel has {published} rows and {written} once prepared: some are not one per store, brand, week"
        raise TrainingError(msg)


def prepare(panel: DataFrame) -> DataFrame:
    """The columns `history.PANEL`.

    The panel's `logmove` is the log of ounces, `profit` the gross margin in percent. What the chain planned (`chain_price`,
    `chain_spread`, `chain_same`, `chain_deal`) is from the week itself: plans are made before. What it sold (`chain_units`) is
    from the week before.
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
