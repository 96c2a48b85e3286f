"""What the engine and the lab are built from: `python -m tools --help`; docs/tools.md."""
