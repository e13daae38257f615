"""One file a spark-submit job: parse, read, transform, write; README.md lists them."""
