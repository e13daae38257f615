"""What later starts would repeat: compiles the Python files that jobs import, and archives Spark's classes for Java.

Java then maps the classes that Spark and Delta need from one file, in place of reading, checking and linking each
at every start (application class-data sharing, https://openjdk.org/jeps/350). The archive holds for this Java and these
jars; Java ignores it where anything differs.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
IMPORTS = "import jobs.run_pipeline, jobs.score_scenes, jobs.load_rules, horovod.torch, horovod.spark, petastorm.reader"


def main() -> None:
    from recsys.lake.session import ARCHIVE_LOG, class_archive

    imports = subprocess.Popen([sys.executable, "-c", IMPORTS], cwd=ROOT, stdout=subprocess.DEVNULL)
    class_archive().unlink(missing_ok=True)
    fresh = class_archive().with_suffix(".new")
    fresh.unlink(missing_ok=True)
    os.environ["SPARK_SUBMIT_OPTS"] = f"-XX:ArchiveClassesAtExit={fresh} {ARCHIVE_LOG}"
    with tempfile.TemporaryDirectory() as folder:
        _use_spark(Path(folder))
    fresh.rename(class_archive())
    if imports.wait() != 0:
        sys.exit("the jobs cannot be imported")


def _use_spark(folder: Path) -> None:
    """A little of what jobs do, and waits until Java, which writes the archive at its end, is gone."""
    from pyspark import SparkContext
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from recsys.config import CONF_FOLDER, load_config
    from recsys.lake.session import build_session

    config = load_config([CONF_FOLDER / "local.yaml"], ["spark.shuffle_partitions=2", "spark.driver_memory=2g"])
    spark = build_session("recsys-warm-up", config.spark)
    (folder / "log.csv").write_text("user,item,price\n" + "".join(f"{n % 7},{n % 5},{n / 4}\n" for n in range(50)))
    lines = spark.read.csv(str(folder / "log.csv"), header=True, schema="user int, item string, price double")
    table = str(folder / "table")
    for _ in range(2):
        ranked = lines.withColumn("rank", F.row_number().over(Window.partitionBy("user").orderBy("price", "item")))
        sums = lines.groupBy("item").agg(F.sum("price").alias("total"), F.countDistinct("user").alias("users"))
        ranked.join(sums, on="item").write.format("delta").mode("overwrite").partitionBy("user").save(table)
        spark.read.format("delta").load(table).where("rank < 3").toPandas()
    process = SparkContext._gateway.proc
    spark.stop()
    SparkContext._gateway.shutdown()
    process.stdin.close()
    if process.wait(timeout=300) != 0:
        sys.exit("Java ended with an error")


if __name__ == "__main__":
    main()
