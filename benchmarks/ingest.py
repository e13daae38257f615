"""jobs/clean_logs.py beside plain Spark that reads the same files and writes them as a Delta table: rows a second.

Usage: python -m benchmarks.ingest [--events 10000000] [--source NAME --input FOLDER] [--quick]

Plain Spark judges nothing: it reads the event files as text, adds the day and writes one table, the day its partition.
Each side runs in a process of its own; seconds are those of the work, without the start of Python and Spark. The files
are a generated log (benchmarks/generated_log.py), or those of any mapping in conf/sources.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks.generated_log import LogShape, write_log
from benchmarks.processes import run_job, run_measured
from benchmarks.report import emit
from recsys import columns as c
from recsys.clean.mapping import EventsMapping, load_mapping, mapping_file
from recsys.clean.time_formats import ISO
from recsys.config import CONF_FOLDER, load_config
from recsys.lake.session import build_session

EVENTS = 10_000_000
DAYS = 180
QUICK_EVENTS = 200_000
QUICK_DAYS = 30
GENERATED = "generated"
GENERATED_CONF = Path("benchmarks/conf")
PLAIN = "--plain"


def plain_ingest(spark: SparkSession, events: EventsMapping, source: Path, table: Path) -> None:
    files = str(source / events.files)
    if events.format == "csv":
        delimiter, quote = events.csv.delimiter, events.csv.quote
        records = spark.read.csv(files, header=True, sep=delimiter, quote=quote, encoding=events.csv.encoding)
    else:
        records = spark.read.format(events.format).load(files)
    text = F.col(events.time.column).cast("string")
    pattern = None if events.time.formats[0] == ISO else F.lit(events.time.formats[0])
    day = F.to_date(F.try_to_timestamp(text, pattern))
    dated = records.withColumn(c.EVENT_DATE, day).hint("rebalance", c.EVENT_DATE)
    dated.write.format("delta").partitionBy(c.EVENT_DATE).save(str(table))


def run_plain(source_name: str, source: Path, table: Path) -> int:
    """In a process of its own; prints as a job does."""
    config = load_config([conf_of(source_name) / "local.yaml"] if source_name != GENERATED else [generated_config()])
    events = load_mapping(mapping_file(conf_of(source_name), source_name)).events
    spark = build_session("recsys-plain-ingest", config.spark)
    try:
        started = time.monotonic()
        plain_ingest(spark, events, source, table)
        seconds = time.monotonic() - started
        rows = spark.read.format("delta").load(str(table)).count()
    finally:
        spark.stop()
    sys.stdout.write(json.dumps({"stages": [{"stage": "plain", "seconds": seconds, "rows_read": rows}]}) + "\n")
    return 0


def conf_of(source_name: str) -> Path:
    return GENERATED_CONF if source_name == GENERATED else CONF_FOLDER


def generated_config() -> Path:
    return GENERATED_CONF / "generated.yaml"


def compare(source_name: str, source: Path, folder: Path, case: str) -> None:
    config = generated_config() if source_name == GENERATED else CONF_FOLDER / "local.yaml"
    settings = ["--set", f"source.name={source_name}", "--set", f"source.input={source}"]
    ours = run_job("clean_logs", ["--config", str(config), "--lake", str(folder / "lake"), *settings])
    plain = run_measured(["-m", "benchmarks.ingest", PLAIN, source_name, str(source), str(folder / "plain")])
    rows = ours.stages[0]["rows_read"]
    if plain.stages[0]["rows_read"] != rows:
        raise SystemExit(
            f"clean_logs read {rows} records, plain Spark {plain.stages[0]['rows_read']}; expected as many"
        )
    emit(
        "ingest",
        case,
        rows / ours.stage_seconds,
        "rows/s",
        peer="plain Spark to Delta",
        peer_value=rows / plain.stage_seconds,
        digits=0,
    )
    emit("ingest", f"{case}, peak memory", ours.peak_gib, "GiB", peer="plain Spark to Delta", peer_value=plain.peak_gib,
         is_higher_better=False)  # fmt: skip


def main(given: Sequence[str]) -> int:
    if given[:1] == [PLAIN]:
        return run_plain(given[1], Path(given[2]), Path(given[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=EVENTS, help="of the generated log")
    parser.add_argument("--source", default=GENERATED, help="a mapping of conf/sources; needs --input")
    parser.add_argument("--input", type=Path, default=None, help="default: a generated log")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_EVENTS:,} events in {QUICK_DAYS} days only")
    arguments = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as name:
        folder, source, case = Path(name), arguments.input, arguments.source
        if source is None:
            events, days = (QUICK_EVENTS, QUICK_DAYS) if arguments.quick else (arguments.events, DAYS)
            source, case = folder / "log", f"generated, {events:,} events"
            write_log(LogShape(events=events, days=days), source, progress=sys.stderr.write)
        compare(arguments.source, source.resolve(), folder, case)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
