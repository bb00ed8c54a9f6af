"""Fine-tuning: an encoder and labelled tiles go in, a new encoder comes out. No Ray here."""
