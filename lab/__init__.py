"""The embedded lab: four Linux machines on this one, for development and tests (docs/lab.md). Never imported by components/."""
