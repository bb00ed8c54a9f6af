"""Who is compared with whom: folds now; patients and labels join here."""
