"""Shell pipelines, the demo, the benchmark and the training of the demo's networks."""
