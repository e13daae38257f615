"""From clean events, candidates and features to labelled examples: cut-offs, labels, negatives, model inputs."""
