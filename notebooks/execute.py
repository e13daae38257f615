"""Runs every notebook against a lake and writes them with their outputs: python notebooks/execute.py --lake ./lake."""

import argparse
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", type=Path, default=Path("lake"))
    parser.add_argument("--output", type=Path, default=Path("build/notebooks"))
    arguments = parser.parse_args()
    os.environ["RECSYS_LAKE"] = str(arguments.lake.resolve())
    arguments.output.mkdir(parents=True, exist_ok=True)
    for path in sorted(HERE.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(HERE)}}).execute()
        nbformat.write(notebook, arguments.output / path.name)
        sys.stdout.write(f"executed {path.name}: {arguments.output / path.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
