"""Small files of the lake through Hadoop's filesystem interface: any URI that Spark knows."""

from typing import Any

from pyspark.sql import SparkSession


class Files:
    """Paths are whole URIs or absolute local paths."""

    def __init__(self, spark: SparkSession) -> None:
        context: Any = spark.sparkContext
        self._path_class = context._jvm.org.apache.hadoop.fs.Path
        self._configuration = context._jsc.hadoopConfiguration()

    def exists(self, path: str) -> bool:
        file, fs = self._at(path)
        return bool(fs.exists(file))

    def names(self, folder: str) -> list[str]:
        """Sorted; empty where there is no such folder."""
        file, fs = self._at(folder)
        return sorted(status.getPath().getName() for status in fs.listStatus(file)) if fs.exists(file) else []

    def read_text(self, path: str) -> str:
        file, fs = self._at(path)
        stream = fs.open(file)
        try:
            return bytes(stream.readAllBytes()).decode()
        finally:
            stream.close()

    def write_text(self, path: str, text: str) -> None:
        """Whole or not at all: written beside its place, then renamed."""
        unfinished = f"{path}.writing"
        file, fs = self._at(unfinished)
        stream = fs.create(file, True)
        stream.write(text.encode())
        stream.close()
        self.move(unfinished, path)

    def move(self, source: str, target: str) -> None:
        """Makes the target's folder and replaces the target."""
        file, fs = self._at(source)
        target_file, _ = self._at(target)
        fs.mkdirs(target_file.getParent())
        fs.delete(target_file, False)
        if not fs.rename(file, target_file):
            raise OSError(f"could not rename {source} to {target}")

    def delete(self, path: str) -> None:
        """The file, or the folder with all in it; nothing where there is none."""
        file, fs = self._at(path)
        fs.delete(file, True)

    def _at(self, path: str) -> tuple[Any, Any]:
        file = self._path_class(path)
        return file, file.getFileSystem(self._configuration)
