"""The file that says what an exported model is, beside its arrays or weights."""

import json
from pathlib import Path
from typing import Any

from recsys.errors import InputError, SchemaError

FORMAT = 1


def read_description(path: Path, *, what: str, cure: str, cure_of_format: str) -> dict[str, Any]:
    """Raises InputError where there is none, SchemaError where it has another format than FORMAT."""
    if not path.is_file():
        raise InputError(f"no {what} in {path.parent}: {path.name} is missing. Cure: {cure}")
    description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    found = description.get("format")
    if found != FORMAT:
        raise SchemaError(f"{path} has format {found}, expected {FORMAT}. Cure: {cure_of_format}")
    return description
