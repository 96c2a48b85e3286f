"""Istio's releases: what each has (table), the Kubernetes that it runs on (support), and which pairs and upgrades are taken (compatibility)."""
