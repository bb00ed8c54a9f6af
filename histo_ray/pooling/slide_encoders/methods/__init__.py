"""Methods of slide encoders, one a file; `pooling.slide_encoders.registry` lists them."""
