"""Post-processing: what happens to activations between the products."""
