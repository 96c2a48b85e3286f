"""Figures that anyone can make again: how long and how large, against an empty program and against others (docs/performance.md)."""
