"""Label files: from a table to labels of patients."""
