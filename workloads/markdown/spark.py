"""A small local Spark: the same PySpark code runs on a cluster when the panel outgrows one pod."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

if TYPE_CHECKING:
    from collections.abc import Generator

CORES = 2
PARTITIONS = 4


@contextmanager
def session(name: str) -> Generator[SparkSession]:
    """A session that is stopped when the context is left."""
    scratch = os.environ.get("SPARK_LOCAL_DIRS", "/tmp")  # noqa: S108 Spark's own default, which is writable in the image
    # A container's user may have no name, and Hadoop wants one.
    os.environ.setdefault("HADOOP_USER_NAME", "modelstack")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # Nor has it a home that Java would find: without one, `?` is the folder that Spark wants to keep things in.
    options = [
        "-Duser.name=modelstack",
        f"-Duser.home={scratch}",
        f"-Djava.io.tmpdir={scratch}",
        "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    ]
    spark = (
        SparkSession.builder.master(f"local[{CORES}]")
        .appName(name)
        .config("spark.driver.memory", "1g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.extraJavaOptions", " ".join(options))
        .config("spark.local.dir", scratch)
        .config("spark.sql.warehouse.dir", f"{scratch}/warehouse")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", str(PARTITIONS))
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.codegen.wholeStage", "false")  # compiling takes longer than a small panel
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.python.worker.reuse", "true")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()
