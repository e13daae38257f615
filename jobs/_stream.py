"""A job run for each batch of files that arrive: Structured Streaming says when, the job takes what is new."""

from collections.abc import Callable

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from recsys.stages import Outcome

_FILES = "path string, modificationTime timestamp, length bigint, content binary"


def run_on_arrival(
    spark: SparkSession, folder: str, checkpoint: str, work: Callable[[], Outcome], every_seconds: int | None
) -> Outcome:
    """The last outcome. Without `every_seconds` the stream ends when all files that are there are taken; else it goes
    on until it is stopped. What `work` raises ends it and is raised here.

    The ledger of the job decides which files are taken, not the stream's: neither a batch that is tried again nor a
    file that changed is taken twice or missed.
    """
    outcomes: list[Outcome] = []
    errors: list[BaseException] = []

    def take(_: DataFrame, __: int) -> None:
        try:
            outcomes[:] = [work()]
        except BaseException as error:  # Spark would raise another in its place
            errors.append(error)
            raise

    # Contents are not read: only paths are asked for.
    reader = spark.readStream.format("binaryFile").schema(_FILES).option("recursiveFileLookup", "true")
    arrivals = reader.load(folder).select("path")
    writer = _triggered(arrivals.writeStream.option("checkpointLocation", checkpoint), every_seconds)
    query = writer.foreachBatch(take).start()
    try:
        query.awaitTermination()
    except Exception as error:
        raise (errors[0] if errors else error) from error
    finally:
        query.stop()
    return outcomes[0] if outcomes else work()


def _triggered(writer: DataStreamWriter, every_seconds: int | None) -> DataStreamWriter:
    if every_seconds is None:
        return writer.trigger(availableNow=True)
    return writer.trigger(processingTime=f"{every_seconds} seconds")
