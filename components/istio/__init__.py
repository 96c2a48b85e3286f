"""The mesh: Istio's operator, its control plane, the checks behind it, and istioctl.

Nothing is imported here: settings need `releases` and the drivers need neither Pulumi nor its provider packages.
"""
