"""The ready gate: what is wanted and seen (model), whether that is the same (judge), how it is asked (probe) and told (report)."""
