"""Charts, as SVG or pixels."""
