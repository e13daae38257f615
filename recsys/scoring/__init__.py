"""From feature tables and a trained model to top-N lists: candidates, scores, ranks, checks before publishing."""
