"""Spark sessions with Delta Lake, UTC and deterministic settings."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyspark
from pyspark.sql import SparkSession

from recsys.config import SparkConfig
from recsys.errors import EnvironmentProblem

NEEDED_JAVA = 17

# Of an archive of classes that does not fit Java says nothing, and goes on without; errors of its own it tells.
ARCHIVE_LOG = "-Xlog:disable -Xlog:all=error:stderr"

_FIXED = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
    "spark.executor.extraJavaOptions": "-Duser.timezone=UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.sources.partitionOverwriteMode": "static",
    # Spark refuses Parquet's nanoseconds, which pandas writes; recsys/clean/scans.py turns the numbers into times.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # Spark's own default, 96 bits, is larger, slower, and has no ranges by which files are left out.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
_DEFAULTS = {
    "spark.ui.enabled": "false",
    # Finished work is kept for the page that is not served; plans are large.
    "spark.ui.retainedJobs": "50",
    "spark.ui.retainedStages": "50",
    "spark.sql.ui.retainedExecutions": "5",
    # A job has hundreds of stages: of Spark's 100 none would be left when the next run of a session asks for it.
    "spark.sql.codegen.cache.maxEntries": "1000",
    # Java compiles no method of more bytes. Of steps that would make a larger one, Spark makes many instead.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # Adaptive plans are told anew, as text, after every stage, whether a page is served or not: for the plan of a day's
    # ingest that text fills the heap.
    "spark.sql.maxPlanStringLength": "100000",
    # Else every call on a column asks the JVM five things more, to name its line of Python in a later error.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
    # What is kept lives for minutes, and lies on disk where memory ends: Spark would try each way of packing a column.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    "spark.sql.shuffle.partitions": "8",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.log.level": "ERROR",
}


def require_java() -> None:
    """Raises EnvironmentProblem unless a Java of the needed version is found as Spark will look for it."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    if shutil.which(java) is None:
        raise EnvironmentProblem(
            f"no Java: {java!r} does not exist; Spark needs Java {NEEDED_JAVA}. Cure: "
            "`make setup`, or `apt-get install openjdk-17-jre-headless`, or set JAVA_HOME"
        )
    found = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = _major_version(found)
    if version is None or version < NEEDED_JAVA:
        first = found.splitlines()[0] if found else "no answer"
        raise EnvironmentProblem(
            f"Java {NEEDED_JAVA} or newer is needed, {java!r} says {first!r}. Cure: set JAVA_HOME to a newer one"
        )


def _major_version(banner: str) -> int | None:
    quoted = banner.split('"')
    major = quoted[1].split(".")[0] if len(quoted) > 1 else ""
    return int(major) if major.isdigit() else None


def build_session(app_name: str, config: SparkConfig) -> SparkSession:
    """Starts a session, or joins the one that spark-submit or a test has started."""
    require_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    # Arrow and petastorm load their own pools; one thread a task keeps tasks from fighting over cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["SPARK_SUBMIT_OPTS"] = with_class_archive(os.environ.get("SPARK_SUBMIT_OPTS", ""))
    builder = SparkSession.builder.appName(app_name)
    if not _is_submitted():
        builder = builder.master(config.master).config("spark.driver.memory", config.driver_memory)
        builder = builder.config("spark.driver.host", "localhost").config("spark.driver.bindAddress", "127.0.0.1")
    settings = {
        **_DEFAULTS,
        "spark.sql.shuffle.partitions": str(config.shuffle_partitions),
        **config.settings,
        **_FIXED,
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    return _started(builder)


def class_archive() -> Path:
    """Spark's classes as Java maps them, made by `make setup`; not there, Java reads them from the jars."""
    return Path(pyspark.__path__[0]) / "recsys.jsa"


def with_class_archive(options: str) -> str:
    """Java's options with the archive, unless they tune Java already.

    With files in Spark's conf folder the archive does not fit.
    """
    if "-XX:" in options or not class_archive().exists():
        return options
    return f"-XX:SharedArchiveFile={class_archive()} {ARCHIVE_LOG} {options}".strip()


def _started(builder: SparkSession.Builder) -> SparkSession:
    try:
        return _without_checksum_files(builder.getOrCreate())
    except Exception as error:
        if "BindException" in str(error) or isinstance(error, socket.error):
            raise EnvironmentProblem(
                f"a port that Spark was told to use is taken: {_first_line(error)}. Cure: free it, or give another "
                "spark.driver.port / spark.ui.port (0 takes any free one)"
            ) from error
        raise


def _without_checksum_files(spark: SparkSession) -> SparkSession:
    """On local disks: Hadoop starts a `chmod` for every file it makes there, and writes a checksum file beside each.

    Pages of Parquet hold their own checksums; of other files that are read back, a broken line would not parse.
    """
    context: Any = spark.sparkContext
    local = context._jvm.org.apache.hadoop.fs.FileSystem.getLocal(context._jsc.hadoopConfiguration())
    local.setWriteChecksum(False)
    return spark


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if "BindException" in line), str(error).splitlines()[0])


def _is_submitted() -> bool:
    """spark-submit starts the JVM first and names its port to Python."""
    return "PYSPARK_GATEWAY_PORT" in os.environ
