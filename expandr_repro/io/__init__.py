"""Files, manifests and YAML."""
