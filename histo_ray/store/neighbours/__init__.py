"""The tiles most like a given one: by an index where there is one, by all vectors otherwise."""
