"""Label files: from a table of clinical or molecular data to a target matrix of patients."""
