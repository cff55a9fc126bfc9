"""What is measured on a sampler: one module a measure."""
