"""From recommendation lists and what was bought later to metrics, baselines and intervals; writes nothing."""
