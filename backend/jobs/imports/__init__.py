"""Taking in other platforms' data: reading is pure, loading writes."""
