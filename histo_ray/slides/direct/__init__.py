"""Reads tiled JPEG TIFF and SVS without OpenSlide's detours, to the same pixels."""
