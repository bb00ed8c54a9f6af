"""Pictures of slides and tiles."""
