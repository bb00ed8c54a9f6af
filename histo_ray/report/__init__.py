"""Pictures of slides, tiles and runs. Draws what it is given; reads no slide."""
