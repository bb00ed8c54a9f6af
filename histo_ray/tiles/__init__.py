"""From a slide to its tiles: where tissue is, where tiles lie, and their pixels."""
