"""What differs between settings, state, cluster and machines: `python -m drift --help`, docs/review.md."""
