"""Training a predictor: heads fitted on all patients, calibrated, published."""
