"""What a change would do, for the people who decide about it: `python -m review --help`, docs/review.md."""
