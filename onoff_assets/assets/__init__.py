"""One module an asset: what it is, what it shows of itself, and what guards it."""
