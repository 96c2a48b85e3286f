"""What Kubernetes' API server takes, by its version: its OpenAPI schema, and the rules that no schema says."""
