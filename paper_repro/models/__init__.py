"""The paper's networks, built from the configuration."""
