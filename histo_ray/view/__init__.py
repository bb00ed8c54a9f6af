"""The slide viewer: a local web application by Bokeh over a store that is only read."""
