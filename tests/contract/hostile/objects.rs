//! What is no layer: stores, workers, circuits that are waited for, budgets, probes.
