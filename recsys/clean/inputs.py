"""What a run reads: a mapping and the folder it is applied to, whether its files can be read, and hashes by which a
later run knows it again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pyspark.sql import SparkSession

from recsys.clean.drift import require_kinds
from recsys.clean.files import RawFolder, heads
from recsys.clean.ledger import Entry, Files, known_kinds
from recsys.clean.mapping import SourceMapping, input_folder, load_mapping, mapping_file
from recsys.config import CleanConfig, SourceConfig


@dataclass(frozen=True, kw_only=True)
class Source:
    """A mapping and the folder it is applied to."""

    mapping: SourceMapping
    mapping_file: Path
    folder: RawFolder

    def files(self) -> dict[str, Files]:
        """Of each source table, by path."""
        return {name: self.folder.files(table.files) for name, table in self.mapping.tables.items()}


def open_source(spark: SparkSession, conf_folder: Path, source: SourceConfig) -> Source:
    """Raises ConfigError for a wrong mapping and InputError for a missing input folder."""
    file = mapping_file(conf_folder, source.name)
    mapping = load_mapping(file)
    return Source(mapping=mapping, mapping_file=file, folder=RawFolder(spark, input_folder(mapping, source.input)))


def require_readable(source: Source, files: Mapping[str, Files], entries: Sequence[Entry]) -> None:
    """Looks at the head of each file. Raises InputError or SchemaError for the first that is not as mapped, or as the
    `entries` of earlier files say."""
    for name, of_table in files.items():
        mapping = source.mapping.tables[name]
        found = heads(source.folder, of_table, mapping)
        require_kinds(of_table, found, mapping, known_kinds(entries, name, of_table))


def state(source: Source) -> tuple[str, str]:
    """Hashes of the mapping and of the listing of the files: equal means the same input."""
    files = sorted({file for of_table in source.files().values() for file in of_table}, key=lambda file: file.path)
    listing = "\n".join(f"{file.path} {file.num_bytes} {file.modified_ms}" for file in files)
    return mapping_hash(source), hashlib.sha256(listing.encode()).hexdigest()


def mapping_hash(source: Source) -> str:
    return hashlib.sha256(source.mapping_file.read_bytes()).hexdigest()


def rules_hash(source: Source, limits: CleanConfig) -> str:
    """Equal where a file would be judged alike: what the mapping and the limits say of rows, and the code."""
    mapping = asdict(replace(source.mapping, note=None, input=None))
    of_rows = {key: value for key, value in asdict(limits).items() if not key.startswith("alarm_")}
    digest = hashlib.sha256(json.dumps([mapping, of_rows], sort_keys=True).encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
