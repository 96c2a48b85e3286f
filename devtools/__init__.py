"""What the engine and the lab are built from: `python -m devtools --help`; docs/toolchain.md."""
