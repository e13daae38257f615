"""Speed and accuracy beside a peer, both measured in the same run; see benchmarks/README.md."""
