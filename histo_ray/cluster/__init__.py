"""Ray: distributes, decides nothing. The only room that imports Ray."""
