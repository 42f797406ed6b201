"""Where the day begins: what waits, who comes and goes, how the market does."""
