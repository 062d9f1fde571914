"""A small local Spark session. The same PySpark code can run on a cluster when the panel outgrows one pod."""

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
    """Starts a session, and stops it when the context ends."""
    scratch = os.environ.get("SPARK_LOCAL_DIRS", "/tmp")  # noqa: S108 Spark's own default, which is writable in the image
    # The user of a container may have no name, but Hadoop needs one.
    os.environ.setdefault("HADOOP_USER_NAME", "modelstack")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # The user may have no home folder that Java finds. Without these options, Spark would use a folder called `?`.
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
