"""Feature stores: whole partitions with their receipts, and tables on top of them."""
